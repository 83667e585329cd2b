"""What `receive` gives, in which order, and how it ends."""

from __future__ import annotations

import pytest
import trio
from trio.testing import (
    assert_checkpoints,
    assert_no_checkpoints,
    wait_all_tasks_blocked,
)

from tests.serving import fill, pair, serving
from tests.wire import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close,
    masked,
    text,
)
from trio_fastws import ConnectionBroken, EventHandler

pytestmark = pytest.mark.usefixtures("transport")


@pytest.mark.parametrize(
    ("opcode", "payload", "message"),
    [
        (TEXT, "grüße".encode(), "grüße"),
        (BINARY, b"\0\xff", b"\0\xff"),
        (TEXT, b"", ""),
        (BINARY, b"", b""),
        (BINARY, bytes(range(256)) * 1000, bytes(range(256)) * 1000),
    ],
)
async def test_text_is_str_and_binary_is_bytes(opcode, payload, message):
    async with pair() as (ws, peer):
        await peer.send(Frame(opcode, payload))
        with assert_checkpoints():
            received = await ws.receive()
        assert received == message
        assert type(received) is type(message)


async def test_receiving_what_is_here_already_is_a_checkpoint_too():
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"a"), Frame(TEXT, b"b"))
        assert await ws.receive() == "a"
        with assert_checkpoints():
            assert await ws.receive() == "b"


async def test_receive_nowait():
    async with pair() as (ws, peer):
        with pytest.raises(trio.WouldBlock), assert_no_checkpoints():
            ws.receive_nowait()
        await peer.send(Frame(TEXT, b"a"))
        await peer.fence()
        with assert_no_checkpoints():
            assert ws.receive_nowait() == "a"
        with pytest.raises(trio.WouldBlock):
            ws.receive_nowait()


async def test_ten_messages_and_a_close_in_one_read_are_all_delivered():
    async with pair() as (ws, peer):
        frames = [Frame(TEXT, b"%d" % number) for number in range(10)]
        await peer.send(*frames, close(1000, "done"))
        assert await peer.read_frames() == [close(1000, "done")]
        await ws.wait_closed()
        received = [message async for message in ws]
        assert received == [f"{number}" for number in range(10)]
        assert (ws.close_code, ws.close_reason) == (1000, "done")
        with pytest.raises(trio.EndOfChannel), assert_checkpoints():
            await ws.receive()


@pytest.mark.parametrize(("code", "seen"), [(1000, 1000), (1001, 1001), (None, 1005)])
async def test_a_clean_end_is_end_of_channel(code, seen):
    async with pair() as (ws, peer):
        await peer.send(close(code))
        with pytest.raises(trio.EndOfChannel, match=str(seen)):
            await ws.receive()
        with pytest.raises(trio.EndOfChannel):
            ws.receive_nowait()
        assert ws.close_code == seen


@pytest.mark.parametrize("code", [1002, 1003, 1008, 1011, 1012, 3000, 4999])
async def test_any_other_code_is_connection_broken(code):
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"last"), close(code, "why"))
        assert await ws.receive() == "last"
        with pytest.raises(ConnectionBroken, match=f"{code}: why") as caught:
            await ws.receive()
        assert (caught.value.close_code, caught.value.close_reason) == (code, "why")
        with pytest.raises(ConnectionBroken):
            ws.receive_nowait()


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_what_came_before_a_lost_transport_is_delivered(how):
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"a"), Frame(TEXT, b"b"))
        await peer.fence()
        if how == "fin":
            await peer.aclose()
        else:
            peer.reset()
        await ws.wait_closed()
        assert await ws.receive() == "a"
        assert await ws.receive() == "b"
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        assert caught.value.close_code == 1006
        assert "lost without a Close frame" in caught.value.close_reason


async def test_half_a_message_at_the_end_is_not_delivered():
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"whole"), masked(text("half"))[:-1])
        await peer.send_eof()
        assert await ws.receive() == "whole"
        with pytest.raises(ConnectionBroken):
            await ws.receive()


async def test_a_peer_that_breaks_the_protocol_is_told_and_so_are_we():
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"good"), Frame(3, b""), Frame(TEXT, b"no"))
        assert await ws.receive() == "good"
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        assert caught.value.close_code == 1002
        frame, *rest = await peer.read_frames()
        assert frame.payload[:2] == (1002).to_bytes(2, "big")
        assert rest == []


