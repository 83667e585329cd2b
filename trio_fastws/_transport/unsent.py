"""What the kernel has taken of a TCP connection, and has not sent yet.

For a peer that reads slowly it takes megabytes, out of reach of every policy. The
option TCP_NOTSENT_LOWAT bounds them. Unlike a small SO_SNDBUF it does not bound what is
under way: a fast connection stays fast. A socket is reported writable when less than
half of the limit is unsent; but one write may go beyond it by 32 KiB (Linux 6.18). So
a write asks first how much is unsent.
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trio

# Python names it from 3.12 on; this is <linux/tcp.h>.
_NOTSENT_LOWAT: int | None = getattr(
    socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None
)

# The largest limit that the kernel takes (a C int); a larger one limits nothing.
MOST_UNSENT = 2**31 - 1


def limit_unsent(sock: socket.socket | trio.socket.SocketType, size: int) -> bool:
    """Make a socket writable only while less than half of ``size`` is unsent.

    Returns:
        False if that is not possible: this is no TCP socket, or not on this system.
    """
    if _NOTSENT_LOWAT is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, size)
    except OSError:  # the connection is gone
        return False
    return True


def first_bytes(parts: list[bytes], size: int) -> list[bytes]:
    """Return the first ``size`` bytes of ``parts``, which are more together."""
    first: list[bytes] = []
    for part in parts:
        first.append(part[:size])
        size -= len(first[-1])
        if size == 0:
            break
    return first
