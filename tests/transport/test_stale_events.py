"""Events that are out of date: epoll reports numbers, and numbers are reused."""

from __future__ import annotations

import os
import socket

from tests.transport.support import Recorder, events_of
from trio_fastws._transport.epoll import SocketLink


def test_a_link_is_unregistered_before_its_descriptor_is_closed(
    dispatcher, connect, unix_pair
) -> None:
    # A duplicate elsewhere would keep a closed registration alive, and spin.
    ours, _theirs = pair = unix_pair()
    copy = os.dup(ours.fileno())
    _owner, link, peer = connect(pair=pair)
    try:
        link.close()
        peer.send(b"for nobody")
        assert events_of(dispatcher) == []
    finally:
        os.close(copy)


def test_an_event_for_a_link_closed_in_the_same_batch_is_dropped(
    dispatcher, connect
) -> None:
    class Killer(Recorder):
        victim = None

        def _on_data(self, start: int, stop: int) -> None:
            super()._on_data(start, stop)
            self.victim.close()

    one, first, _ = made = connect(Killer())
    two, second, _ = other = connect(Killer())
    one.victim, two.victim = second, first
    made[2].send(b"1")
    other[2].send(b"2")
    dispatcher.turn()
    # Whoever came first closed the other.
    assert min(one.data, two.data) == b""
    assert one.data or two.data


def test_a_stale_event_for_a_reused_descriptor_harms_nobody(
    dispatcher, connect, unix_pair
) -> None:
    newcomer = Recorder()
    spare = unix_pair()

    class Replacer(Recorder):
        """At its first byte, has the other's number taken by a new link."""

        other = None

        def _on_data(self, start: int, stop: int) -> None:
            super()._on_data(start, stop)
            if self.other._link is not None and newcomer._link is None:
                fd = self.other.fd
                self.other._link.close()
                reused = socket.socket(fileno=os.dup2(spare[0].fileno(), fd))
                SocketLink(dispatcher, newcomer, reused.detach())

    ends = [unix_pair() for _ in range(2)]
    owners = [Replacer(), Replacer()]
    for owner, (ours, _theirs) in zip(owners, ends, strict=True):
        owner.fd = ours.fileno()
        SocketLink(dispatcher, owner, ours.detach())
    owners[0].other, owners[1].other = owners[1], owners[0]
    for _ours, theirs in ends:
        theirs.send(b"x")
    dispatcher.turn()
    assert newcomer._link is not None
    assert (newcomer.data, newcomer.log) == (b"", [])
    spare[1].send(b"for me")
    dispatcher.turn()
    assert newcomer.data == b"for me"
