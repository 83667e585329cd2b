"""The client: dial, shake hands, hand a WebSocket to a block of code.

Owns the scope of one client connection. The loop (and the pump, over TLS) runs
in a nursery of the block, shielded, so that the block's end is the only thing
that ends it, after a closing handshake that is bounded in time.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from trio_fastws._config.arguments import (
    check_client_context,
    check_stream,
    check_subprotocols,
    fill_in,
)
from trio_fastws._config.calling import FOR_CLIENTS, takes
from trio_fastws._config.compression import Negotiator
from trio_fastws._connection.shared import Shared
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.handshake.dialling import ClientHandshake
from trio_fastws._protocol.handshake.url import parse_url
from trio_fastws._transport import loop as loops
from trio_fastws._transport.lifetimes import owning, single_connection
from trio_fastws._version import __version__

from .handshake import Connecting, connect, start_tls

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Sequence

    from trio_fastws._config.options import Limits, PerMessageDeflate, Sending, Timeouts
    from trio_fastws._connection.websocket import WebSocket
    from trio_fastws._protocol.handshake.headers import HeaderSource

# Sent as User-Agent unless the caller has another: bot rules refuse who sends none.
USER_AGENT = f"trio_fastws/{__version__}"


@takes(
    "a URL, such as 'ws://localhost:8765/path', and all else by keyword, "
    "ssl_context too (trio-websocket's order is another)",
    FOR_CLIENTS,
)
@asynccontextmanager
async def open_websocket(  # noqa: PLR0913 - one connection, its parts grouped
    url: str,
    *,
    subprotocols: Sequence[str] = (),
    headers: HeaderSource = (),
    origin: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    stream: trio.abc.Stream | None = None,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    sending: Sending | None = None,
    deflate: PerMessageDeflate | None = None,
) -> AsyncGenerator[WebSocket, None]:
    """Connect to a WebSocket server for the length of a block.

    ``async with open_websocket("wss://example.com/feed") as ws``. Leaving the
    block closes the connection: with code 1000, 1001 (going away) if it was cancelled
    or interrupted, or 1011 if another exception leaves it, which comes out as it is,
    never in a group. For a code of your own call ``ws.close_nowait(4000)`` before
    leaving. Entering and leaving are checkpoints; cancelling is safe at any time.

    Args:
        url: ``ws://`` or ``wss://``, host, port, path and query.
        subprotocols: What the client speaks, its favourite first.
        headers: More fields of the request: pairs of name and value, a mapping or
            `Headers`. A Host or User-Agent among them replaces ours;
            ``("User-Agent", "")`` sends none.
        origin: Value of the Origin header; None to send none.
        ssl_context: Context for ``wss://``; None for `ssl.create_default_context`.
        stream: Use this stream instead of dialling; closed at the end. With
            ``wss://`` TLS is started on it.
        limits: What the server may make us hold; see `Limits`.
        timeouts: How long to wait for it; see `Timeouts`.
        sending: What happens to messages if it is slow; see `Sending`.
        deflate: Offer to compress messages; see `PerMessageDeflate`.
            `WebSocket.deflate` is None if the server does not.

    Raises:
        InvalidURL: ``url`` is not a WebSocket URL.
        HandshakeError: The connection was not opened. It is one of those below, by
            which it can be caught as well.
        HandshakeRefused: The server answered, but not with a good 101. Raised as soon
            as the answer is complete, at the latest a second after its head.
        OSError: The host is unknown, or the server cannot be reached.
        trio.BrokenResourceError: TLS has failed; the cause is an `ssl.SSLError` if,
            for one, the certificate is not trusted.
        trio.TooSlowError: All that took more than `Timeouts.handshake`.
    """
    target = parse_url(url)
    if ssl_context is not None and not target.secure:
        raise ValueError(f"ssl_context is given, but URL {url!r} is not wss://")
    check_client_context(ssl_context)
    if stream is not None:
        check_stream(stream)
    subprotocols = check_subprotocols(subprotocols)
    options = fill_in(limits, timeouts, sending, deflate)
    negotiator = None if deflate is None else Negotiator(Role.CLIENT, deflate)
    handshake = ClientHandshake(
        target,
        origin=origin,
        subprotocols=subprotocols,
        headers=headers,
        user_agent=USER_AGENT,
        deflate=None if negotiator is None else negotiator.wanted,
        max_head=options.limits.request_head,
        max_fields=options.limits.request_fields,
    )
    dispatcher, loop = loops.new_dispatcher()
    async with owning(stream), single_connection(dispatcher, loop) as spawn:
        shared = Shared(dispatcher, options, spawn, Role.CLIENT)
        seconds = options.timeouts.handshake
        connecting = Connecting(shared, handshake, negotiator, target.resource, seconds)
        missing = "connection"
        with trio.move_on_after(seconds) as scope:
            connected = stream
            if connected is None:
                connected = await connect(target)
            if target.secure:
                missing = "TLS handshake"
                connected = await start_tls(connected, target, ssl_context)
            missing = "answer"
            connecting.begin(connected)
            await connecting.done.wait()
        if scope.cancelled_caught:
            connecting.give_up(missing)
        if connecting.error is not None:
            raise connecting.error
        assert connecting.ws is not None
        async with connecting.ws as ws:
            yield ws
