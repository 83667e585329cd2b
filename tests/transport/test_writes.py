"""Writes to sockets: whatever the buffer, every byte arrives once and in order."""

from __future__ import annotations

import pytest

from tests.transport.support import Sender, pattern
from tests.wire import read_now
from trio_fastws._transport.epoll import SocketLink
from trio_fastws._transport.syscalls import JOIN_BELOW, MAX_PARTS


def drain(dispatcher, sender, peer) -> bytes:
    """Turn and read until nothing waits."""
    received = bytearray()
    while not sender.flush():
        received += read_now(peer)
        dispatcher.turn()
    return bytes(received + read_now(peer))


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (7, 3000),  # joined
        (JOIN_BELOW - 1, 40),  # joined, and larger than the buffer
        (JOIN_BELOW, 40),  # sendmsg
        (50_000, 20),  # sendmsg, each part larger than the buffer
        (JOIN_BELOW, MAX_PARTS + 50),  # more than one sendmsg takes
        (1_000_000, 1),
    ],
)
def test_a_small_socket_buffer_tears_nothing(
    dispatcher, unix_pair, size, count
) -> None:
    ours, theirs = unix_pair(4096)
    sender = Sender()
    SocketLink(dispatcher, sender, ours.detach())
    whole = pattern(size * count)
    parts = [whole[i : i + size] for i in range(0, len(whole), size)]
    sender.parts += parts
    assert drain(dispatcher, sender, theirs) == whole


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (JOIN_BELOW, 1),
        (JOIN_BELOW - 1, 2),
        (JOIN_BELOW, 2),
        (JOIN_BELOW, MAX_PARTS),
        (JOIN_BELOW, MAX_PARTS + 1),
        (JOIN_BELOW, 2 * MAX_PARTS + 1),
        (1, 10 * MAX_PARTS),
    ],
)
def test_a_write_is_short_only_if_the_socket_is_full(
    dispatcher, unix_pair, size, count
) -> None:
    # EPOLLOUT of a paused link is edge-triggered: a write that stopped short
    # for any other reason than a full socket would never be resumed.
    ours, theirs = unix_pair(2**20)
    link = SocketLink(dispatcher, Sender(), ours.detach())
    parts = [bytes([number & 0xFF]) * size for number in range(count)]
    taken = link.write(parts, size * count)
    received = read_now(theirs)
    assert (taken, received) == (size * count, b"".join(parts))
