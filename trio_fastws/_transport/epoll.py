# cython: annotation_typing=False
"""A reactor: one epoll for every socket of a server, and the synchronous turn over it.

Knows sockets and readiness, no frames. The task that waits and calls
`EpollDispatcher.turn` is in ``loop.py``.

Stale events. epoll reports file descriptors, and within one batch of events a
connection may be closed and its number given to a new one that was accepted in the same
batch. An event meant for the old connection then finds the new link. That is harmless
because an event is only ever a hint here: nothing is concluded from it but "try", and
what is believed is what ``recv`` says (nothing there: -1, ignored) and what
``SO_ERROR`` says. An event whose number has no link at all is dropped. A descriptor is
always unregistered before it is closed: a duplicate of it somewhere else (a forked
child) would keep a closed registration alive, reporting an event that nothing could
ever consume.

Paused connections. With no interest registered at all, a reset is reported for ever
(EPOLLHUP cannot be masked) and the loop would spin (busy-poll); with level-triggered
EPOLLRDHUP a half-closed peer does the same. Edge-triggered EPOLLRDHUP wakes us once for
a FIN and once for a reset, and unread bytes stay readable.
"""

from __future__ import annotations

import os
import select
from time import perf_counter
from typing import TYPE_CHECKING

from trio_fastws._layout import HEADROOM

from .contract import TURN_SECONDS, Dispatcher, Link, Owner
from .failing import contain
from .syscalls import (
    EPOLLERR,
    EPOLLET,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLRDHUP,
    MAX_EVENTS,
    end_output,
    has_failed,
    is_lost,
    lend,
    new_events,
    peer_address,
    poll,
    polled_fd,
    polled_mask,
    receive,
    receive_into,
    send,
    unacknowledged,
    unsent,
)
from .unsent import first_bytes, limit_unsent

if TYPE_CHECKING:
    from collections.abc import Callable


