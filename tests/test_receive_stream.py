"""`WebSocket.receive_stream`: pieces, their ends, and leaving early."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.cutting import cancel_when_blocked
from tests.serving import pair
from tests.wire import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close,
    continuation,
    masked,
    text,
)
from trio_fastws import ConnectionBroken, Limits

pytestmark = pytest.mark.usefixtures("transport")


async def collect(message) -> list:
    return [piece async for piece in message]


async def test_a_complete_message_is_one_piece():
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"whole"), Frame(BINARY, b"next"))
        await peer.fence()
        async with ws.receive_stream() as message:
            assert message.text is None
            with assert_checkpoints():
                assert await message.receive() == "whole"
            assert message.text is True
            with pytest.raises(trio.EndOfChannel), assert_checkpoints():
                await message.receive()
        async with ws.receive_stream() as message:
            assert await collect(message) == [b"next"]
            assert message.text is False


async def test_a_large_message_comes_in_pieces_as_it_arrives():
    limits = Limits(message_size=None, receive_buffer=100_000)
    size = 5_000_000
    async with pair(limits=limits) as (ws, peer), trio.open_nursery() as nursery:
        payload = bytes(range(250)) * (size // 250)
        received = bytearray()
        async with ws.receive_stream() as message:
            nursery.start_soon(peer.send, Frame(BINARY, payload), Frame(TEXT, b"n"))
            async for piece in message:
                received += piece
                assert ws.statistics().receive_queue < 500_000
        assert received == payload
        assert await ws.receive() == "n"


async def test_reading_waits_while_pieces_are_not_taken():
    limits = Limits(message_size=None, receive_buffer=100_000)
    async with pair(limits=limits, small=True) as (ws, peer):
        payload = b"x" * 3_000_000
        async with trio.open_nursery() as nursery, ws.receive_stream() as message:
            nursery.start_soon(peer.send, Frame(BINARY, payload))
            total = len(await message.receive())
            await wait_all_tasks_blocked(0.002)
            held = ws.statistics().receive_queue
            assert held < 600_000
            async for piece in message:
                total += len(piece)
        assert total == len(payload)


@pytest.mark.parametrize("split", range(1, 15))
async def test_text_may_be_split_inside_a_character(split):
    async with pair() as (ws, peer):
        frame = masked(text("aüß€𝄞"))
        async with ws.receive_stream() as message, trio.open_nursery() as nursery:
            pieces = []

            async def take() -> None:
                pieces.extend(await collect(message))

            nursery.start_soon(take)
            await wait_all_tasks_blocked()
            await peer.send(frame[: 6 + split - 1])
            await wait_all_tasks_blocked()
            await peer.send(frame[6 + split - 1 :], Frame(TEXT, b"next"))
        assert "".join(pieces) == "aüß€𝄞"
        assert all(isinstance(piece, str) for piece in pieces)
        assert await ws.receive() == "next"


async def test_what_was_collected_before_is_the_first_piece():
    async with pair() as (ws, peer):
        await peer.send(Frame(BINARY, b"abc", fin=False))
        await peer.fence()
        async with ws.receive_stream() as message:
            assert await message.receive() == b"abc"
            await peer.send(Frame(CONTINUATION, b"def"))
            assert await message.receive() == b"def"
            with pytest.raises(trio.EndOfChannel):
                await message.receive()


async def test_control_frames_pass_between_pieces():
    async with pair() as (ws, peer), ws.receive_stream() as message:
        await peer.send(Frame(BINARY, b"a", fin=False), Frame(PING, b"p"))
        assert await message.receive() == b"a"
        assert await peer.read_frame() == Frame(PONG, b"p")
        await peer.send(Frame(CONTINUATION, b"b"))
        assert await message.receive() == b"b"


async def test_leaving_early_discards_what_is_still_to_come():
    async with pair() as (ws, peer):
        async with ws.receive_stream() as message:
            await peer.send(Frame(BINARY, b"a", fin=False))
            assert await message.receive() == b"a"
        await peer.send(Frame(CONTINUATION, b"b", fin=False))
        await peer.send(Frame(CONTINUATION, b"c"), Frame(TEXT, b"next"))
        assert await ws.receive() == "next"
        await peer.send(Frame(TEXT, b"and on"))
        assert await ws.receive() == "and on"


async def test_leaving_early_discards_what_is_here_already():
    async with pair() as (ws, peer):
        async with ws.receive_stream() as message:
            await peer.send(Frame(BINARY, b"a", fin=False))
            assert await message.receive() == b"a"
            await peer.send(Frame(CONTINUATION, b"b", fin=False))
            await peer.send(Frame(CONTINUATION, b"c"), Frame(TEXT, b"next"))
            await peer.fence()
        assert ws.receive_nowait() == "next"
        assert ws.statistics().receive_queue == 0


@pytest.mark.parametrize("whole", [True, False])
async def test_a_stream_after_one_that_was_left_is_the_next_message(whole):
    async with pair() as (ws, peer):
        async with ws.receive_stream() as message:
            await peer.send(Frame(BINARY, b"a", fin=False))
            assert await message.receive() == b"a"
        if whole:
            await peer.send(Frame(CONTINUATION, b"b"))
            await peer.fence()
        async with trio.open_nursery() as nursery, ws.receive_stream() as message:
            rest = b"" if whole else Frame(CONTINUATION, b"b")
            nursery.start_soon(peer.send, rest, Frame(TEXT, b"next"))
            assert await collect(message) == ["next"]


async def test_a_second_block_that_takes_nothing_goes_on_discarding():
    async with pair() as (ws, peer):
        async with ws.receive_stream() as message:
            await peer.send(Frame(BINARY, b"a" * 50_000, fin=False))
            assert await message.receive()
        async with ws.receive_stream():
            pass
        await peer.send(Frame(CONTINUATION, b"b" * 15_000), Frame(TEXT, b"next"))
        assert await ws.receive() == "next"


async def test_two_tasks_may_not_take_the_pieces_of_one_message():
    async def take(message) -> None:
        assert await message.receive() == b"a"

    async with (
        pair() as (ws, peer),
        ws.receive_stream() as message,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(take, message)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await message.receive()
        await peer.send(Frame(BINARY, b"a"))


async def test_pieces_that_came_when_nobody_waited_any_more_are_discarded():
    async with pair() as (ws, peer):
        async with ws.receive_stream() as message:
            assert await cancel_when_blocked(message.receive)
            await peer.send(Frame(BINARY, b"a", fin=False))
            await peer.fence()
        await peer.send(Frame(CONTINUATION, b"b"), Frame(TEXT, b"next"))
        assert await ws.receive() == "next"


async def test_aclose_leaves_the_message():
    async with pair() as (ws, peer), ws.receive_stream() as message:
        await peer.send(Frame(BINARY, b"a", fin=False))
        assert await message.receive() == b"a"
        with assert_checkpoints():
            await message.aclose()
        await peer.send(Frame(CONTINUATION, b"b"), Frame(TEXT, b"next"))
        assert await ws.receive() == "next"


async def test_a_block_that_takes_nothing_leaves_the_message_alone():
    async with pair() as (ws, peer):
        async with ws.receive_stream():
            pass
        await peer.send(Frame(TEXT, b"kept"))
        assert await ws.receive() == "kept"
        await peer.send(Frame(TEXT, b"half", fin=False))
        await peer.fence()
        async with ws.receive_stream():
            pass
        await peer.send(Frame(CONTINUATION, b"whole"))
        assert await ws.receive() == "halfwhole"


async def test_a_message_that_waits_is_kept_by_a_block_that_takes_nothing():
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"kept"))
        await peer.fence()
        async with ws.receive_stream():
            pass
        assert ws.receive_nowait() == "kept"


async def test_it_must_be_entered():
    async with pair() as (ws, _):
        with pytest.raises(RuntimeError, match="async with"):
            await ws.receive_stream().receive()


async def test_a_close_in_the_middle_is_connection_broken():
    async with pair() as (ws, peer), ws.receive_stream() as message:
        await peer.send(Frame(BINARY, b"a", fin=False))
        assert await message.receive() == b"a"
        await peer.send(Frame(CONTINUATION, b"b", fin=False), close(1000))
        assert await message.receive() == b"b"
        with pytest.raises(ConnectionBroken) as caught:
            await message.receive()
        assert caught.value.close_code == 1000


@pytest.mark.parametrize(
    ("code", "error"), [(1000, trio.EndOfChannel), (4000, ConnectionBroken)]
)
async def test_a_close_before_it_began_is_the_channels_end(code, error):
    async with pair() as (ws, peer), ws.receive_stream() as message:
        await peer.send(close(code))
        with pytest.raises(error):
            await message.receive()
        with pytest.raises(error), assert_checkpoints():
            await message.receive()


async def test_our_own_close_in_the_middle():
    async with pair() as (ws, peer), ws.receive_stream() as message:
        await peer.send(Frame(BINARY, b"a", fin=False))
        assert await message.receive() == b"a"
        ws.close_nowait()
        with pytest.raises(trio.ClosedResourceError):
            await message.receive()


async def test_what_came_before_a_reset_is_still_given():
    limits = Limits(receive_buffer=100)
    async with pair(limits=limits) as (ws, peer), ws.receive_stream() as message:
        await peer.send(Frame(BINARY, b"a", fin=False))
        assert await message.receive() == b"a"
        # The first pauses reading; the rest is still in the kernel.
        for _ in range(4):
            await peer.send(Frame(CONTINUATION, b"b" * 200, fin=False))
            await wait_all_tasks_blocked(0.001)
        peer.reset()
        await wait_all_tasks_blocked(0.001)
        total = 0
        while total < 800:
            total += len(await message.receive())
        assert total == 800
        with pytest.raises(ConnectionBroken):
            await message.receive()


async def test_the_limit_on_messages_still_holds():
    limits = Limits(message_size=1000)
    async with pair(limits=limits) as (ws, peer), ws.receive_stream() as message:
        await peer.send(Frame(BINARY, b"a" * 1000, fin=False))
        assert len(await message.receive()) == 1000
        await peer.send(Frame(CONTINUATION, b"b"))
        with pytest.raises(ConnectionBroken) as caught:
            await message.receive()
        assert caught.value.close_code == 1009


async def test_text_that_is_not_utf8_fails_at_its_first_bad_byte():
    async with pair() as (ws, peer), ws.receive_stream() as message:
        await peer.send(Frame(TEXT, b"fine", fin=False))
        assert await message.receive() == "fine"
        await peer.send(masked(continuation(b"\xff" + b"x" * 50))[:10])
        with pytest.raises(ConnectionBroken) as caught:
            await message.receive()
        assert caught.value.close_code == 1007


async def test_a_stream_is_entered_once():
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"one"), Frame(TEXT, b"two"))
        stream = ws.receive_stream()
        async with stream:
            assert await stream.receive() == "one"
            with pytest.raises(RuntimeError, match="entered before"):
                await stream.__aenter__()
        with pytest.raises(RuntimeError, match="entered before"):
            await stream.__aenter__()
        with pytest.raises(RuntimeError, match="async with"):
            await stream.receive()
        assert await ws.receive() == "two"
