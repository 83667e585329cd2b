"""What `send` and `send_nowait` put on the wire, and when."""

from __future__ import annotations

import contextlib

import pytest
import trio
from trio.testing import (
    assert_checkpoints,
    assert_no_checkpoints,
    wait_all_tasks_blocked,
)

from tests.serving import pair
from tests.wire import (
    BINARY,
    TEXT,
    Frame,
    Writes,
    binary,
    close,
    text,
)
from trio_fastws import ConnectionBroken, Sending

pytestmark = pytest.mark.usefixtures("transport")


@pytest.fixture(params=[0.0, 0.9], ids=["reversed", "straight"])
def batch_order(request, monkeypatch):
    """Have trio run its batches always, or never, in reversed order."""
    monkeypatch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", False)
    monkeypatch.setattr(trio._core._run._r, "random", lambda: request.param)


@pytest.fixture
def writes():
    return Writes()


@pytest.mark.parametrize(
    ("value", "frame"),
    [
        ("grüße", Frame(1, "grüße".encode())),
        (b"\0\xff", Frame(2, b"\0\xff")),
        (bytearray(b"ab"), Frame(2, b"ab")),
        (memoryview(b"abc")[1:], Frame(2, b"bc")),
        (memoryview(b"abcdef")[::2], Frame(2, b"ace")),
        ("", Frame(1, b"")),
        (b"", Frame(2, b"")),
        (b"x" * 125, Frame(2, b"x" * 125)),
        (b"x" * 126, Frame(2, b"x" * 126)),
        (b"x" * 65535, Frame(2, b"x" * 65535)),
        (b"x" * 65536, Frame(2, b"x" * 65536)),
    ],
)
async def test_a_message_is_one_frame(value, frame):
    async with pair() as (ws, peer):
        with assert_checkpoints():
            await ws.send(value)
        assert await peer.read_frame() == frame
        with assert_no_checkpoints():
            ws.send_nowait(value)
        assert await peer.read_frame() == frame


@pytest.mark.parametrize("value", [3, None, ["a"], object()])
async def test_other_types_are_refused_and_nothing_is_sent(value):
    async with pair() as (ws, peer):
        with pytest.raises(TypeError, match="message must be str"):
            await ws.send(value)
        with pytest.raises(TypeError, match="message must be str"):
            ws.send_nowait(value)
        await ws.send("after")
        assert await peer.read_frame() == text("after")


async def test_both_ways_to_send_name_their_arguments_alike():
    async with pair() as (ws, peer):
        await ws.send(data="a", text=None, compress=False)
        ws.send_nowait(data="b", text=None, compress=False)
        assert await peer.read_frames(2) == [text("a"), text("b")]


async def test_lone_surrogates_queue_nothing():
    async with pair() as (ws, peer):
        with pytest.raises(UnicodeEncodeError):
            await ws.send("bad \ud800")
        with pytest.raises(UnicodeEncodeError):
            ws.send_nowait("bad \udfff")
        assert ws.statistics().messages_sent == 0
        await ws.send("after")
        assert await peer.read_frame() == text("after")


async def test_what_may_change_is_copied():
    async with pair(small=True, sending=Sending(high_water=2**20)) as (ws, peer):
        data = bytearray(b"a" * 300_000)
        ws.send_nowait(data)
        ws.send_nowait(memoryview(data)[:5])
        data[:] = b"b" * len(data)
        assert await peer.read_frame() == binary(b"a" * 300_000)
        assert await peer.read_frame() == binary(b"aaaaa")


async def test_messages_keep_their_order_across_ways_to_send():
    async with pair() as (ws, peer):
        for number in range(0, 40, 4):
            await ws.send(f"{number}")
            ws.send_nowait(f"{number + 1}")
            ws.send_nowait(f"{number + 2}")
            await ws.send(f"{number + 3}")
        assert await peer.read_frames(40) == [text(f"{n}") for n in range(40)]


@pytest.mark.usefixtures("batch_order")
async def test_a_burst_from_a_task_leaves_in_few_writes(mock_clock, writes):
    async with pair() as (ws, peer):
        await wait_all_tasks_blocked()
        writes.watch(peer.stream)
        for number in range(100):
            await ws.send(f"{number}")
        assert await peer.read_frames(100) == [text(f"{n}") for n in range(100)]
        assert writes.count <= 3
        writes.watch(peer.stream)
        for number in range(100):
            ws.send_nowait(f"{number}")
        assert await peer.read_frames(100) == [text(f"{n}") for n in range(100)]
        assert writes.count <= 3


@pytest.mark.usefixtures("batch_order")
async def test_answers_do_not_wait_for_a_task_that_takes_its_time(mock_clock):
    # More to answer is no reason to hold an answer back for long.
    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        for number in range(50):
            await peer.send(Frame(TEXT, b"%d" % number))
        await peer.fence()
        answers = []

        async def watch() -> None:
            while len(answers) < 50:
                answers.append(await peer.read_frame())

        nursery.start_soon(watch)
        for _ in range(49):
            await ws.send(await ws.receive())
            mock_clock.jump(0.1)  # it works
        assert answers
        await ws.send(await ws.receive())
    assert answers == [text(f"{number}") for number in range(50)]


