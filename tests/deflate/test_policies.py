"""Messages that are never sent never reach the compressor.

Every message is of random words and quotes earlier ones, dropped ones too: a
compressor that has seen what the peer has not would refer to it.
"""

from __future__ import annotations

import contextlib

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.cutting import cancel_when_blocked, cut
from tests.deflate.cases import MODES, Story, deflating, dial, each_way, linked
from tests.serving import serving
from tests.wire import (
    CLOSE,
    TEXT,
)
from trio_fastws import ConnectionBroken, EventHandler, PreparedMessage, Sending

pytestmark = pytest.mark.usefixtures("transport")


async def fill(ws, story: Story, size: int = 20_000) -> list[bytes]:
    """Send compressed messages until nobody takes any more; return them."""
    sent = []
    while True:
        before = len(sent)
        with contextlib.suppress(trio.WouldBlock):
            while True:
                message = story.tell(size)
                ws.send_nowait(message)
                sent.append(message)
        if len(sent) == before:
            return sent
        await wait_all_tasks_blocked(0.001)


async def clog(ws, story: Story, compress: bool) -> list[bytes]:
    """Send what cannot all leave; all that follows has to wait.

    Plain, it is all committed. Compressed, most of it is still to be done.
    """
    first, large = story.tell(), story.random.randbytes(2**18).hex().encode()
    ws.send_nowait(first)
    sent = [first]
    while ws.statistics().send_queue < 2**17:
        ws.send_nowait(large, compress=compress)
        sent.append(large)
        await wait_all_tasks_blocked(0.001)
    return sent


# --- cancelled --------------------------------------------------------------


@each_way
async def test_a_send_cancelled_while_it_waits_never_reached_the_compressor(side, mode):
    # The peer reads while the send waits, so that its wake-up is cut as well.
    story = Story(1)
    async with linked(side, deflating(mode), small=True) as (ws, peer):
        expected, received = [], []

        async def send_late() -> None:
            message = story.tell()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_all_but_one)
                await ws.send(message)
                sent.append(message)

        async def read_all_but_one() -> None:
            while len(received) < len(expected) - 1:
                received.append((await peer.read_message()).payload)

        for step in range(1, 16):
            expected += await fill(ws, story)
            sent: list[bytes] = []
            await cut(step, send_late)
            expected += sent
            while len(received) < len(expected):
                received.append((await peer.read_message()).payload)
            assert received == expected
        assert len(expected) < len(story.told), "none was cancelled"
        assert await peer.fence() == []


