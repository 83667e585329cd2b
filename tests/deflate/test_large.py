"""Large messages that are sent compressed: others and control frames pass."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.cutting import cut
from tests.deflate.cases import Story, deflating, dial, each_way, linked
from tests.deflate.large import DENSE, JSON, Hooks, both_handlers
from tests.handlers import Keeper
from tests.serving import serving
from tests.wire import (
    TEXT,
    Peer,
)
from trio_fastws import EventHandler, PreparedMessage, Sending

pytestmark = pytest.mark.usefixtures("transport")

ROOMY = Sending(high_water=2**26, hard_limit=2**26)
# Many fragments: what happens between them can be counted.
SMALL_FRAMES = Sending(high_water=2**26, hard_limit=2**26, frame_size=2**14)


@pytest.fixture(params=["server", "client"])
def side(request: pytest.FixtureRequest) -> str:
    return request.param


@both_handlers
async def test_others_are_served_between_the_steps(handler):
    # Told by the order of events: how many echoes between which fragments.
    deflate = deflating("persistent")
    async with serving(handler, deflate=deflate, sending=SMALL_FRAMES) as site:
        large, small = await dial(site), await dial(site)
        echoes, seen = 0, []

        async def read_large() -> None:
            message = None
            await large.send_message(TEXT, b"large")
            while message is None:
                frame = await large.read_frame()
                seen.append(echoes)
                message = large.assemble(frame)
            assert message.payload == JSON
            assert message.compressed

        async def read_small() -> None:
            nonlocal echoes
            while True:
                message = b"%d" % echoes
                await small.send_message(TEXT, message)
                assert (await small.read_message()).payload == message
                echoes += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_small)
            await read_large()
            nursery.cancel_scope.cancel()
        assert len(seen) >= 128
        # At once, it would be two or three; nor did they all pass in one gap.
        assert seen[-1] - seen[0] >= 6
        assert len(set(seen)) >= 6


async def test_two_large_messages_are_made_side_by_side():
    deflate = deflating("persistent")
    async with serving(Hooks(), deflate=deflate, sending=SMALL_FRAMES) as site:
        peers = [await dial(site) for _ in range(2)]
        events = []

        async def read(peer: Peer, name: str) -> None:
            await peer.send_message(TEXT, b"large")
            message = None
            while message is None:
                frame = await peer.read_frame()
                events.append(name)
                message = peer.assemble(frame)
            assert message.payload == JSON

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, peers[0], "a")
            nursery.start_soon(read, peers[1], "b")
        changes = sum(a != b for a, b in pairwise(events))
        assert changes >= 6


@each_way
async def test_what_is_sent_behind_it_stays_behind_it(side, mode):
    story = Story(1)
    sent = [story.tell(), DENSE, *(story.tell() for _ in range(4)), DENSE, b"", b"."]

    async def send(ws) -> None:
        for number, message in enumerate(sent):
            if number == 3:
                ws.send_nowait(message, compress=False)
            elif number == 4:
                ws.send_nowait(PreparedMessage(message))
            else:
                ws.send_nowait(message)
        async with ws.open_message() as message:
            await message.write(sent[0])
        ws.close_nowait(4000, "done")

    async with (
        linked(side, deflating(mode), sending=SMALL_FRAMES) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(send, ws)
        found = [await peer.read_message() for _ in sent]
        assert [message.payload for message in found] == sent
        assert (await peer.read_message()).payload == sent[0]
        assert not found[3].compressed
        assert len(found[1].sizes) > 10
        assert max(found[1].sizes) == 2**14
        assert await peer.read_close() == (4000, "done")


async def test_a_cancelled_sender_has_sent_all_or_nothing(side):
    story = Story(2)
    large = [DENSE[number:300_000] for number in range(12)]
    async with linked(side, deflating("persistent"), sending=ROOMY) as (ws, peer):
        sent, number = [], 0

        async def send() -> None:
            await ws.send(large[number])
            sent.append(large[number])
            # Queued; now nothing can take it back.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()

        for number in range(len(large)):
            await cut(number + 1, send)
            sent.append(story.tell())
            await ws.send(sent[-1])
        assert await peer.read_payloads(len(sent)) == sent
        assert len(sent) < 2 * len(large)
        assert await peer.fence() == []


async def test_a_handler_that_returns_has_sent_it_whole():
    async def handler(ws) -> None:
        await ws.send(DENSE)

    async with serving(handler, deflate=deflating("persistent")) as site:
        peer = await dial(site)
        assert (await peer.read_message()).payload == DENSE
        assert (await peer.read_close())[0] == 1000


# --- for a peer that does not read ------------------------------------------


@each_way
async def test_it_counts_as_what_waits(side, mode):
    story = Story(3)
    deflate = deflating(mode)
    async with (
        linked(side, deflate, small=True) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        sent = [DENSE]
        await ws.send(DENSE)
        await wait_all_tasks_blocked(0.001)
        assert len(DENSE) / 2 < ws.statistics().send_queue < 2 * len(DENSE)
        with pytest.raises(trio.WouldBlock):
            ws.send_nowait("no")
        for _ in range(5):
            sent.append(story.tell())
            nursery.start_soon(ws.send, sent[-1])
            await wait_all_tasks_blocked()
        assert await peer.read_payloads(6) == sent
        await wait_all_tasks_blocked()
        assert ws.statistics().send_queue == 0


@each_way
async def test_it_is_not_compressed_before_there_is_room(side, mode):
    deflate = deflating(mode)
    async with linked(side, deflate, small=True, sending=SMALL_FRAMES) as (ws, peer):
        await ws.send(DENSE)
        await wait_all_tasks_blocked(0.001)
        assert ws.statistics().encoded_sent < len(DENSE) / 2
        assert (await peer.read_message()).payload == DENSE


async def test_in_a_hook_it_counts_towards_the_hard_limit():
    class Twice(EventHandler):
        def on_message(self, ws, message) -> None:
            try:
                for _ in range(5):
                    ws.send_nowait(DENSE)
                    sent.append(DENSE)
            except trio.WouldBlock:
                sent.append(b"no room")

    sent: list[bytes] = []
    sending = Sending(hard_limit=2 * len(DENSE))
    deflate = deflating("persistent")
    async with serving(Twice(), small=True, sending=sending, deflate=deflate) as site:
        peer = await dial(site)
        await peer.send_message(TEXT, b"go")
        assert (await peer.read_message()).payload == DENSE
        assert 2 <= sent.count(DENSE) <= 3
        assert sent[-1] == b"no room"
        rest = sent.count(DENSE) - 1
        assert await peer.read_payloads(rest) == [DENSE] * rest
        assert await peer.fence() == []


async def test_others_are_served_between_many_that_waited():
    # None is large, but together they are; on the wire they are next to nothing.
    keeper, count = Keeper(), 1500
    first, message = bytes(2**23), b"abcdefgh" * 3750
    deflate = deflating("persistent")
    async with serving(keeper, sending=ROOMY, deflate=deflate) as site:
        large, small = await dial(site), await dial(site)
        ws, other = await keeper.next(), await keeper.next()
        ws.send_nowait(first, compress=False)
        assert ws.statistics().send_queue > 2**16, "it has left at once"
        for _ in range(count):
            ws.send_nowait(message)
        turns, sent = 0, set()

        async def read_large() -> None:
            assert await large.read_payloads(1) == [first]
            for _ in range(count):
                assert await large.read_payloads(1) == [message]
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_large)
            while True:
                await other.send(b"%d" % turns)
                assert await small.read_payloads(1) == [b"%d" % turns]
                turns += 1
                # How far it was, whenever others had their turn.
                sent.add(ws.statistics().messages_sent)
        assert len(sent) >= 6


# --- with a policy, a delay -------------------------------------------------


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "close"])
async def test_a_peer_that_reads_loses_nothing_to_a_policy(transport, side, policy):
    # It is we who take our time, not the peer. (A pump holds 64 KiB; what it has no
    # room for counts as what a full socket does not take.)
    sending = Sending(policy=policy)
    large = JSON[: 500_000 if transport == "epoll" else 150_000]
    deflate = deflating("persistent")
    async with linked(side, deflate, sending=sending) as (ws, peer):
        await ws.send(large)
        await ws.send("next")
        assert await peer.read_payloads(2) == [large, b"next"]
        assert ws.statistics().dropped == 0


@each_way
async def test_a_delay_keeps_the_order(autojump_clock, side, mode):
    sent = [b"before", DENSE, b"behind", DENSE, b"after"]
    sending = Sending(high_water=2**26, hard_limit=2**26, delay=1)
    async with linked(side, deflating(mode), sending=sending) as (ws, peer):
        for message in sent:
            ws.send_nowait(message)
        assert await peer.read_payloads(5) == sent
