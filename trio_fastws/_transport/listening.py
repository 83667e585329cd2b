"""Accepting connections in the dispatcher, in batches.

Owns listening sockets and when they rest: while the process has no descriptors left
(EMFILE, ENFILE), or accepting fails otherwise. It would fail again at once, for ever:
the pending connections keep the socket readable.
"""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING

from . import syscalls
from .contract import Link, Owner
from .epoll import EpollDispatcher
from .failing import log_failure
from .logs import logger
from .syscalls import EPOLLIN

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

# Connections accepted in one turn. A burst must not hold up those that exist: the rest
# is accepted in the next turn.
BATCH = 64
# How long accepting rests when descriptors ran out, in seconds.
REST_SECONDS = 0.1

# accept(2): "already pending network errors on the new socket" concern only that one,
# not the listener.
_PEER_ERRORS = {
    errno.ECONNABORTED,
    errno.EPERM,
    errno.EPROTO,
    errno.ENETDOWN,
    errno.ENOPROTOOPT,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EOPNOTSUPP,
    errno.ENETUNREACH,
}


class Listener(Owner):
    """One listening socket, and what is done with its connections."""

    __slots__ = ("_accepted", "_complained")

    def __init__(
        self,
        dispatcher: EpollDispatcher,
        sock: socket.socket,
        accepted: Callable[[int], None],
    ) -> None:
        """Start to accept.

        Args:
            dispatcher: Whose epoll watches the socket.
            sock: Listening and non-blocking; closed by `close`.
            accepted: Called with the descriptor of every new, non-blocking
                connection, which is then its to close.
        """
        super().__init__()
        self._accepted = accepted
        # Whether it was logged that descriptors ran out; once is enough.
        self._complained = False
        ListeningLink(dispatcher, self, sock)

    def accept(self, fd: int) -> bool:
        """Accept connections that are pending on a listening descriptor, a batch.

        Returns:
            Whether there may be more.
        """
        for _ in range(BATCH):
            if self._link is None:  # closed by what `accepted` did
                return False
            try:
                connection = syscalls.accept(fd)
            except OSError as error:
                if error.errno in _PEER_ERRORS:
                    continue
                # Descriptors ran out, or another error: the socket stays readable, so
                # trying again at once would busy-poll.
                self._run_out(error)
                return False
            if connection < 0:
                return False
            self._complained = False
            try:
                self._accepted(connection)
            except Exception as error:  # noqa: BLE001 - isolation: one connection's
                log_failure(error)
        return True

    def accept_now(self) -> bool:
        """As `accept`, without waiting for the kernel to report one."""
        link = self._link
        return isinstance(link, ListeningLink) and self.accept(link.fileno())

    def _rest(self) -> None:
        link = self._link
        if link is not None:
            link.want(False, False)
            link.dispatcher.schedule(self, link.dispatcher.time() + REST_SECONDS)

    def _run_out(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            logger.error(
                "cannot accept connections: %s; trying again every %g s",
                error.strerror,
                REST_SECONDS,
            )
        self._rest()

    def _on_deadline(self, now: float) -> float:
        """Accept again."""
        if self._link is not None:
            self._link.want(True, False)
        return math.inf

    def _on_failure(self, error: Exception) -> None:
        """Accept again in a moment: one failure must not end a server."""
        log_failure(error)
        self._rest()

    def close(self) -> None:
        """Stop listening."""
        if self._link is not None:
            self._link.dispatcher.wheel.cancel(self)
            self._link.close()


class ListeningLink(Link):
    """A listening socket in the dispatcher's epoll."""

    __slots__ = ("_fd", "_socket")

    def __init__(
        self, dispatcher: EpollDispatcher, owner: Listener, sock: socket.socket
    ) -> None:
        super().__init__(dispatcher, owner)
        self._socket = sock
        self._fd = sock.fileno()
        dispatcher.register(self._fd, self, EPOLLIN)

    def fileno(self) -> int:
        """Return the listening descriptor."""
        return self._fd

    def on_ready(self, events: int) -> None:
        """See `Link.on_ready`: the owner accepts."""
        owner = self.owner
        if isinstance(owner, Listener):
            owner.accept(self._fd)

    def want(self, read: bool, write: bool) -> None:
        """See `Link.want`: a listener has no peer that could hang up."""
        dispatcher = self.dispatcher
        assert isinstance(dispatcher, EpollDispatcher)
        dispatcher.epoll.modify(self._fd, EPOLLIN if read else 0)

    def close(self) -> None:
        """See `Link.close`."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        self._release()
        dispatcher = self.dispatcher
        assert isinstance(dispatcher, EpollDispatcher)
        dispatcher.unregister(fd)
        self._socket.close()
