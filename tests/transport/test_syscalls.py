"""System calls on a descriptor: the same from C and from Python."""

from __future__ import annotations

import errno
import os
import select
import socket

import pytest

from tests.wire import (
    read_now,
    reset,
)
from trio_fastws._transport import syscalls
from trio_fastws._transport.syscalls import JOIN_BELOW, MAX_PARTS

EPOLLIN, EPOLLOUT, EPOLLET = 1, 4, 1 << 31


@pytest.fixture
def pair(unix_pair) -> tuple[int, socket.socket]:
    ours, theirs = unix_pair(2**20)
    return ours.fileno(), theirs


def test_receive_nothing_something_and_the_end(pair) -> None:
    fd, peer = pair
    buffer = bytearray(b"head" + bytes(6))
    assert syscalls.receive(fd, buffer, 4) == -1
    peer.send(b"abcdefgh")
    assert syscalls.receive(fd, buffer, 4) == 6
    assert buffer == b"headabcdef"
    room = memoryview(buffer)[1:3]
    assert syscalls.receive_into(fd, room) == 2
    assert buffer == b"hghdabcdef"
    peer.close()
    assert (syscalls.receive(fd, buffer, 4), syscalls.receive_into(fd, room)) == (0, 0)
    room.release()
    buffer.clear()  # nobody holds it any more


def test_accept_nothing_and_a_connection_that_does_not_block(sockets) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        assert syscalls.accept(listener.fileno()) == -1
        theirs = socket.create_connection(listener.getsockname())
        fd = syscalls.accept(listener.fileno())
    ours = socket.socket(fileno=fd)
    sockets.extend((ours, theirs))
    assert ours.getpeername() == theirs.getsockname()
    assert not os.get_blocking(fd)
    assert not os.get_inheritable(fd)


def test_receiving_says_how_a_connection_is_broken(tcp_pair) -> None:
    ours, theirs = tcp_pair()
    reset(theirs)
    assert syscalls.receive(ours.fileno(), bytearray(8), 0) == -errno.ECONNRESET
    room = memoryview(bytearray(8))
    assert syscalls.receive(-1, bytearray(8), 0) == -errno.EBADF
    assert syscalls.receive_into(-1, room) == -errno.EBADF


@pytest.mark.parametrize(
    "call",
    [
        lambda: syscalls.accept(-1),
        lambda: syscalls.send(-1, [b"x"], 1),
        lambda: syscalls.send(-1, [b"x", b"y"], 2),
        lambda: syscalls.send(-1, [bytes(JOIN_BELOW)] * 2, 2 * JOIN_BELOW),
        lambda: syscalls.end_output(-1),
        lambda: syscalls.has_failed(-1),
    ],
)
def test_a_closed_descriptor_is_an_os_error(call) -> None:
    with pytest.raises(OSError, match="descriptor") as caught:
        call()
    assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize(
    "parts",
    [
        [b"one"],
        [b"a", b"", b"bc"],
        [memoryview(b"xhead")[1:], b"tail"],
        [bytes([n & 255]) * JOIN_BELOW for n in range(MAX_PARTS + 3)],
        [b"z" * (JOIN_BELOW * 3), b"y"],
    ],
)
def test_what_is_sent_arrives(pair, parts) -> None:
    fd, peer = pair
    whole = b"".join(parts)
    assert syscalls.send(fd, parts, len(whole)) == len(whole)
    assert read_now(peer) == whole


@pytest.mark.parametrize("size", [100, JOIN_BELOW])
def test_a_full_socket_takes_a_part_and_then_nothing(unix_pair, size) -> None:
    ours, theirs = unix_pair(4096)
    parts = [bytes([n & 255]) * size for n in range(5000)]
    taken = syscalls.send(ours.fileno(), parts, size * len(parts))
    assert 0 < taken < size * len(parts)
    while syscalls.send(ours.fileno(), [b"?"], 1):
        pass
    assert read_now(theirs).rstrip(b"?") == b"".join(parts)[:taken].rstrip(b"?")


def test_sending_to_nobody_is_an_os_error(pair) -> None:
    fd, peer = pair
    peer.close()
    with pytest.raises(BrokenPipeError):
        syscalls.send(fd, [b"x"], 1)


def test_the_end_of_output_is_the_peers_end_of_input(pair) -> None:
    fd, peer = pair
    syscalls.end_output(fd)
    assert peer.recv(1) == b""


def test_a_reset_is_told_once(tcp_pair) -> None:
    ours, theirs = tcp_pair()
    assert not syscalls.has_failed(ours.fileno())
    reset(theirs)
    assert [syscalls.has_failed(ours.fileno()) for _ in range(2)] == [True, False]


def test_events_are_those_of_the_epoll(unix_pair) -> None:
    one, two = unix_pair(), unix_pair()
    events = syscalls.new_events(8)
    with select.epoll() as epoll:
        assert syscalls.poll(epoll, events) == 0
        epoll.register(one[0], EPOLLIN)
        epoll.register(two[0], EPOLLIN | EPOLLOUT)
        one[1].send(b"x")
        found = {
            syscalls.polled_fd(events, index): syscalls.polled_mask(events, index)
            for index in range(syscalls.poll(epoll, events))
        }
        assert found == {one[0].fileno(): EPOLLIN, two[0].fileno(): EPOLLOUT}
    with pytest.raises((OSError, ValueError)):
        syscalls.poll(epoll, events)


def test_a_lent_socket_leaves_the_descriptor_open(pair) -> None:
    fd, _peer = pair
    with syscalls.lend(fd) as sock:
        assert sock.family == socket.AF_UNIX
    os.fstat(fd)
