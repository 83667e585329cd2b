"""TCP listeners, all on one port, and how listeners are closed."""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import trio

from .logs import logger

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

# Ports to try until one is free for IPv4 and IPv6 alike.
ATTEMPTS = 16
# As trio: the system caps it at its own maximum.
BACKLOG = 0xFFFF


async def open_listeners(
    port: int,
    host: str | bytes | None,
    backlog: int = BACKLOG,
    reuse_port: bool = False,
) -> list[trio.SocketListener]:
    """Open a TCP listener for every address of a host, all on one port.

    As `trio.open_tcp_listeners`, but with port 0 that lets the system choose a port
    for IPv4 and another for IPv6; a server that prints "listening on port" needs one.

    Args:
        port: 0 for any that is free.
        host: Address or name; None for all interfaces.
        backlog: As of ``listen``.
        reuse_port: Set SO_REUSEPORT.

    Raises:
        OSError: The host is unknown, an address cannot be bound, which is named, or
            no port is free for all of them.
    """
    addresses = await trio.socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    for _ in range(ATTEMPTS):
        listeners: list[trio.SocketListener] = []
        try:
            await _open(listeners, addresses, backlog, reuse_port)
        except BaseException as error:
            # Cancelled as well: `bind` is a checkpoint.
            for listener in listeners:
                listener.socket.close()
            taken = getattr(error, "errno", None) == errno.EADDRINUSE
            if port != 0 or not taken:
                raise
        else:
            return listeners
    raise OSError(errno.EADDRINUSE, "no port is free for IPv4 and IPv6 alike")


async def close_listeners(listeners: Iterable[trio.abc.Listener[Any]]) -> None:
    """Close listeners; what one raises is logged and keeps none from being closed."""
    for listener in listeners:
        try:
            await listener.aclose()
        except* Exception as group:  # noqa: BLE001 - isolation: logged
            logger.exception("exception in a listener's aclose", exc_info=group)


@contextmanager
def _naming(host: str, port: int) -> Generator[None, None, None]:
    # The kernel does not say which address it is that cannot be bound.
    try:
        yield
    except OSError as error:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise OSError(error.errno, f"{error.strerror}: {where}") from None


async def _open(
    listeners: list[trio.SocketListener],
    addresses: Iterable[tuple[Any, ...]],
    backlog: int,
    reuse_port: bool,
) -> None:
    # What is open when this fails is in `listeners`, for the caller to close.
    unsupported: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        try:
            sock = trio.socket.socket(family, kind, protocol)
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:
                raise
            # Of IPv4 and IPv6 a system may have only one, and resolves both.
            unsupported = error
            continue
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # The port that the system has chosen for the first is the one for all.
            port = listeners[0].socket.getsockname()[1] if listeners else address[1]
            with _naming(address[0], port):
                await sock.bind((address[0], port, *address[2:]))
                sock.listen(backlog)
        except BaseException:
            sock.close()
            raise
        listeners.append(trio.SocketListener(sock))
    if not listeners and unsupported is not None:
        raise unsupported
