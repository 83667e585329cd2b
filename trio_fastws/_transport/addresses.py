"""Addresses of peers, as the kernel has them and as the socket module gives them."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from typing import Any

# Linux keeps the peer's address when `getpeername` fails after a reset. The number is
# from asm-generic/socket.h; the socket module does not name it.
SO_PEERNAME = 28
# Of struct sockaddr_in6 and sockaddr_in: it must not be more than the address has.
SIZES = (28, 16)


def to_address(name: bytes) -> Any:
    """Return a ``struct sockaddr`` as the socket module would, None if unknown."""
    family = int.from_bytes(name[:2], sys.byteorder)
    port = int.from_bytes(name[2:4], "big")
    if family == socket.AF_INET:
        return socket.inet_ntop(family, name[4:8]), port
    if family == socket.AF_INET6:
        host = socket.inet_ntop(family, name[8:24])
        scope = int.from_bytes(name[24:28], sys.byteorder)
        with suppress(OSError):  # no scope, or an interface that is gone
            host += f"%{socket.if_indextoname(scope)}"
        return host, port, int.from_bytes(name[4:8], "big"), scope
    if name and family == socket.AF_UNIX:
        path = name[2:]
        # An abstract name begins with a zero byte (unix(7)).
        return path if path[:1] == b"\0" else os.fsdecode(path.partition(b"\0")[0])
    return None


def peer_of(sock: Any) -> Any:
    """Return the address of a socket's peer, also after a reset; None if unknown.

    Args:
        sock: A socket, of the standard library or of trio.
    """
    try:
        return sock.getpeername()
    except OSError:
        return _former_peer(sock) if sys.platform == "linux" else None


def _former_peer(sock: Any) -> Any:
    for size in SIZES:
        with suppress(OSError):
            return to_address(sock.getsockopt(socket.SOL_SOCKET, SO_PEERNAME, size))
    return None
