"""A limit on what the kernel holds unsent, and an outbox that spares what may drop."""

from __future__ import annotations

import fcntl
import socket
import sys

import pytest

from tests.transport.support import Sender, pattern
from tests.wire import read_now
from trio_fastws._transport.epoll import SocketLink
from trio_fastws._transport.stream_link import WRITE_SIZE

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")


def unsent(sock: socket.socket) -> int:
    """Return how many bytes a socket has not sent: SIOCOUTQNSD."""
    return int.from_bytes(fcntl.ioctl(sock, 0x894B, bytes(4)), sys.byteorder)


def fill(link, size: int) -> int:
    """Write until the link takes no more; return how much that was."""
    total = 0
    while taken := link.write([bytes(size)], size):
        total += taken
    return total


@linux_only
@pytest.mark.parametrize("size", [100, 10_000, 2**20])
def test_no_more_is_held_unsent_than_the_limit(dispatcher, tcp_pair, size) -> None:
    ours, theirs = tcp_pair()
    seen = ours.dup()
    with seen:
        link = SocketLink(dispatcher, Sender(), ours.detach())
        link.limit_unsent(5000)
        total = fill(link, size)
        assert unsent(seen) <= 5000
        assert 5000 <= total < 500_000
        # When it is sent, there is room again.
        while unsent(seen) > 0:
            read_now(theirs)
        assert fill(link, size) >= 5000
        assert unsent(seen) <= 5000


@linux_only
def test_a_limit_beyond_what_the_kernel_takes_is_none(dispatcher, tcp_pair) -> None:
    ours, _theirs = tcp_pair()
    link = SocketLink(dispatcher, Sender(), ours.detach())
    link.limit_unsent(5000)
    assert link.write([bytes(2**20)], 2**20) <= 5000
    link.limit_unsent(2**70)
    assert link.write([bytes(2**20)], 2**20) > 5000


@linux_only
@pytest.mark.parametrize("reading", [True, False])
def test_who_waits_for_room_is_woken(dispatcher, tcp_pair, reading) -> None:
    # A paused link is watched by its edge.
    ours, theirs = tcp_pair(20_000)
    sender = Sender()
    link = SocketLink(dispatcher, sender, ours.detach())
    link.limit_unsent(2000)
    whole = pattern(300_000)
    sender.parts.append(whole)
    sender._on_writable = lambda: sender.flush(reading)
    sender.flush(reading)
    received = bytearray()
    while len(received) < len(whole):
        received += read_now(theirs)
        dispatcher.turn()
    assert received == whole


def test_on_another_socket_it_has_no_effect(dispatcher, unix_pair) -> None:
    ours, theirs = unix_pair()
    link = SocketLink(dispatcher, Sender(), ours.detach())
    link.limit_unsent(1024)
    assert link.write([bytes(50_000)], 50_000) == 50_000
    assert len(read_now(theirs)) == 50_000
    link.close()
    link.limit_unsent(1024)


async def test_a_pump_takes_no_more_than_the_limit(pump) -> None:
    pumped = await pump()
    pumped.link.limit_unsent(1024)
    assert pumped.link.write([bytes(5000)], 5000) == 1024
    pumped.link.limit_unsent(2**30)
    assert pumped.link.write([bytes(10**6)], 10**6) == WRITE_SIZE - 1024
