"""The client: dial, shake hands, hand a WebSocket to a block of code.

Owns the scope of one client connection. The loop (and the pump, over TLS) runs
in a nursery of the block, shielded, so that the block's end is the only thing
that ends it, after a closing handshake that is bounded in time.
"""

from __future__ import annotations

import logging
import math
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.handshake import (
    URL,
    HandshakeError,
    Response,
    build_request,
    check_accept,
    find_head_end,
    generate_key,
    parse_response,
    parse_url,
)
from trio_fastws._transport import loop as loops
from trio_fastws._transport.dispatcher import Dispatcher, SocketLink
from trio_fastws._transport.links import Owner, Turn
from trio_fastws._transport.streams import StreamLink

from ._arguments import check_deflate, check_tls, fill_in
from ._deflate import Negotiator
from ._exceptions import HandshakeRefused
from ._options import get_message_size
from ._scopes import closing, owning, single_connection
from ._service import Service
from ._websocket import WebSocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from ._options import Limits, PerMessageDeflate, Sending, Timeouts

logger = logging.getLogger("trio_fastws")

# Of the body of a refusal: what a person may want to read.
BODY_SIZE = 64 * 1024


class Dialing(Owner):
    """The client's side of an opening handshake, until it is decided."""

    __slots__ = (
        "_data",
        "_key",
        "_limits",
        "_negotiator",
        "_out",
        "_preludes",
        "_response",
        "_service",
        "_subprotocols",
        "done",
        "error",
        "ws",
    )

    def __init__(
        self,
        service: Service,
        limits: Limits,
        request: bytes,
        key: str,
        subprotocols: Sequence[str],
        negotiator: Negotiator | None,
    ) -> None:
        super().__init__()
        self._service = service
        self._limits = limits
        self._key = key
        self._subprotocols = subprotocols
        # Of compression; None without it.
        self._negotiator = negotiator
        self._out = request
        self._data = bytearray()
        # Bytes of 1xx heads: they share the limit of the one that counts.
        self._preludes = 0
        # The head of a refusal whose body is still coming.
        self._response: Response | None = None
        self.done = trio.Event()
        self.error: Exception | None = None
        self.ws: WebSocket | None = None

    def on_writable(self) -> None:
        """See `Owner.on_writable`: send the request, or the rest of it."""
        link = self.link
        assert link is not None
        taken = link.write([self._out], len(self._out))
        self._out = self._out[taken:]
        link.want(True, len(self._out) > 0)

    def on_data(self, start: int, stop: int) -> None:
        """See `Owner.on_data`."""
        link = self.link
        assert link is not None
        searched = max(0, len(self._data) - 3)
        before = len(self._data)
        self._data += link.turn.buffer[start:stop]
        try:
            while self._response is None:
                end = find_head_end(self._data, searched)
                if end < 0:
                    self._check_size()
                    return
                if self._on_head(end, start + end - before, stop):
                    return
                searched = 0
                before -= end
        except HandshakeError as error:
            self._fail(error.reason, None)
            return
        self._on_body(False)

    def _check_size(self) -> None:
        limit = self._limits.request_head
        if self._preludes + len(self._data) > limit:
            raise HandshakeError(431, f"server's head is over the limit of {limit}")

    def _on_head(self, end: int, start: int, stop: int) -> bool:
        # Whether this was the last head: a 1xx is only a prelude.
        response = parse_response(
            bytes(self._data[:end]),
            self._limits.request_fields,
            self._limits.request_head,
        )
        if response.status == 101:
            self._open(response, start, stop)
            return True
        del self._data[:end]
        if response.status >= 200:
            self._response = response
            return False
        self._preludes += end
        if self._preludes > self._limits.request_head:
            raise HandshakeError(431, "server's 1xx answers have no end")
        return False

    def _open(self, response: Response, start: int, stop: int) -> None:
        negotiator = self._negotiator
        offer = None if negotiator is None else negotiator.offer()
        try:
            subprotocol = check_accept(response, self._key, self._subprotocols, offer)
            agreement = None if negotiator is None else negotiator.judge(response)
        except HandshakeError as error:
            self._fail(error.reason, response)
            return
        link = self.link
        assert link is not None
        limits = self._limits
        endpoint = Endpoint(
            Role.CLIENT,
            get_message_size(limits, Role.CLIENT),
            limits.fragments,
            agreement,
        )
        # RFC 6455 4.1: bytes after the head are frames already. They lie at the
        # end of this read.
        self.ws = WebSocket(self._service, endpoint, link)
        self.ws.subprotocol = subprotocol
        self.ws.response = response
        self.ws.open(start, stop)
        self.done.set()

    def _on_body(self, ended: bool) -> None:
        response = self._response
        assert response is not None
        length = response.headers.get("Content-Length") or ""
        # Without leading zeros: `int` refuses thousands of digits. llhttp has seen
        # to it that the number itself is no larger than 64 bits.
        digits = length.lstrip("0") or "0"
        wanted = int(digits) if length.isdecimal() else BODY_SIZE
        if response.status in (204, 304):  # RFC 9110 6.4.1: these have no content
            wanted = 0
        wanted = min(wanted, BODY_SIZE)
        if len(self._data) < wanted and not ended:
            return
        body = bytes(self._data[:wanted])
        self._fail(
            f"server answered {response.status} {response.reason}".rstrip(),
            Response(response.status, response.headers, body, response.reason)
            if body
            else response,
        )

    def give_up(self) -> None:
        """Make do with what has come: the time is over."""
        if self._response is not None:
            self._on_body(True)
        else:
            self.error = trio.TooSlowError("no answer within Timeouts.handshake")

    def _fail(self, message: str, response: Response | None) -> None:
        self.error = HandshakeRefused(message, response)
        self.done.set()
        if self.link is not None:
            self.link.close()

    def on_eof(self, error: OSError | None) -> None:
        """See `Owner.on_eof`."""
        if self._response is not None:
            self._on_body(True)
        else:
            cause = f": {error.strerror or error}" if error is not None else ""
            self._fail(f"server closed the connection without an answer{cause}", None)

    def on_hangup(self) -> None:
        """See `Owner.on_hangup`."""
        self.on_eof(None)

    def on_mark(self) -> None:
        """See `Owner.on_mark`: a write has failed; reading says why."""

    def on_deadline(self, now: float) -> float:
        """Nothing: the block that dials has the deadline."""
        return math.inf


