"""System calls on a descriptor: the readable twin of `_syscalls`.

None of them blocks, and there is no object between the descriptor and the kernel: a
socket object takes 100 bytes for each connection, and 0.3 us for each call. Where there
was a compiler, the same functions come from `_syscalls`.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from .addresses import peer_of

if sys.platform == "linux":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Generator

# Event masks, as in <sys/epoll.h>; the select module has them on Linux only.
EPOLLIN, EPOLLOUT = 0x001, 0x004
EPOLLERR, EPOLLHUP = 0x008, 0x010
EPOLLRDHUP = 0x2000
EPOLLET = 1 << 31
# How many events one call of `poll` may bring: enough to amortise a turn of trio's own
# loop over, few enough that the tasks they wake stay in the cache (1,000 connections, a
# task for each: 27 us a message with 512, 20 with 64).
MAX_EVENTS = 64
# Parts of at least this average size go to the kernel one by one (writev); smaller ones
# are cheaper to join first.
JOIN_BELOW = 4096
# Parts in one writev: fewer than any system's IOV_MAX, and far more than pays.
MAX_PARTS = 64
# ioctl(2) of Linux: the bytes in the send queue (its other name is SIOCOUTQ).
TIOCOUTQ = 0x5411
# And those of them that have not been sent, for TCP only (linux/sockios.h).
SIOCOUTQNSD = 0x894B
# A descriptor and its events, as they lie in what `poll` fills; C has its own.
_EVENT = struct.Struct("iI")


def accept(fd: int) -> int:
    """Accept a connection, non-blocking and not inherited by children.

    Returns:
        Its descriptor; -1 if none is pending.

    Raises:
        OSError: See accept(2). It concerns the listening socket, the process, or only
            the one connection that was to be accepted.
    """
    with lend(fd) as sock:
        try:
            connection, _address = sock.accept()
        except (BlockingIOError, InterruptedError):
            return -1
    connection.setblocking(False)
    return connection.detach()


def receive(fd: int, buffer: bytearray, start: int) -> int:
    """Receive into ``buffer[start:]``.

    Returns:
        How many bytes came: 0 at the end of the stream, -1 if nothing is there, minus
        the errno if the connection is broken (recv(2) has no EPERM, which is 1). Many
        connections end like that, and an exception for each would cost more than all
        the rest of its end.
    """
    with memoryview(buffer) as whole, whole[start:] as room:
        return receive_into(fd, room)


def receive_into(fd: int, room: memoryview) -> int:
    """Receive into all of ``room``; see `receive`."""
    try:
        return os.readv(fd, [room])
    except (BlockingIOError, InterruptedError):
        return -1
    except OSError as error:
        return -(error.errno or errno.EIO)


def send(fd: int, parts: list[bytes], size: int) -> int:
    """Send ``parts``, which are ``size`` bytes together.

    Returns:
        How many bytes were taken: fewer only if the socket is full.

    Raises:
        OSError: The connection is broken, and nothing was taken.
    """
    done = 0
    try:
        if len(parts) == 1:
            return os.write(fd, parts[0])
        if size < len(parts) * JOIN_BELOW:
            return os.write(fd, b"".join(parts))
        for at in range(0, len(parts), MAX_PARTS):
            some = parts[at : at + MAX_PARTS]
            taken = os.writev(fd, some)
            done += taken
            if taken < sum(map(len, some)):
                break
    except (BlockingIOError, InterruptedError):
        pass
    except OSError:
        if not done:
            raise
    return done


def end_output(fd: int) -> None:
    """End our direction: nothing more will be sent (TCP's FIN).

    Raises:
        OSError: The connection is broken.
    """
    with lend(fd) as sock:
        sock.shutdown(socket.SHUT_WR)


def unacknowledged(fd: int) -> int:
    """Return how many bytes were sent that the peer's system has not acknowledged.

    Returns:
        For a Unix socket what the peer has not read, with overhead. 0 where the system
        cannot tell, or the descriptor is closed.
    """
    return _count(fd, TIOCOUTQ, 0)


def unsent(fd: int) -> int:
    """Return how many of those have not been sent: for lack of room at the peer.

    Returns:
        For a Unix socket the same as `unacknowledged`.
    """
    count = _count(fd, SIOCOUTQNSD, -1)
    return count if count >= 0 else unacknowledged(fd)


def _count(fd: int, question: int, otherwise: int) -> int:
    if sys.platform != "linux":
        return otherwise
    try:
        told = fcntl.ioctl(fd, question, bytes(4))
    except (OSError, ValueError):
        return otherwise
    return int.from_bytes(told, sys.byteorder)


def is_lost(fd: int) -> bool:
    """Return whether the system retransmits, and has had no acknowledgement so far.

    Bytes stay unacknowledged for other reasons as well: the peer has no room, or the
    acknowledgement is on its way.
    """
    try:
        with lend(fd) as sock:
            # tcpi_retransmits and tcpi_probes of linux/tcp.h
            told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
    except (OSError, AttributeError):
        return False  # no TCP, or a system that cannot tell
    return told[2] + told[3] > 0


def has_failed(fd: int) -> bool:
    """Return whether the connection has failed (SO_ERROR). Asking clears it."""
    with lend(fd) as sock:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def peer_address(fd: int) -> Any:
    """Return the peer's address as the socket module gives it, None if unknown."""
    try:
        with lend(fd) as sock:
            return peer_of(sock)
    except OSError:
        return None


@contextmanager
def lend(fd: int) -> Generator[socket.socket]:
    """Lend a socket object for a descriptor, for what is needed rarely.

    Raises:
        OSError: It is closed.
    """
    if fd < 0:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    sock = socket.socket(fileno=fd)
    try:
        yield sock
    finally:
        sock.detach()


def new_events(most: int) -> bytearray:
    """Return room for the ``most`` events that `poll` may find, in its own layout."""
    return bytearray(_EVENT.size * most)


def poll(epoll: Any, events: bytearray) -> int:
    """Fill ``events`` with what is ready now, without waiting; return how many."""
    found = epoll.poll(0, len(events) // _EVENT.size)
    for index, (fd, mask) in enumerate(found):
        _EVENT.pack_into(events, index * _EVENT.size, fd, mask)
    return len(found)


def polled_fd(events: bytearray, index: int) -> int:
    """Return the descriptor of the event at ``index``."""
    fd: int = _EVENT.unpack_from(events, index * _EVENT.size)[0]
    return fd


def polled_mask(events: bytearray, index: int) -> int:
    """Return the event mask at ``index``: what is ready, as epoll has it."""
    mask: int = _EVENT.unpack_from(events, index * _EVENT.size)[1]
    return mask


with suppress(ImportError):  # where there was no compiler, or no epoll
    from ._syscalls import (
        accept as accept,
        end_output as end_output,
        has_failed as has_failed,
        new_events as new_events,
        peer_address as peer_address,
        poll as poll,
        polled_fd as polled_fd,
        polled_mask as polled_mask,
        receive as receive,
        receive_into as receive_into,
        send as send,
        unacknowledged as unacknowledged,
        unsent as unsent,
    )
