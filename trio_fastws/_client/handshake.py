"""A client's connection until it is a WebSocket: dialled, secured, agreed upon.

Owns the link during the opening handshake, and when to make do with what has come.
What a good answer is, is the machine's business (`ClientHandshake`).
"""

from __future__ import annotations

import math
import socket
import ssl
from typing import TYPE_CHECKING, Any

import trio

from trio_fastws._connection.opening import Agreed, open_connection
from trio_fastws._exceptions import (
    HandshakeRefused,
    OpeningTimeoutError,
    TLSHandshakeError,
    UnreachableError,
)
from trio_fastws._protocol.handshake.dialling import Accepted, ClientHandshake, Refused
from trio_fastws._transport.contract import Dispatcher, Owner
from trio_fastws._transport.epoll import EpollDispatcher, SocketLink
from trio_fastws._transport.stream_link import StreamLink

if TYPE_CHECKING:
    from trio_fastws._config.compression import Negotiator
    from trio_fastws._connection.shared import Shared
    from trio_fastws._connection.websocket import WebSocket
    from trio_fastws._protocol.handshake.url import URL

# Once it is known that a server refuses, so many seconds are waited for the rest of
# what it says: three round trips to the far side of the world.
REST_SECONDS = 1.0

# What OpenSSL calls the first bytes of another protocol, in its versions.
NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})


class Connecting(Owner):
    """The client's side of an opening handshake, until it is decided.

    Made in the task that will use the WebSocket: its context variables are those of
    the connection.

    Attributes:
        done: Set when it is decided.
        ws: What came of it, or None.
        error: Why nothing came of it, or None.
    """

    __slots__ = (
        "_deadline",
        "_handshake",
        "_negotiator",
        "_out",
        "_seconds",
        "_shared",
        "_target",
        "done",
        "error",
        "ws",
    )

    def __init__(
        self,
        shared: Shared,
        handshake: ClientHandshake,
        negotiator: Negotiator | None,
        target: str,
        seconds: float,
    ) -> None:
        """Begin without a link.

        Args:
            shared: Of the WebSocket that comes of it.
            handshake: Whose request is sent.
            negotiator: Of compression; None without it.
            target: What is asked for, for logs.
            seconds: How long all of it may take; the caller has the deadline.
        """
        super().__init__()
        self._context = trio.lowlevel.current_task().context
        self._shared = shared
        self._handshake = handshake
        self._negotiator = negotiator
        self._target = target
        self._seconds = seconds
        self._out = handshake.request
        # When to make do with what came of a refusal.
        self._deadline = math.inf
        self.done = trio.Event()
        self.error: Exception | None = None
        self.ws: WebSocket | None = None

    def begin(self, stream: trio.abc.Stream) -> None:
        """Attach to a stream, which is connected, and send the request."""
        dispatcher = self._shared.dispatcher
        _attach(dispatcher, self, stream, self._shared.spawn)
        self._on_writable()

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
        data = bytes(dispatcher.buffer[start:stop])
        outcome = self._handshake.receive(data)
        if isinstance(outcome, Accepted):
            self._open(outcome, data)
        elif outcome is not None:
            self._fail(outcome)
        elif self._handshake.decided and self._deadline == math.inf:
            # Once: a peer that goes on saying a little does not move it.
            self._deadline = dispatcher.time() + REST_SECONDS
            dispatcher.schedule(self, self._deadline)

    def _open(self, accepted: Accepted, data: bytes) -> None:
        link, negotiator = self._link, self._negotiator
        assert link is not None
        deflate = None
        if negotiator is not None and accepted.deflate is not None:
            deflate = negotiator.agree(accepted.deflate)
        subprotocol, response = accepted.subprotocol, accepted.response
        agreed = Agreed(self._target, subprotocol, deflate, b"", response)
        # RFC 6455 4.1: bytes after the head are frames already.
        early = data[len(data) - accepted.rest :]
        self.ws = open_connection(self._shared, link, agreed, early)
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
            self.error = OpeningTimeoutError(0, f"no {missing} within {seconds}")

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


async def connect(target: URL) -> trio.SocketStream:
    """Connect to the host of a URL. A checkpoint.

    Raises:
        UnreachableError: The host is unknown, or cannot be reached.
    """
    try:
        return await trio.open_tcp_stream(target.host, target.port)
    except socket.gaierror as error:
        reason = f"cannot find host {target.host}: {error.strerror}"
        raise UnreachableError(reason, error.errno) from error
    except OSError as error:
        raise UnreachableError(str(error), error.errno) from error


async def start_tls(
    stream: trio.abc.Stream, target: URL, ssl_context: ssl.SSLContext | None
) -> trio.abc.Stream:
    """Start TLS on a stream, which is closed if that fails. A checkpoint.

    Args:
        stream: The connection.
        target: Whose host the certificate must name.
        ssl_context: The context; None for `ssl.create_default_context`.

    Raises:
        TLSHandshakeError: It failed; the text and the cause say why.
    """
    context = ssl_context or ssl.create_default_context()
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
        raise TLSHandshakeError(0, f"TLS handshake failed: {why}") from cause
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
