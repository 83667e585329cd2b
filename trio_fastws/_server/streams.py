"""Accepting streams: everything that is not a plain socket in our own epoll.

Owns the loop over a listener's ``accept``, and one task for each stream: TLS's
handshake if it is asked for, then the pump that moves bytes. What a listener or a
stream raises costs itself: it is logged, and the server goes on.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

import trio

from trio_fastws._transport.close_notify import as_tls
from trio_fastws._transport.failing import log_stream_failure
from trio_fastws._transport.lifetimes import cancel
from trio_fastws._transport.listening import BATCH, REST_SECONDS
from trio_fastws._transport.logs import log, logger
from trio_fastws._transport.open_listeners import close_listeners
from trio_fastws._transport.stream_link import StreamLink, close_stream

from .handshake import PendingHandshake
from .refusals import TIMEOUT, TLS_FAILED

if TYPE_CHECKING:
    import ssl

    from .admission import Admission


class StreamAcceptor:
    """What the streams of one server's listeners have in common.

    Attributes:
        pumps: What they have not written yet goes out before the server ends.
    """

    def __init__(
        self,
        admission: Admission,
        ssl_context: ssl.SSLContext | None,
        links: trio.Nursery,
    ) -> None:
        """Accept nothing yet.

        Args:
            admission: Of the handshakes.
            ssl_context: Have each stream speak TLS with this context.
            links: Where the streams' tasks run.
        """
        self.pumps: set[StreamLink] = set()
        self._admission = admission
        self._ssl_context = ssl_context
        self._links = links

    def begin(self, stream: trio.abc.Stream) -> None:
        """Begin the handshake of a stream that was accepted."""
        handshake = PendingHandshake(self._admission, trio.current_time())
        self._links.start_soon(self._run, stream, handshake)

    async def _run(self, stream: trio.abc.Stream, handshake: PendingHandshake) -> None:
        link: StreamLink | None = None
        try:
            if self._ssl_context is not None:
                stream = trio.SSLStream[trio.abc.Stream](
                    stream, self._ssl_context, server_side=True, https_compatible=True
                )
            secure = as_tls(stream)
            handshake.tls = secure
            if secure is not None:
                await self._start_tls(secure, handshake)
            if not handshake.over:
                dispatcher = self._admission.shared.dispatcher
                link = StreamLink(dispatcher, handshake, stream)
                dispatcher.schedule(handshake, handshake.deadline)
                self.pumps.add(link)
                await link.run()
                self.pumps.discard(link)
        except* Exception as group:  # noqa: BLE001 - isolation: logged, this one ends
            log_stream_failure(group, handshake)
        finally:
            handshake.close()
            if link is None:  # which would have closed it
                await close_stream(stream)

    async def _start_tls(
        self, stream: trio.SSLStream[trio.abc.Stream], handshake: PendingHandshake
    ) -> None:
        with trio.move_on_at(handshake.deadline) as handshake.scope:
            try:
                await stream.do_handshake()
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                cause = error.__cause__ or error
                log(logging.DEBUG, handshake, "TLS handshake failed: %s", cause)
                handshake.close(TLS_FAILED)
        if handshake.scope.cancelled_caught and not handshake.over:
            seconds = self._admission.seconds
            text = "no TLS handshake within %g s (Timeouts.handshake)"
            log(logging.DEBUG, handshake, text, seconds)
            handshake.close(TIMEOUT)
        handshake.scope = None


class AcceptingTask:
    """Accepts what one listener has, in a task."""

    def __init__(
        self, acceptor: StreamAcceptor, listener: trio.abc.Listener[trio.abc.Stream]
    ) -> None:
        """Accept nothing yet; see `run`.

        Args:
            acceptor: Goes on with the streams.
            listener: Closed after `close`.
        """
        self._acceptor = acceptor
        self._listener = listener
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Accept until `close`, until cancelled, or until the listener is closed."""
        try:
            with self._scope:
                await self._accept_all()
        except* Exception as group:  # noqa: BLE001 - beside Cancelled, in one group
            _complain(group)
        if self._scope.cancelled_caught:
            await close_listeners((self._listener,))

    async def _accept_all(self) -> None:
        complained = False
        while True:
            try:
                stream = await self._listener.accept()
            except (trio.ClosedResourceError, trio.EndOfChannel):
                logger.info("a listener was closed; the server goes on without it")
                return
            except Exception as error:  # noqa: BLE001 - isolation: logged, tried again
                if not complained:
                    _complain(error)
                complained = True
                await trio.sleep(REST_SECONDS)
                continue
            complained = False
            self._acceptor.begin(stream)

    def accept_now(self) -> bool:
        """Accept a batch of what the kernel has accepted; return if there may be more.

        Of a listener that is not trio's own nobody knows what it has.
        """
        if type(self._listener) is not trio.SocketListener:
            return False
        if self._listener.socket.fileno() < 0:  # closed by whoever gave it
            return False
        try:
            # By another descriptor: trio's own `accept` would wait.
            copy = self._listener.socket.dup()
            with socket.socket(fileno=copy.detach()) as sock:
                sock.setblocking(False)
                for _ in range(BATCH):
                    stream = trio.SocketStream(
                        trio.socket.from_stdlib_socket(sock.accept()[0])
                    )
                    self._acceptor.begin(stream)
        except BlockingIOError:
            return False
        except OSError as error:
            _complain(error)
            return False
        return True

    def close(self) -> None:
        """Stop accepting, then close the listener. Not a checkpoint."""
        cancel(self._scope, "the server accepts no more")


def _complain(error: Exception) -> None:
    if isinstance(error, OSError):
        logger.error("cannot accept connections: %s", error.strerror or error)
    else:
        logger.error(
            "exception in a listener's accept; trying again every %g s",
            REST_SECONDS,
            exc_info=error,
        )
