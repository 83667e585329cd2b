"""The socket under a trio stream, and what the system says of its bytes.

A stream moves bytes and tells no more. How far the peer's system has come, and who the
peer is, the innermost socket knows: below TLS, and below TLS within TLS. A memory
stream or a tunnel has none.
"""

from __future__ import annotations

import socket
import sys
from typing import Any, cast

import trio

from . import syscalls
from .addresses import peer_of
from .unsent import limit_unsent

# Where tcpi_bytes_acked stands in what TCP_INFO gives (linux/tcp.h).
BYTES_ACKED = 120


class StreamSocket:
    """The innermost socket of a stream; see `socket_under`. May be closed meanwhile."""

    __slots__ = ("_socket",)

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._socket = sock

    def unacknowledged(self) -> int:
        """See `syscalls.unacknowledged`."""
        return syscalls.unacknowledged(self._socket.fileno())

    def is_lost(self) -> bool:
        """See `syscalls.is_lost`."""
        return syscalls.is_lost(self._socket.fileno())

    def acknowledged(self, written: int, on_the_way: bool) -> int:
        """See `Link.acknowledged`.

        Args:
            written: How many bytes the stream has taken and passed on.
            on_the_way: Whether to count what has left and is not acknowledged yet.
        """
        rest = self.unacknowledged()
        done = self._bytes_acked()
        if done is None:
            done = written - rest
        if not on_the_way:
            return done
        return done + rest - syscalls.unsent(self._socket.fileno())

    def _bytes_acked(self) -> int | None:
        # What went over the wire, where the system counts it: TLS makes more of what
        # was written.
        sock = self._socket
        if sock.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
            return None
        size = BYTES_ACKED + 8
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
        except OSError:
            return None  # closed meanwhile
        if len(info) < size:
            return None  # an older kernel
        return int.from_bytes(info[BYTES_ACKED:], sys.byteorder)

    def limit_unsent(self, size: int) -> None:
        """See `unsent.limit_unsent`."""
        limit_unsent(self._socket, size)

    def peer_address(self) -> object:
        """Return the peer's address as the socket module gives it, or None."""
        address: object = peer_of(self._socket)
        return address

    def local_address(self) -> object:
        """Return our own address as the socket module gives it, or None."""
        try:
            return self._socket.getsockname()
        except OSError:
            return None


def socket_under(stream: Any) -> StreamSocket | None:
    """Return the innermost socket of a stream, None if there is none."""
    while isinstance(stream, trio.SSLStream):
        stream = cast("Any", stream).transport_stream
    return (
        StreamSocket(stream.socket) if isinstance(stream, trio.SocketStream) else None
    )
