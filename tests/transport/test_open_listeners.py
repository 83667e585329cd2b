"""Opening listeners: one port for every family."""

from __future__ import annotations

import errno
import socket

import pytest
import trio

from trio_fastws._transport.open_listeners import ATTEMPTS, open_listeners

needs_ipv6 = pytest.mark.skipif(
    not socket.has_dualstack_ipv6(), reason="this system has no IPv6"
)
OPEN = trio.open_tcp_listeners


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


class Opener:
    """`trio.open_tcp_listeners` whose IPv4 port is taken for IPv6, so often."""

    def __init__(self, conflicts: int) -> None:
        self.conflicts = conflicts
        # Which family comes first; the other is the one that moves.
        self.reverse = False
        self.opened: list[trio.SocketListener] = []
        self.occupied: list[socket.socket] = []
        self.calls = 0

    async def __call__(self, port, *, host) -> list[trio.SocketListener]:
        self.calls += 1
        listeners = await self.open(port, host)
        while self.calls <= self.conflicts and not self.occupy(listeners):
            await close_all(listeners)
            listeners = await self.open(port, host)
        return listeners

    async def open(self, port, host) -> list[trio.SocketListener]:
        listeners = await OPEN(port, host=host)
        listeners.sort(
            key=lambda listener: listener.socket.family, reverse=self.reverse
        )
        self.opened += listeners
        return listeners

    def occupy(self, listeners) -> bool:
        """Take the port that will be wanted; False if somebody else has it."""
        sock = socket.socket(socket.AF_INET6)
        self.occupied.append(sock)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind(("::", listeners[0].socket.getsockname()[1]))
        except OSError:
            return False
        sock.listen()
        return True

    def close(self) -> None:
        for sock in self.occupied:
            sock.close()

    def left_open(self) -> list[trio.SocketListener]:
        return [each for each in self.opened if each.socket.fileno() >= 0]


@pytest.fixture
def opener(monkeypatch):
    opener = Opener(0)
    monkeypatch.setattr(trio, "open_tcp_listeners", opener)
    yield opener
    opener.close()


@needs_ipv6
async def test_a_port_taken_for_the_other_family_is_given_up(opener) -> None:
    opener.conflicts = 2
    listeners = await open_listeners(0, None)
    assert opener.calls == 3
    assert len(ports(listeners)) == 1
    await close_all(listeners)
    assert opener.left_open() == []


@needs_ipv6
@pytest.mark.parametrize("reverse", [False, True])
async def test_either_family_can_move(opener, reverse) -> None:
    opener.reverse = reverse
    listeners = await open_listeners(0, None)
    assert families(listeners) == [socket.AF_INET, socket.AF_INET6]
    assert len(ports(listeners)) == 1
    await close_all(listeners)


@needs_ipv6
async def test_it_does_not_try_for_ever(opener) -> None:
    opener.conflicts = 10**6
    with pytest.raises(OSError, match="no port is free") as caught:
        await open_listeners(0, None)
    assert caught.value.errno == errno.EADDRINUSE
    assert opener.calls == ATTEMPTS
    assert opener.left_open() == []


@needs_ipv6
async def test_another_error_is_raised_at_once_and_closes_all(
    opener, monkeypatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "no descriptors")

    monkeypatch.setattr(trio.socket, "socket", fail)
    with pytest.raises(OSError, match="no descriptors"):
        await open_listeners(0, None)
    assert opener.left_open() == []


@needs_ipv6
async def test_cancelled_between_it_closes_all(opener, monkeypatch) -> None:
    with trio.CancelScope() as scope:

        async def open_and_cancel(port, *, host) -> list[trio.SocketListener]:
            listeners = await opener(port, host=host)
            scope.cancel()
            return listeners

        monkeypatch.setattr(trio, "open_tcp_listeners", open_and_cancel)
        listeners = await open_listeners(0, None)
        await close_all(listeners)
    assert opener.left_open() == []
