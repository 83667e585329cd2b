"""Accepting connections in the dispatcher, in batches.

Owns listening sockets and when they rest: while the process has no descriptors left
(EMFILE, ENFILE), or accepting fails otherwise. It would fail again at once, for ever:
the pending connections keep the socket readable.
"""

from __future__ import annotations

import errno
import math
import socket
from typing import TYPE_CHECKING, Any

import trio

from . import syscalls
from .contract import Link, Owner
from .epoll import EpollDispatcher
from .failing import log_failure
from .logs import logger
from .syscalls import EPOLLIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Accepted in one go. A burst of connections must not hold the others up: the
# rest is accepted in the next turn.
BATCH = 64
# Ports to try until one is free for IPv4 and IPv6 alike.
ATTEMPTS = 16
# As trio: the system caps it at its own maximum.
BACKLOG = 0xFFFF
# How long accepting rests when descriptors ran out.
REST_SECONDS = 0.1

# accept(2): "already pending network errors on the new socket" are its own
# affair, not the listener's.
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
        # Whether it was said that descriptors ran out; once is enough.
        self._complained = False
        ListeningLink(dispatcher, self, sock)

    def accept(self, fd: int) -> None:
        """Accept what is there on a listening descriptor."""
        for _ in range(BATCH):
            if self._link is None:  # closed by what `accepted` did
                return
            try:
                connection = syscalls.accept(fd)
            except OSError as error:
                if error.errno in _PEER_ERRORS:
                    continue
                # Descriptors ran out, or what nobody expected: the socket stays
                # readable, so do not ask again at once.
                self._run_out(error)
                return
            if connection < 0:
                return
            self._complained = False
            try:
                self._accepted(connection)
            except Exception as error:  # noqa: BLE001 - isolation: one connection's
                log_failure(error)

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
        """Go on in a moment: no connection may cost the others theirs."""
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

    def on_ready(self, events: int) -> None:
        """See `Link.on_ready`: the owner accepts."""
        owner = self.owner
        if isinstance(owner, Listener):
            owner.accept(self._fd)

    def want(self, read: bool, write: bool) -> None:
        """Watch the socket, or do not: nobody can hang up on a listener."""
        dispatcher = self.dispatcher
        assert isinstance(dispatcher, EpollDispatcher)
        dispatcher.epoll.modify(self._fd, EPOLLIN if read else 0)

    def close(self) -> None:
        """See `Link.close`."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        if self.owner is not None:
            self.owner._link = None
            self.owner = None
        dispatcher = self.dispatcher
        assert isinstance(dispatcher, EpollDispatcher)
        dispatcher.unregister(fd)
        self._socket.close()


async def open_listeners(
    port: int, host: str | bytes | None
) -> list[trio.SocketListener]:
    """Open TCP listeners as `trio.open_tcp_listeners`, all on one port.

    With port 0 trio lets the system choose a port for IPv4 and another for
    IPv6; a server that prints "listening on port" needs one.
    """
    for _ in range(ATTEMPTS):
        listeners = await trio.open_tcp_listeners(port, host=host)
        if port != 0 or len(listeners) == 1:
            return listeners
        chosen = listeners[0].socket.getsockname()[1]
        moved = [listeners[0]]
        try:
            for listener in listeners[1:]:
                moved.append(await _move(listener, chosen))  # noqa: PERF401 - `moved` is closed if this fails
        except BaseException as error:
            # Cancelled as well: `bind` is a checkpoint.
            for listener in (*moved, *listeners):
                listener.socket.close()
            if getattr(error, "errno", None) != errno.EADDRINUSE:
                raise
        else:
            return moved
    raise OSError(errno.EADDRINUSE, "no port is free for IPv4 and IPv6 alike")


async def close_listeners(listeners: Iterable[trio.abc.Listener[Any]]) -> None:
    """Close listeners; what one raises is logged and keeps none from being closed."""
    for listener in listeners:
        try:
            await listener.aclose()
        except* Exception as group:  # noqa: BLE001 - isolation: logged
            logger.exception("exception in a listener's aclose", exc_info=group)


async def _move(listener: trio.SocketListener, port: int) -> trio.SocketListener:
    # The same address, on another port.
    old = listener.socket
    address = old.getsockname()
    old.close()
    sock = trio.socket.socket(old.family, old.type, old.proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if old.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        await sock.bind((address[0], port, *address[2:]))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return trio.SocketListener(sock)
