"""TCP listeners of trio's, all on one port, and how listeners are closed."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import trio

from .logs import logger

if TYPE_CHECKING:
    from collections.abc import Iterable

# Ports to try until one is free for IPv4 and IPv6 alike.
ATTEMPTS = 16
# As trio: the system caps it at its own maximum.
BACKLOG = 0xFFFF


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