@asynccontextmanager
async def open_websocket(  # noqa: PLR0913 - one connection, its parts grouped
    url: str,
    *,
    subprotocols: Sequence[str] = (),
    headers: Sequence[tuple[str, str]] = (),
    origin: str | None = None,
    tls: ssl.SSLContext | None = None,
    stream: trio.abc.Stream | None = None,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    sending: Sending | None = None,
    deflate: PerMessageDeflate | None = None,
) -> AsyncGenerator[WebSocket, None]:
    """Connect to a WebSocket server for the length of a block.

    ``async with open_websocket("wss://example.com/feed") as ws``. Leaving the
    block closes the connection: with code 1000, 1001 (going away) if it was
    cancelled, or 1011 if another exception leaves it, which comes out as it is,
    never in a group. For a code of your own call ``ws.close_nowait(4000)`` before
    leaving. Entering and leaving are checkpoints; cancelling is safe at any time.

    Args:
        url: ``ws://`` or ``wss://``, host, port, path and query.
        subprotocols: What the client speaks, its favourite first.
        headers: More fields of the request: pairs of name and value.
        origin: Value of the Origin header; None to send none.
        tls: Context for ``wss://``; None for `ssl.create_default_context`.
        stream: Use this stream instead of dialling; closed at the end. With
            ``wss://`` TLS is started on it.
        limits: What the server may make us hold; see `Limits`.
        timeouts: How long to wait for it; see `Timeouts`.
        sending: What happens to messages if it is slow; see `Sending`.
        deflate: Offer to compress messages; see `PerMessageDeflate`. Whether
            the server does so too, `WebSocket.deflate` tells.

    Raises:
        InvalidURL: ``url`` is not a WebSocket URL.
        OSError: The host is unknown, or the server cannot be reached.
        ssl.SSLError: Its certificate is not trusted (as the cause of a
            `trio.BrokenResourceError`).
        HandshakeRefused: It answered, but not with a good 101.
        trio.TooSlowError: All that took more than `Timeouts.handshake`.
    """
    target = parse_url(url)
    if tls is not None and not target.secure:
        raise ValueError(f"tls is given, but URL {url!r} is not wss://")
    check_tls(tls)
    check_deflate(deflate)
    limits, timeouts, sending = fill_in(limits, timeouts, sending)
    negotiator = None if deflate is None else Negotiator(Role.CLIENT, deflate)
    key = generate_key()
    request = build_request(
        target.host_header,
        target.resource,
        key,
        origin=origin,
        subprotocols=subprotocols,
        extensions=None if negotiator is None else negotiator.offer(),
        headers=headers,
    )
    turn, loop = loops.new_turn()
    async with owning(stream), single_connection(turn, loop) as spawn:
        service = Service(turn, None, limits, timeouts, sending, deflate, spawn)
        dialing = Dialing(service, limits, request, key, subprotocols, negotiator)
        with trio.move_on_after(timeouts.handshake) as scope:
            connected = stream if stream is not None else await _connect(target)
            if target.secure:
                connected = await _start_tls(connected, target, tls)
            _attach(turn, dialing, connected, spawn)
            dialing.on_writable()
            await dialing.done.wait()
        if scope.cancelled_caught:
            dialing.give_up()
        if dialing.error is not None:
            raise dialing.error
        assert dialing.ws is not None
        dialing.ws.adopt_context()
        async with closing(dialing.ws):
            yield dialing.ws


async def _connect(target: URL) -> trio.abc.Stream:
    return await trio.open_tcp_stream(target.host, target.port)


async def _start_tls(
    stream: trio.abc.Stream, target: URL, tls: ssl.SSLContext | None
) -> trio.abc.Stream:
    context = tls or ssl.create_default_context()
    secured = trio.SSLStream(
        stream, context, server_hostname=target.host, https_compatible=True
    )
    try:
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(secured)
        cause = error.__cause__
        why = cause or "the server closed the connection"
        raise trio.BrokenResourceError(f"TLS handshake failed: {why}") from cause
    except BaseException:
        await trio.aclose_forcefully(secured)
        raise
    return secured


def _attach(turn: Turn, owner: Owner, stream: trio.abc.Stream, spawn: Any) -> None:
    if isinstance(stream, trio.SocketStream) and isinstance(turn, Dispatcher):
        # A plain socket needs no pump: the loop watches it.
        SocketLink(turn, owner, stream.socket.detach())
    else:
        spawn(StreamLink(turn, owner, stream).run)
