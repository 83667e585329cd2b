"""The client: dial, shake hands, hand a WebSocket to a block of code.

Owns the scope of one client connection. The loop (and the pump, over TLS) runs
in a nursery of the block, shielded, so that the block's end is the only thing
that ends it, after a closing handshake that is bounded in time.
"""

from __future__ import annotations

import math
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from trio_fastws._config.arguments import check_deflate, check_tls, fill_in
from trio_fastws._config.compression import Negotiator
from trio_fastws._config.options import get_message_size
from trio_fastws._connection.shared import Shared
from trio_fastws._connection.websocket import WebSocket
from trio_fastws._exceptions import HandshakeRefused
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.handshake.dialling import Accepted, ClientHandshake, Refused
from trio_fastws._protocol.handshake.url import URL, parse_url
from trio_fastws._transport import loop as loops
from trio_fastws._transport.contract import Dispatcher, Owner
from trio_fastws._transport.epoll import EpollDispatcher, SocketLink
from trio_fastws._transport.lifetimes import owning, single_connection
from trio_fastws._transport.stream_link import StreamLink
from trio_fastws._version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from trio_fastws._config.options import Limits, PerMessageDeflate, Sending, Timeouts

# Sent as User-Agent unless the caller has another: bot rules refuse who sends none.
USER_AGENT = f"trio_fastws/{__version__}"

# Once it is known that a server refuses, so many seconds are waited for the rest of
# what it says: three round trips to the far side of the world.
REST_SECONDS = 1.0


# What OpenSSL calls the first bytes of another protocol, in its versions.
NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})


