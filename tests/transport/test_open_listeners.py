"""Opening listeners: one port for every family."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable

import pytest
import trio

from trio_fastws._transport.open_listeners import ATTEMPTS, open_listeners

needs_ipv6 = pytest.mark.skipif(
    not socket.has_dualstack_ipv6(), reason="this system has no IPv6"
)


async def close_all(listeners) -> None:
    for listener in listeners:
        await listener.aclose()


def families(listeners) -> list[int]:
    return sorted(listener.socket.family for listener in listeners)


def ports(listeners) -> set[int]:
    return {listener.socket.getsockname()[1] for listener in listeners}


@needs_ipv6
async def test_a_chosen_port_is_the_same_for_both_families() -> None:
    listeners = await open_listeners(0, None)
    assert families(listeners) == [socket.AF_INET, socket.AF_INET6]
    (port,) = ports(listeners)
    assert port > 0
    for host in ("127.0.0.1", "::1"):
        await trio.aclose_forcefully(await trio.open_tcp_stream(host, port))
    await close_all(listeners)


async def test_one_address_needs_no_moving() -> None:
    listeners = await open_listeners(0, "127.0.0.1")
    assert len(listeners) == 1
    again = await open_listeners(0, "127.0.0.1")
    assert ports(again) != ports(listeners)
    await close_all([*listeners, *again])


async def test_a_given_port_is_taken_as_it_is() -> None:
    first = await open_listeners(0, None)
    (port,) = ports(first)
    await close_all(first)
    second = await open_listeners(port, None)
    assert ports(second) == {port}
    await close_all(second)


class Sockets(trio.abc.SocketFactory):
    """Sockets whose second port is taken by somebody else, so often."""

    def __init__(self) -> None:
        self.conflicts = 0
        # Called as each is made.
        self.on_socket: Callable[[int], None] = lambda family: None
        self.made: list[trio.socket.SocketType] = []
        self.occupied: list[socket.socket] = []

    def socket(self, family=-1, type=-1, proto=-1) -> trio.socket.SocketType:  # noqa: A002 - trio's name
        self.on_socket(family)
        if len(self.made) % 2 == 1 and len(self.occupied) < self.conflicts:
            self.occupied.append(occupy(family, self.made[-1].getsockname()[1]))
        made = trio.socket.from_stdlib_socket(socket.socket(family, type, proto))
        self.made.append(made)
        return made

    def left_open(self) -> list[trio.socket.SocketType]:
        return [each for each in self.made if each.fileno() >= 0]


class Both(trio.abc.HostnameResolver):
    """The addresses of all interfaces, in one order or the other."""

    def __init__(self, reverse: bool) -> None:
        self.reverse = reverse

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):  # noqa: A002 - trio's
        found = socket.getaddrinfo(host, port, family, type, proto, flags)
        return sorted(found, reverse=self.reverse)

    async def getnameinfo(self, sockaddr, flags):
        raise NotImplementedError


def occupy(family: int, port: int) -> socket.socket:
    """Take a port; if somebody else has it, that is as good."""
    sock = socket.socket(family)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    with contextlib.suppress(OSError):
        sock.bind(("", port))
        sock.listen()
    return sock


@pytest.fixture
async def sockets():
    sockets = Sockets()
    trio.socket.set_custom_socket_factory(sockets)
    yield sockets
    for sock in sockets.occupied:
        sock.close()


@needs_ipv6
@pytest.mark.parametrize("reverse", [False, True])
async def test_a_port_taken_for_the_other_family_is_given_up(sockets, reverse) -> None:
    trio.socket.set_custom_hostname_resolver(Both(reverse))
    sockets.conflicts = 2
    listeners = await open_listeners(0, None)
    assert len(sockets.made) == 6
    assert families(listeners) == [socket.AF_INET, socket.AF_INET6]
    assert len(ports(listeners)) == 1
    await close_all(listeners)
    assert sockets.left_open() == []


@needs_ipv6
async def test_it_does_not_try_for_ever(sockets) -> None:
    sockets.conflicts = 10**6
    with pytest.raises(OSError, match="no port is free") as caught:
        await open_listeners(0, None)
    assert caught.value.errno == errno.EADDRINUSE
    assert len(sockets.made) == 2 * ATTEMPTS
    assert sockets.left_open() == []


async def test_a_given_port_that_is_taken_is_an_error_at_once(sockets) -> None:
    (first,) = await open_listeners(0, "127.0.0.1")
    with pytest.raises(OSError, match="in use") as caught:
        await open_listeners(first.socket.getsockname()[1], "127.0.0.1")
    assert caught.value.errno == errno.EADDRINUSE
    assert len(sockets.made) == 2
    await first.aclose()
    assert sockets.left_open() == []


@needs_ipv6
@pytest.mark.parametrize("made", [0, 1])
async def test_another_error_is_raised_at_once_and_closes_all(sockets, made) -> None:
    def fail(_: int) -> None:
        if len(sockets.made) == made:
            raise OSError(errno.EMFILE, "no descriptors")

    sockets.on_socket = fail
    with pytest.raises(OSError, match="no descriptors"):
        await open_listeners(0, None)
    assert len(sockets.made) == made
    assert sockets.left_open() == []


@needs_ipv6
@pytest.mark.parametrize("missing", [socket.AF_INET, socket.AF_INET6])
async def test_a_family_that_the_system_has_not_is_left_out(sockets, missing) -> None:
    def fail(family: int) -> None:
        if family == missing:
            raise OSError(errno.EAFNOSUPPORT, "not here")

    sockets.on_socket = fail
    (listener,) = await open_listeners(0, None)
    assert listener.socket.family != missing
    await listener.aclose()
    with pytest.raises(OSError, match="not here"):
        await open_listeners(0, "127.0.0.1" if missing == socket.AF_INET else "::1")


@needs_ipv6
async def test_cancelled_between_it_closes_all(sockets) -> None:
    with trio.CancelScope() as scope:
        sockets.on_socket = lambda _: scope.cancel() if sockets.made else None
        await close_all(await open_listeners(0, None))
    assert scope.cancelled_caught
    assert len(sockets.made) == 2
    assert sockets.left_open() == []