async def test_our_own_close_ends_receiving_at_once():
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"unread"))
        await peer.fence()
        ws.close_nowait(1000)
        with pytest.raises(trio.ClosedResourceError), assert_checkpoints():
            await ws.receive()
        with pytest.raises(trio.ClosedResourceError):
            ws.receive_nowait()


async def test_our_own_close_wakes_the_receiver():
    async with pair() as (ws, _), trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await ws.receive()

        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        ws.close_nowait()


async def test_closing_after_the_peer_is_not_an_error():
    async with pair() as (ws, peer):
        await peer.send(close(1000))
        await ws.wait_closed()
        with assert_checkpoints():
            await ws.aclose()
        with assert_checkpoints():
            await ws.aclose(4000, "again")
        assert ws.close_code == 1000
        with pytest.raises(trio.ClosedResourceError):
            await ws.receive()


async def test_aclose_is_the_whole_handshake_and_discards_what_still_comes():
    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        with assert_checkpoints():
            nursery.start_soon(ws.aclose, 1001, "bye")
            assert await peer.read_frame() == close(1001, "bye")
        await peer.send(Frame(TEXT, b"late"), Frame(PING, b"late"))
        await wait_all_tasks_blocked()
        assert ws.close_code is None
        await peer.send(close(1001))
        assert await peer.read_frames() == []
        await ws.wait_closed()
        assert ws.close_code == 1001
        assert ws.statistics().messages_received == 0


async def test_two_tasks_cannot_receive_at_once():
    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        nursery.start_soon(ws.receive)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await ws.receive()
        with pytest.raises(trio.BusyResourceError):
            ws.receive_nowait()
        with pytest.raises(trio.BusyResourceError):
            async with ws.receive_stream():
                pass
        await peer.send(Frame(TEXT, b"a"))


async def test_a_stream_keeps_others_from_receiving_until_it_is_left():
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"a"), Frame(TEXT, b"b"))
        async with ws.receive_stream() as message:
            with pytest.raises(trio.BusyResourceError):
                ws.receive_nowait()
            assert await message.receive() == "a"
        assert await ws.receive() == "b"


async def test_the_messages_of_an_event_handler_cannot_be_received():
    opened = []

    class Handler(EventHandler):
        def on_open(self, ws):
            opened.append(ws)

    async with serving(Handler()) as site:
        await site.dial()
        with pytest.raises(RuntimeError, match="on_message"):
            await opened[0].receive()
        with pytest.raises(RuntimeError, match="on_message"):
            opened[0].receive_nowait()


async def test_fragments_become_one_message_with_control_frames_between():
    async with pair() as (ws, peer):
        await peer.send(
            Frame(TEXT, "grü".encode()[:3], fin=False),
            Frame(PING, b"p"),
            Frame(CONTINUATION, "grü".encode()[3:], fin=False),
            Frame(PONG, b"unasked"),
            Frame(CONTINUATION, "ße".encode()),
        )
        assert await ws.receive() == "grüße"
        assert await peer.read_frame() == Frame(PONG, b"p")


@pytest.mark.parametrize("split", range(1, 12))
async def test_a_frame_may_come_in_any_two_parts(split):
    async with pair() as (ws, peer):
        frame = masked(text("grüße"))
        await peer.send(frame[:split])
        await wait_all_tasks_blocked()
        await peer.send(frame[split:], Frame(TEXT, b"next"))
        assert await ws.receive() == "grüße"
        assert await ws.receive() == "next"


async def test_every_waiter_wakes_when_the_transport_dies():
    async with pair(small=True) as (ws, peer):
        await fill(ws, b"x" * 40_000)
        broken = []

        async def expect(async_fn) -> None:
            with pytest.raises(ConnectionBroken) as caught:
                await async_fn()
            broken.append(caught.value.close_code)

        async def write() -> None:
            async with ws.open_message():
                raise AssertionError("there is no room")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect, lambda: ws.send("a"))
            nursery.start_soon(expect, lambda: ws.send("b"))
            nursery.start_soon(expect, ws.receive)
            nursery.start_soon(expect, ws.ping)
            nursery.start_soon(expect, write)
            nursery.start_soon(ws.wait_closed)
            await wait_all_tasks_blocked()
            peer.reset()
        assert broken == [1006] * 5


async def test_a_call_without_await_warns_of_receive():
    async with pair() as (ws, _):
        with pytest.warns(RuntimeWarning, match=r"WebSocket\.receive' was never await"):
            ws.receive()