class Dialing(Owner):
    """The client's side of an opening handshake, until it is decided."""

    __slots__ = (
        "_deadline",
        "_handshake",
        "_limits",
        "_negotiator",
        "_out",
        "_seconds",
        "_service",
        "done",
        "error",
        "ws",
    )

    def __init__(
        self,
        shared: Shared,
        limits: Limits,
        handshake: ClientHandshake,
        negotiator: Negotiator | None,
        seconds: float,
    ) -> None:
        super().__init__()
        # How long all of it may take; whoever waits for it has the deadline.
        self._seconds = seconds
        self._service = shared
        self._limits = limits
        self._handshake = handshake
        # Of compression; None without it.
        self._negotiator = negotiator
        self._out = handshake.request
        # When to make do with what came of a refusal.
        self._deadline = math.inf
        self.done = trio.Event()
        self.error: Exception | None = None
        self.ws: WebSocket | None = None

    def _on_writable(self) -> None:
        """See `Owner._on_writable`: send the request, or the rest of it."""
        link = self._link
        assert link is not None
        taken = link.write([self._out], len(self._out))
        self._out = self._out[taken:]
        link.want(True, len(self._out) > 0)

    def _on_data(self, start: int, stop: int) -> None:
        """See `Owner._on_data`."""
        link = self._link
        assert link is not None
        dispatcher = link.dispatcher
        outcome = self._handshake.receive(bytes(dispatcher.buffer[start:stop]))
        if isinstance(outcome, Accepted):
            # RFC 6455 4.1: bytes after the head are frames already. They lie at the
            # end of this read.
            self._open(outcome, stop - outcome.rest, stop)
        elif outcome is not None:
            self._fail(outcome)
        elif self._handshake.decided and self._deadline == math.inf:
            # Once: a peer that goes on saying a little does not move it.
            self._deadline = dispatcher.time() + REST_SECONDS
            dispatcher.schedule(self, self._deadline)

    def _open(self, accepted: Accepted, start: int, stop: int) -> None:
        link, negotiator = self._link, self._negotiator
        assert link is not None
        agreement = None
        if negotiator is not None and accepted.deflate is not None:
            agreement = negotiator.agree(accepted.deflate)
        limits = self._limits
        endpoint = Endpoint(
            Role.CLIENT,
            get_message_size(limits, Role.CLIENT),
            limits.fragments,
            agreement,
        )
        self.ws = WebSocket(self._service, endpoint, link)
        self.ws.subprotocol = accepted.subprotocol
        self.ws.response = accepted.response
        self.ws._open(start, stop)
        self.done.set()

    def give_up(self, missing: str = "answer") -> None:
        """Make do with what has come: the time is over.

        Args:
            missing: What has not come.
        """
        refused = self._handshake.give_up()
        if refused is not None:
            self._fail(refused)
        else:
            seconds = f"{self._seconds:g} s (Timeouts.handshake)"
            self.error = trio.TooSlowError(f"no {missing} within {seconds}")

    def _fail(self, refused: Refused) -> None:
        self.error = HandshakeRefused(*refused)
        self.done.set()
        link = self._link
        if link is not None:
            link.dispatcher.wheel.cancel(self)
            link.close()

    def _on_eof(self, error: OSError | None) -> None:
        """See `Owner._on_eof`."""
        cause = "" if error is None else error.strerror or str(error)
        self._fail(self._handshake.receive_end(cause))

    def _on_hangup(self) -> None:
        """See `Owner._on_hangup`."""
        self._on_eof(None)

    def _on_mark(self) -> None:
        """See `Owner._on_mark`: a write has failed; reading says why."""

    def _on_deadline(self, now: float) -> float:
        """Make do with what came of a refusal; the rest has its limit elsewhere."""
        if now < self._deadline:
            return self._deadline
        self.give_up()
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
        headers: More fields of the request: pairs of name and value. A Host or
            User-Agent among them replaces ours; ``("User-Agent", "")`` sends none.
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
        HandshakeRefused: It answered, but not with a good 101. Told at once when
            the answer is complete, at the latest a second after its head.
        trio.TooSlowError: All that took more than `Timeouts.handshake`.
    """
    target = parse_url(url)
    if tls is not None and not target.secure:
        raise ValueError(f"tls is given, but URL {url!r} is not wss://")
    check_tls(tls)
    check_deflate(deflate)
    limits, timeouts, sending = fill_in(limits, timeouts, sending)
    negotiator = None if deflate is None else Negotiator(Role.CLIENT, deflate)
    handshake = ClientHandshake(
        target,
        origin=origin,
        subprotocols=subprotocols,
        headers=headers,
        user_agent=USER_AGENT,
        deflate=None if negotiator is None else negotiator.wanted,
        max_head=limits.request_head,
        max_fields=limits.request_fields,
    )
    dispatcher, loop = loops.new_dispatcher()
    async with owning(stream), single_connection(dispatcher, loop) as spawn:
        shared = Shared(
            dispatcher, None, limits, timeouts, sending, deflate, spawn, Role.CLIENT
        )
        dialing = Dialing(shared, limits, handshake, negotiator, timeouts.handshake)
        missing = "connection"
        with trio.move_on_after(timeouts.handshake) as scope:
            connected = stream if stream is not None else await _connect(target)
            if target.secure:
                missing = "TLS handshake"
                connected = await _start_tls(connected, target, tls)
            missing = "answer"
            _attach(dispatcher, dialing, connected, spawn)
            dialing._on_writable()
            await dialing.done.wait()
        if scope.cancelled_caught:
            dialing.give_up(missing)
        if dialing.error is not None:
            raise dialing.error
        assert dialing.ws is not None
        dialing.ws._adopt_context()
        dialing.ws._adopt_request(target.resource)
        async with dialing.ws:
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
        why = str(cause or "the server closed the connection")
        if isinstance(cause, ssl.SSLError) and cause.reason in NOT_TLS:
            why += "; what came is no TLS: is it a ws:// URL?"
        raise trio.BrokenResourceError(f"TLS handshake failed: {why}") from cause
    except BaseException:
        await trio.aclose_forcefully(secured)
        raise
    return secured


def _attach(
    dispatcher: Dispatcher, owner: Owner, stream: trio.abc.Stream, spawn: Any
) -> None:
    if isinstance(stream, trio.SocketStream) and isinstance(
        dispatcher, EpollDispatcher
    ):
        # A plain socket needs no pump: the loop watches it.
        SocketLink(dispatcher, owner, stream.socket.detach())
    else:
        spawn(StreamLink(dispatcher, owner, stream).run)