class SocketLink(Link):
    """A connected, non-blocking socket in a dispatcher's epoll.

    Holds only the descriptor: a socket object, of 100 bytes, is made for the length of
    a call where one is needed, which is rare (`syscalls.lend`).
    """

    __slots__ = ("_fd", "_mask", "_written")

    def __init__(self, dispatcher: EpollDispatcher, owner: Owner, fd: int) -> None:
        """Take over a descriptor, and close it if it cannot be watched.

        Raises:
            OSError: An epoll has limits of its own (ENOSPC, ENOMEM).
        """
        self._init_link(dispatcher, owner)
        self._fd = fd
        self._mask = EPOLLIN
        # Bytes that the kernel has taken.
        self._written = 0
        try:
            dispatcher.register(fd, self, EPOLLIN)
        except OSError:
            owner._link = None
            os.close(fd)
            raise

    def on_ready(self, events: int) -> None:
        """Write, then read, as far as the events say it is worth a try."""
        if events & EPOLLOUT and self.owner is not None:
            self.owner._on_writable()
        if self.owner is None:  # it was closed in that call
            return
        if self._mask & EPOLLIN:
            if events & ~EPOLLOUT:
                self._receive(self.owner)
        elif events & (EPOLLERR | EPOLLHUP):
            self._check_hangup(self.owner)
        elif events & EPOLLRDHUP:
            self.owner._on_half_closed()

    def read_now(self) -> None:
        """See `Link.read_now`."""
        self._dispatcher().handle(self, EPOLLIN)

    def _receive(self, owner: Owner) -> None:
        if owner._is_deferred:
            return  # its last read is not parsed yet; level-triggered: reported again
        target = owner._get_buffer() if owner._direct else None
        dispatcher = self.dispatcher
        room = dispatcher.narrow if target is None else target
        if room is None:
            size = receive(self._fd, dispatcher.buffer, HEADROOM)
        else:
            size = receive_into(self._fd, room)
        if size == -1:
            return
        if size == 0:
            self._end(owner, None)
        elif size < 0:
            self._end(owner, OSError(-size, os.strerror(-size)))
        elif target is None:
            owner._on_data(HEADROOM, HEADROOM + size)
        else:
            owner._on_filled(size)

    def _end(self, owner: Owner, error: OSError | None) -> None:
        owner._on_eof(error)
        # Nothing more to read, ever: level-triggered EPOLLIN would report the end of
        # the stream again and again.
        self._set_mask(self._mask & ~EPOLLIN | EPOLLET)

    def _check_hangup(self, owner: Owner) -> None:
        # A stale event, or a FIN from each side, is no reset.
        if has_failed(self._fd):
            self.broken = True
            owner._on_hangup()

    def write(self, parts: list[bytes], size: int) -> int:
        """See `Link.write`; one syscall, unless there are very many parts."""
        if self.broken or self._fd < 0:
            return size
        try:
            if self.unsent_limit > 0:
                taken = self._write_limited(parts, size)
            else:
                taken = send(self._fd, parts, size)
        except OSError:
            self._break()
            return size
        self._written += taken
        return taken

    def _write_limited(self, parts: list[bytes], size: int) -> int:
        room = self.unsent_limit - unsent(self._fd)
        taken = 0
        if room >= size:
            taken = send(self._fd, parts, size)
        elif room > 0:
            taken = send(self._fd, first_bytes(parts, room), room)
        if taken < size and self._mask & EPOLLOUT:
            # The limit stopped it, not a full socket buffer. A paused link is watched
            # edge-triggered, and there is no edge to come: this makes epoll look anew.
            self._dispatcher().epoll.modify(self._fd, self._mask)
        return taken

    def _limit_unsent(self, size: int) -> None:
        try:
            with lend(self._fd) as sock:
                if limit_unsent(sock, size):
                    self.unsent_limit = size
        except OSError:
            return  # it is closed

    def _break(self) -> None:
        # What arrived before is still read, and then the end, for the peer is gone. A
        # paused link is watched edge-triggered, and the edge may have passed.
        self.broken = True
        if not self._mask & EPOLLIN and self.owner is not None:
            self.dispatcher.mark(self.owner)

    def unacknowledged(self) -> int:
        """See `Link.unacknowledged`."""
        return unacknowledged(self._fd)

    def is_lost(self) -> bool:
        """See `Link.is_lost`."""
        return is_lost(self._fd)

    def acknowledged(self, on_the_way: bool = False) -> int:
        """See `Link.acknowledged`."""
        rest = unsent(self._fd) if on_the_way else unacknowledged(self._fd)
        return self._written - rest

    def want(self, read: bool, write: bool) -> None:
        """See `Link.want`."""
        mask = EPOLLIN if read else EPOLLET | EPOLLRDHUP
        if write:
            mask |= EPOLLOUT
        self._set_mask(mask)

    def _set_mask(self, mask: int) -> None:
        if mask != self._mask and self._fd >= 0:
            self._mask = mask
            self._dispatcher().epoll.modify(self._fd, mask)

    def _dispatcher(self) -> EpollDispatcher:
        dispatcher = self.dispatcher
        assert isinstance(dispatcher, EpollDispatcher)
        return dispatcher

    def end_output(self, unread: bool = False) -> None:
        """See `Link.end_output`."""
        try:
            end_output(self._fd)
        except OSError:
            # ENOTCONN: the peer has reset the connection; reading says so too.
            self.broken = True

    def close(self) -> None:
        """See `Link.close`. Harmless when closed already."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        self._release()
        self._dispatcher().unregister(fd)
        os.close(fd)

    def peer_address(self) -> object:
        """See `Link.peer_address`; None once the socket is closed."""
        address: object = peer_address(self._fd)
        return address

    def local_address(self) -> object:
        """See `Link.local_address`; None once the socket is closed."""
        try:
            with lend(self._fd) as sock:
                return sock.getsockname()
        except OSError:
            return None


class EpollDispatcher(Dispatcher):
    """A dispatcher with an epoll for the sockets of its links."""

    __slots__ = ("_count", "_events", "_links", "_position", "epoll")

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.epoll = select.epoll()
        # Indexed by descriptor. The kernel hands out the lowest free number, so a list
        # is both smaller and faster than a dict.
        self._links: list[Link | None] = []
        # What the last call of `poll` brought, and how far we are in it: a
        # turn that runs out of time goes on from here. Dropping the rest would
        # lose the edge-triggered events in it.
        self._events = new_events(MAX_EVENTS)
        self._count: int = 0
        self._position: int = 0

    def register(self, fd: int, link: Link, mask: int) -> None:
        """Watch ``fd``; `Link.on_ready` is called with its events."""
        while len(self._links) <= fd:
            self._links.append(None)
        self.epoll.register(fd, mask)
        self._links[fd] = link

    def unregister(self, fd: int) -> None:
        """Stop watching ``fd``; call it before the descriptor is closed."""
        self._links[fd] = None
        self.epoll.unregister(fd)

    def turn(self) -> bool:
        """Handle everything that is ready, as long as the turn's time lasts.

        Returns:
            Whether something is left that need not wait for the kernel.
        """
        # As `begin` does it, for all that happens here.
        self.number += 1
        self.now = self.clock()
        self.until = perf_counter() + TURN_SECONDS
        late = self.now >= self.wake_at and self.tick()
        if self._deferred:
            self.run_deferred()
        links = self._links
        events = self._events
        while True:
            polled = self._position == self._count
            if polled:
                self._count = poll(self.epoll, events)
                self._position = 0
            while self._position < self._count:
                link = links[polled_fd(events, self._position)]
                mask = polled_mask(events, self._position)
                self._position += 1
                if link is not None:
                    self.handle(link, mask)
                # After each of them: one may inflate and compress for a millisecond.
                if perf_counter() >= self.until:
                    break
            if self._marked:
                late = self.flush() or late
            # To poll once more costs one syscall; a turn of trio's loop costs as
            # much as some fifty. But tasks that were woken want to run.
            if (
                (polled and self._count == 0)
                or self.woken
                # They go on in the next turn; until then a link that has more to
                # read would be reported again and again.
                or len(self._deferred) > 0
                or perf_counter() >= self.until
            ):
                break
        self.woken = False
        # All of `events` was filled: there may be more, and to wait for it costs more
        # than to poll again.
        left = self._position < self._count or self._count == MAX_EVENTS
        return late or left or len(self._marked) > 0 or len(self._deferred) > 0

    def handle(self, link: Link, events: int) -> None:
        """Call `Link.on_ready`; what that raises costs this link alone."""
        try:
            link.on_ready(events)
        except Exception as error:  # noqa: BLE001 - isolation
            contain(self, link.owner, error)

    def close(self) -> None:
        """Close every link and the epoll; nobody may be waiting on it."""
        for link in self._links:
            if link is not None:
                link.close()
        self.epoll.close()
        Dispatcher.close(self)
