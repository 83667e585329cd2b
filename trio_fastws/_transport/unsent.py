"""What the kernel has taken of a TCP connection, and has not sent yet.

It takes megabytes for a peer that reads slowly, out of reach of every policy. The
option TCP_NOTSENT_LOWAT bounds that, and other than a small SO_SNDBUF it does not bound
what is under way: a fast connection stays fast. A socket is reported writable when
less than half of it is unsent; but a write may add 32 KiB more at once (Linux 6.18), so
that whoever wants to keep to it asks first, how much there is.
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


def limit_unsent(sock: socket.socket | trio.socket.SocketType, size: int) -> bool:
    """Make a socket writable only while less than half of ``size`` is unsent.

    Returns:
        False if it cannot be had: it is no TCP socket, or on this system.
    """
    if _NOTSENT_LOWAT is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, size)
    except OSError:  # the connection is gone
        return False
    return True


def first_bytes(parts: list[bytes], size: int) -> list[bytes]:
    """Return the first ``size`` bytes of ``parts``, which have more."""
    first: list[bytes] = []
    for part in parts:
        first.append(part[:size])
        size -= len(first[-1])
        if size == 0:
            break
    return first