@pytest.mark.usefixtures("batch_order")
@pytest.mark.parametrize("yields", range(5))
@pytest.mark.parametrize("count", [1, 2, 3, 7])
async def test_a_burst_is_never_left_unflushed(yields, count):
    async with pair() as (ws, peer):
        for _ in range(5):
            for number in range(count):
                ws.send_nowait(f"{number}")
            for _ in range(yields):
                await trio.lowlevel.checkpoint()
            # The sender does nothing more for the connection.
            assert await peer.read_frames(count) == [text(f"{n}") for n in range(count)]


@pytest.mark.usefixtures("batch_order")
async def test_a_sender_that_makes_its_own_room_does_not_wait_for_ever():
    # Everything fits into the socket, but only the sender gets to write it.
    async with pair(sending=Sending(high_water=3000, low_water=0)) as (ws, peer):
        for yields in range(4):
            count = 0
            with contextlib.suppress(trio.WouldBlock):
                while True:
                    ws.send_nowait(b"x" * 1000)
                    count += 1
            for _ in range(yields):
                await trio.lowlevel.checkpoint()
            await ws.send("room")
            async with ws.open_message() as message:
                for _ in range(10):
                    await message.write(b"y" * 1000)
            frames = await peer.read_frames(count + 12)
            assert frames[count] == text("room")


async def test_a_single_message_leaves_at_once(transport, writes):
    async with pair() as (ws, peer):
        await wait_all_tasks_blocked()
        writes.watch(peer.stream)
        ws.send_nowait("now")
        at_once = writes.count
        assert await peer.read_frame() == text("now")
        assert writes.count == 1
        # A pump writes when it has its turn, a socket before the call returns.
        assert at_once == (transport == "epoll")


async def test_delay_writes_messages_together(autojump_clock, writes):
    async with pair(sending=Sending(delay=2)) as (ws, peer):
        await wait_all_tasks_blocked()
        writes.watch(peer.stream)
        start = trio.current_time()
        await ws.send("a")
        await trio.sleep(1)
        await ws.send("b")
        await wait_all_tasks_blocked()
        assert writes.count == 0
        assert await peer.read_frames(2) == [text("a"), text("b")]
        assert 2 <= trio.current_time() - start < 2.1
        assert writes.count == 1
        # It does so again.
        await ws.send("c")
        assert await peer.read_frame() == text("c")
        assert 4 <= trio.current_time() - start < 4.2


async def test_a_full_batch_does_not_wait_for_the_delay(autojump_clock):
    async with pair(sending=Sending(delay=2)) as (ws, peer):
        start = trio.current_time()
        await ws.send("a")
        await ws.send(b"x" * 16_384)
        assert await peer.read_frames(2) == [text("a"), binary(b"x" * 16_384)]
        assert trio.current_time() == start


async def test_receiving_does_not_cut_the_delay_short(autojump_clock, writes):
    async with pair(sending=Sending(delay=2)) as (ws, peer):
        await wait_all_tasks_blocked()
        writes.watch(peer.stream)
        await ws.send("a")
        with trio.move_on_after(1):
            await ws.receive()
        assert writes.count == 0
        assert await peer.read_frame() == text("a")


async def test_a_close_does_not_wait_for_the_delay(autojump_clock):
    async with pair(sending=Sending(delay=5)) as (ws, peer):
        start = trio.current_time()
        await ws.send("last")
        ws.close_nowait()
        assert await peer.read_frames(2) == [text("last"), close(1000)]
        assert trio.current_time() == start


async def test_sending_after_our_close_is_an_error():
    async with pair() as (ws, peer):
        ws.close_nowait()
        assert ws.state == "closing"
        with pytest.raises(trio.ClosedResourceError), assert_checkpoints():
            await ws.send("a")
        with pytest.raises(trio.ClosedResourceError):
            ws.send_nowait("a")
        assert await peer.read_frame() == close(1000)
        await peer.send(close(1000))
        assert await peer.read_frame() is None


@pytest.mark.parametrize(
    ("code", "seen"), [(1000, 1000), (1001, 1001), (None, 1005), (4000, 4000)]
)
async def test_sending_after_the_peers_close_is_never_end_of_channel(code, seen):
    async with pair() as (ws, peer):
        await peer.send(close(code))
        await peer.read_frames()
        with pytest.raises(ConnectionBroken) as caught:
            await ws.send("a")
        assert caught.value.close_code == seen
        with pytest.raises(ConnectionBroken):
            ws.send_nowait("a")


async def test_sending_to_a_peer_that_died_this_moment_is_not_an_error_at_once():
    async with pair() as (ws, peer):
        peer.reset()
        ws.send_nowait("a")  # nobody can know yet
        await ws.wait_closed()
        assert ws.close_code == 1006
        with pytest.raises(ConnectionBroken) as caught:
            await ws.send("b")
        assert caught.value.close_code == 1006
        assert isinstance(caught.value, trio.BrokenResourceError)


async def test_a_subclass_of_str_or_bytes_is_sent_as_its_base():
    class Name(str):
        __slots__ = ()

    class Data(bytes):
        __slots__ = ()

    async with pair() as (ws, peer):
        await ws.send(Name("n"))
        ws.send_nowait(Name("n"))
        await ws.send(Data(b"d"))
        ws.send_nowait(Data(b"d"))
        frames = await peer.read_frames(4)
        assert frames == [text("n")] * 2 + [Frame(BINARY, b"d")] * 2