@each_way
async def test_waiters_that_are_cancelled_leave_the_others_intact(side, mode):
    story = Story(2)
    async with (
        linked(side, deflating(mode), small=True) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        expected = await fill(ws, story)
        scopes = [trio.CancelScope() for _ in range(9)]

        async def send(scope: trio.CancelScope, message: bytes) -> None:
            with scope:
                await ws.send(message)

        for number, scope in enumerate(scopes):
            message = story.tell()
            if number % 3:
                expected.append(message)
            nursery.start_soon(send, scope, message)
            await wait_all_tasks_blocked()
        for scope in scopes[::3]:
            scope.cancel()
        assert await peer.read_payloads(len(expected)) == expected
        last = story.tell()
        await ws.send(last)
        assert await peer.read_payloads(1) == [last]


@each_way
async def test_a_prepared_message_that_was_cancelled_is_in_no_window(side, mode):
    story = Story(3)
    async with linked(side, deflating(mode), small=True) as (ws, peer):
        for _ in range(3):
            expected = await fill(ws, story)
            prepared = PreparedMessage(story.tell(2000))
            assert await cancel_when_blocked(lambda p=prepared: ws.send(p))
            assert await peer.read_payloads(len(expected)) == expected
            message = story.tell()
            await ws.send(message)
            assert await peer.read_payloads(1) == [message]


# --- dropped ----------------------------------------------------------------


async def overflow(ws, story: Story, count: int, prepared: bool) -> list[bytes]:
    messages = []
    for number in range(count):
        message = story.tell()
        messages.append(message)
        if prepared and number % 2:
            await ws.send(PreparedMessage(message))
        else:
            await ws.send(message)
        await wait_all_tasks_blocked()
    return messages


@each_way
@pytest.mark.parametrize(("compress", "prepared"), [(False, True), (True, False)])
@pytest.mark.parametrize(
    ("policy", "kept"), [("drop_oldest", slice(-3, None)), ("drop_newest", slice(3))]
)
async def test_what_is_dropped_was_not_compressed(
    side, mode, compress, prepared, policy, kept
):
    story = Story(4)
    sending = Sending(policy=policy, high_water=2**23, low_water=0, max_messages=3)
    deflate = deflating(mode)
    async with linked(side, deflate, small=True, sending=sending) as (ws, peer):
        for turn in range(1, 3):
            expected = await clog(ws, story, compress)
            expected += (await overflow(ws, story, 10, prepared))[kept]
            assert ws.statistics().dropped == 7 * turn
            assert await peer.read_payloads(len(expected)) == expected
            assert await peer.fence() == []
        expected = await overflow(ws, story, 2, prepared)
        assert await peer.read_payloads(2) == expected


@each_way
@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_dropping_by_bytes_leaves_every_window_intact(side, mode, policy):
    # Messages around the high water: some are dropped while others are taken.
    story = Story(6)
    sending = Sending(policy=policy, high_water=100_000, low_water=0)
    deflate = deflating(mode)
    async with linked(side, deflate, small=True, sending=sending) as (ws, peer):
        received: list[bytes] = []
        for _ in range(40):
            for _ in range(8):
                await ws.send(story.tell(9_000))
            await wait_all_tasks_blocked()
            received += await peer.read_payloads(3)
        dropped = ws.statistics().dropped
        assert dropped > 20
        received += await peer.read_payloads(len(story.told) - dropped - len(received))
        assert await peer.fence() == []
        # In order, and each as it was told.
        told = iter(story.told)
        assert all(message in told for message in received)


@each_way
@pytest.mark.parametrize("compress", [False, True])
async def test_policy_close_tears_no_message(side, mode, compress):
    story = Story(7)
    sending = Sending(policy="close", high_water=2**23, max_messages=3)
    deflate = deflating(mode)
    async with linked(side, deflate, small=True, sending=sending) as (ws, peer):
        expected = await clog(ws, story, compress)
        await overflow(ws, story, 3, False)
        ws.send_nowait(story.tell())
        with pytest.raises(ConnectionBroken) as caught:
            await ws.send(story.tell())
        assert caught.value.close_code == 1008
        # What was committed comes whole, then the Close, and nothing of the rest.
        received = []
        while (frame := await peer.read_frame()).opcode != CLOSE:
            message = peer.assemble(frame)
            if message is not None:
                received.append(message.payload)
        assert not peer.within_message, "a message was cut off"
        assert received[: len(expected)] == expected
        assert received == story_of(expected, story, len(received))
        assert frame.payload[:2] == (1008).to_bytes(2)
        assert await peer.finish(1008) == []


def story_of(expected: list[bytes], story: Story, count: int) -> list[bytes]:
    """Return what may have come: what was committed, then the oldest pending."""
    pending = story.told[-5:-2]
    return [*expected, *pending][:count]


# --- in hooks ---------------------------------------------------------------


class Teller(EventHandler):
    """Tells so many messages as it is asked for, in one hook."""

    def __init__(self, prepared: bool) -> None:
        self.story = Story(8)
        self.prepared = prepared
        self.sockets = []

    def on_open(self, ws) -> None:
        self.sockets.append(ws)

    def on_message(self, ws, message) -> None:
        for number in range(int(message)):
            told = self.story.tell(700)
            if self.prepared and number % 2:
                ws.send_nowait(PreparedMessage(told))
            else:
                ws.send_nowait(told, compress=number % 5 != 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prepared", [False, True])
async def test_a_policy_in_a_hook_drops_what_was_not_compressed(
    transport, mode, prepared
):
    handler = Teller(prepared)
    sending = Sending(policy="drop_oldest", high_water=30_000, low_water=0)
    async with serving(
        handler, small=True, sending=sending, deflate=deflating(mode)
    ) as site:
        peer = await dial(site)
        await peer.send_message(TEXT, b"2000")
        await wait_all_tasks_blocked(0.001)
        dropped = handler.sockets[0].statistics().dropped
        assert dropped > 100
        received = await peer.read_payloads(2000 - dropped)
        told = iter(handler.story.told)
        assert all(message in told for message in received)
        assert await peer.fence() == []
        await peer.send_message(TEXT, b"20")
        assert await peer.read_payloads(20) == handler.story.told[-20:]
