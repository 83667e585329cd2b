"""The order in which trio runs tasks is random: nothing may depend on it.

trio reverses batches of tasks at random; here both orders are forced in turn
(DESIGN.md, section 5: "yield once, then flush" lost that race).
"""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.transport.support import Sender, Signal
from tests.wire import read_now
from trio_fastws._transport.epoll import SocketLink


class Forced:
    """Decides the order of every batch of trio's tasks: below 0.5 it is reversed."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value

    def shuffle(self, batch: list) -> None:
        # What trio does instead when something asked for determinism.
        if self.value < 0.5:
            batch.reverse()

    def uniform(self, low: float, high: float) -> float:
        return low


@pytest.fixture(params=[0.0, 1.0], ids=["reversed", "straight"])
def order(request, monkeypatch) -> float:
    """Force the order of trio's batches, which is otherwise random."""
    monkeypatch.setattr(trio._core._run, "_r", Forced(request.param))
    return request.param


async def test_nothing_is_left_unflushed_in_either_order(
    order, watched, unix_pair
) -> None:
    # Two tasks that send to each other's links between turns: whoever runs
    # first in a batch, loop or sender, what was marked goes out.
    dispatcher, _counted = watched

    class Later(Sender):
        def _on_mark(self) -> None:
            self.flush()

    ends = [unix_pair() for _ in range(2)]
    senders = [Later() for _ in ends]
    for sender, (ours, _theirs) in zip(senders, ends, strict=True):
        SocketLink(dispatcher, sender, ours.detach())

    async def talk(sender: Later, sock) -> None:
        for number in range(200):
            line = b"%04d" % number
            sender.parts.append(line)
            dispatcher.mark(sender)
            if number % 3:
                await trio.lowlevel.checkpoint()
            if number % 7 == 0:
                await trio.lowlevel.wait_readable(sock)

    async with trio.open_nursery() as talking:
        for sender, (_ours, theirs) in zip(senders, ends, strict=True):
            talking.start_soon(talk, sender, theirs)
    await wait_all_tasks_blocked()
    expected = b"".join(b"%04d" % number for number in range(200))
    for sender, (_ours, theirs) in zip(senders, ends, strict=True):
        assert sender.parts == []
        assert read_now(theirs) == expected
    assert dispatcher.idle()


async def test_marking_in_the_batch_in_which_it_parks_wakes_it(
    order, running_dispatcher
) -> None:
    for rounds in range(6):
        owners = [Signal() for _ in range(3)]

        async def mark(owner: Signal, checkpoints: int) -> None:
            for _ in range(checkpoints):
                await trio.lowlevel.checkpoint()
            running_dispatcher.mark(owner)
            await owner.called.wait()

        async with trio.open_nursery() as nursery:
            for delay, owner in enumerate(owners):
                nursery.start_soon(mark, owner, delay + rounds)
