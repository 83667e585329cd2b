"""Taking over a connection whose request another HTTP server has read.

The server side of an opening handshake without a listener and without parsing:
one port for pages and WebSockets, whatever serves the pages.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import trio

from trio_fastws._config.arguments import (
    check_origins,
    check_request,
    check_stream,
    check_subprotocols,
    fill_in,
)
from trio_fastws._config.calling import FOR_UPGRADE, takes
from trio_fastws._config.compression import Negotiator
from trio_fastws._connection.opening import Agreed, open_connection
from trio_fastws._connection.shared import Shared
from trio_fastws._protocol.buffers import copy_buffer
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.handshake.headers import (
    Headers,
    HeaderSource,
    write_handshake_fields,
)
from trio_fastws._protocol.handshake.response import encode_response, refuse
from trio_fastws._protocol.handshake.server import (
    build_accept,
    check_origin,
    check_upgrade,
    choose_subprotocol,
)
from trio_fastws._transport import loop as loops
from trio_fastws._transport.contract import READ_SIZE, Owner
from trio_fastws._transport.lifetimes import owning, single_connection
from trio_fastws._transport.stream_link import StreamLink

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from trio_fastws._config.options import Limits, PerMessageDeflate, Sending, Timeouts
    from trio_fastws._connection.websocket import WebSocket
    from trio_fastws._protocol.handshake.request import Request


@takes("a stream and a request, and all else by keyword", FOR_UPGRADE)
@asynccontextmanager
async def upgrade(  # noqa: PLR0913 - one connection, its parts grouped
    stream: trio.abc.Stream,
    request: Request,
    *,
    early: bytes = b"",
    headers: HeaderSource = (),
    subprotocols: Sequence[str] = (),
    origins: Iterable[Any] | None = None,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    sending: Sending | None = None,
    deflate: PerMessageDeflate | None = None,
) -> AsyncGenerator[WebSocket, None]:
    """Answer an upgrade request that was read elsewhere, and serve one peer.

    ``async with upgrade(stream, request) as ws``. Leaving the block closes the
    connection: with code 1000, 1001 (going away) if it was cancelled or interrupted, or
    1011 if another exception leaves it, which comes out as it is. For a code of your
    own call ``ws.close_nowait(4000)`` before leaving. Entering and leaving are
    checkpoints, safe to cancel. The stream belongs to the block from then on and is
    closed by it.

    Args:
        stream: The connection, after the request's blank line.
        request: ``Request(method, target, headers)``, or `Request.parse` of its head.
        early: Bytes that the other server has read behind the request.
        headers: More fields of the 101, such as Set-Cookie; see `Accept`.
        subprotocols: What the server speaks, its favourite first.
        origins: As for `serve_websocket`.
        limits: What the peer may make us hold; see `Limits`.
        timeouts: How long to wait for it; see `Timeouts`.
        sending: What happens to messages if it is slow; see `Sending`.
        deflate: As for `serve_websocket`.

    Raises:
        HandshakeError: The request cannot be accepted. The refusal was sent on the
            stream, which is closed.
        ValueError: ``early`` is larger than one read, or a header is malformed or one
            that the handshake writes itself.
        TypeError: An argument is of another type, which the message names.
    """
    check_stream(stream)
    check_request(request)
    options = fill_in(limits, timeouts, sending, deflate)
    # It is there already, and needs no room of ours.
    kept = options._replace(limits=replace(options.limits, keep_request=True))
    subprotocols = check_subprotocols(subprotocols)
    origins = check_origins(origins)
    headers = Headers(headers)
    write_handshake_fields(headers)
    try:
        early = copy_buffer(early)
    except TypeError:
        raise TypeError(f"early must be bytes-like, not {early!r}") from None
    if len(early) > READ_SIZE:
        raise ValueError(
            f"early has {len(early)} bytes; it must be {READ_SIZE} or less"
        )
    try:
        check_upgrade(request)
        if origins is not None:
            check_origin(request, origins)
    except HandshakeError as error:
        async with owning(stream):
            # The client may be gone.
            with suppress(trio.BrokenResourceError):
                await stream.send_all(encode_response(refuse(error)))
        raise
    subprotocol = choose_subprotocol(request, subprotocols)
    extensions = agreement = None
    if deflate is not None:
        extensions, agreement = Negotiator(Role.SERVER, deflate).accept(request)
    accept = build_accept(request, subprotocol, extensions, headers)
    dispatcher, loop = loops.new_dispatcher()
    async with owning(stream), single_connection(dispatcher, loop) as spawn:
        shared = Shared(dispatcher, kept, spawn, Role.SERVER)
        owner = Owner()
        # What this task sets is seen by the connection's own tasks.
        owner._context = trio.lowlevel.current_task().context
        link = StreamLink(dispatcher, owner, stream)
        spawn(link.run)
        agreed = Agreed(request, subprotocol, agreement, accept)
        async with open_connection(shared, link, agreed, early) as ws:
            yield ws
