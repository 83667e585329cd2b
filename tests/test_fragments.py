"""Large messages leave in fragments, and control frames pass between them."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.deflate.cases import deflating, linked
from tests.deflate.large import DENSE
from tests.serving import pair
from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    ping,
)
from trio_fastws import PreparedMessage, Sending

pytestmark = pytest.mark.usefixtures("transport")

MIB = 2**20


@pytest.fixture(params=["server", "client"])
def side(request: pytest.FixtureRequest) -> str:
    return request.param


async def sizes(peer) -> list[int]:
    """Read a message; return the sizes of its frames."""
    return (await peer.read_message()).sizes


async def test_up_to_a_mebibyte_a_message_is_one_frame(side):
    async with linked(side, None) as (ws, peer), trio.open_nursery() as nursery:
        for size, expected in (
            (MIB, [MIB]),
            (MIB + 1, [MIB, 1]),
            (3 * MIB, [MIB] * 3),
        ):
            nursery.start_soon(ws.send, bytes(size))
            assert await sizes(peer) == expected
            assert ws.statistics().bytes_sent >= size
        assert ws.statistics().messages_sent == 3


async def test_without_a_frame_size_every_message_is_one_frame(side):
    sending = Sending(frame_size=None)
    async with (
        linked(side, deflating("persistent"), sending=sending) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(lambda: ws.send(bytes(5 * MIB), compress=False))
        assert await sizes(peer) == [5 * MIB]
        nursery.start_soon(ws.send, DENSE * 2)
        assert len(await sizes(peer)) == 1


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("frame_size", [125, 32 * 1024])
async def test_no_frame_is_larger_whatever_is_sent(side, compress, frame_size):
    # There are gateways that close a connection for a larger one.
    text = "".join(f"{number} grüße, " for number in range(10_000))
    sending = Sending(frame_size=frame_size, high_water=MIB)
    deflate = deflating("window") if compress else None
    async with (
        linked(side, deflate, sending=sending) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        prepared = PreparedMessage(text)

        async def send() -> None:
            await ws.send(text)
            await ws.send(text[:500].encode())
            await ws.send(prepared)
            await ws.send(PreparedMessage(text[:500]))
            await ws.send(prepared, compress=False)
            async with ws.open_message(text=True) as message:
                await message.write(text)
                await message.write("")
                await message.write(text[:500])

        nursery.start_soon(send)
        expected = [text, text[:500], text, text[:500], text, text + text[:500]]
        for whole in expected:
            message = await peer.read_message()
            assert message.payload == whole.encode()
            assert max(message.sizes) <= frame_size
        assert ws.statistics().messages_sent == len(expected)


async def test_a_pong_comes_behind_a_fragment_not_behind_the_message():
    sending = Sending(frame_size=50_000)
    async with pair(small=True, sending=sending) as (ws, peer):
        await ws.send(bytes(20 * MIB))
        await wait_all_tasks_blocked(0.001)
        await peer.send(ping())
        await wait_all_tasks_blocked(0.001)
        frames = []
        while (frame := await peer.read_frame()).opcode != PONG:
            frames.append(frame)
        # What was on its way already, and no more of it.
        assert sum(len(frame.payload) for frame in frames) < MIB
        assert frames[0].opcode == BINARY
        assert {frame.opcode for frame in frames[1:]} <= {CONTINUATION}
        assert not any(frame.fin for frame in frames)


async def test_a_ping_of_ours_passes_too_and_a_close_does_not(side):
    sending = Sending(frame_size=50_000)
    async with (
        linked(side, None, small=True, sending=sending) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        await ws.send(bytes(4 * MIB))

        async def ping_and_close() -> None:
            await ws.ping()
            ws.close_nowait(4000)

        nursery.start_soon(ping_and_close)
        await wait_all_tasks_blocked(0.001)
        received, kinds = 0, []
        while True:
            frame = await peer.read_frame()
            kinds.append(frame.opcode)
            received += len(frame.payload) if frame.opcode < CLOSE else 0
            if frame.opcode == PING:
                assert received < MIB
                await peer.send(Frame(PONG, frame.payload))
            elif frame.opcode == CLOSE:
                break
        assert received == 4 * MIB
        assert kinds[-2] == CONTINUATION


async def test_what_is_left_of_it_counts_as_waiting(side):
    sending = Sending(frame_size=50_000)
    async with linked(side, None, small=True, sending=sending) as (ws, peer):
        await ws.send(bytes(4 * MIB))
        await wait_all_tasks_blocked(0.001)
        assert 3 * MIB < ws.statistics().send_queue < 5 * MIB
        with pytest.raises(trio.WouldBlock):
            ws.send_nowait("no")
        assert sum(await sizes(peer)) == 4 * MIB
        await wait_all_tasks_blocked(0.001)
        assert ws.statistics().send_queue == 0


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_a_policy_drops_whole_messages_and_never_the_rest_of_one(side, policy):
    sending = Sending(
        policy=policy,
        frame_size=50_000,
        max_messages=1,
        high_water=2**26,
        hard_limit=2**26,
    )
    async with linked(side, None, small=True, sending=sending) as (ws, peer):
        payloads = [bytes([number]) * (2 * MIB) for number in range(5)]
        for payload in payloads:
            ws.send_nowait(payload)
            await wait_all_tasks_blocked(0.001)
        kept = [payloads[0], payloads[4 if policy == "drop_oldest" else 1]]
        for payload in kept:
            found = await peer.read_message()
            assert found[:3] == (BINARY, payload, False)
            assert found.sizes == [50_000] * 41 + [47_152]
        assert ws.statistics().dropped == 3


async def test_text_may_be_cut_within_a_character():
    async with pair(sending=Sending(frame_size=125)) as (ws, peer):
        ws.send_nowait("€" * 100)
        frames = await peer.read_frames(3)
        assert [frame.opcode for frame in frames] == [TEXT, CONTINUATION, CONTINUATION]
        assert [len(frame.payload) for frame in frames] == [125, 125, 50]
        assert b"".join(f.payload for f in frames).decode() == "€" * 100


@pytest.mark.parametrize("value", [124, 0, -1])
def test_a_frame_size_has_a_lower_bound(value):
    with pytest.raises(ValueError, match=f"frame_size is {value}; it must be 125"):
        Sending(frame_size=value)


@pytest.mark.parametrize("value", [1.5, "1", True])
def test_a_frame_size_is_a_number_of_bytes(value):
    with pytest.raises(TypeError, match="frame_size must be an int"):
        Sending(frame_size=value)
