"""`PreparedMessage`: what it takes, what it says, and where it may go."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.deflate.cases import MODES, Story, deflating, dial, linked
from tests.handlers import Keeper
from tests.serving import serving
from tests.wire import (
    BINARY,
    TEXT,
    close,
)
from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    PerMessageDeflate,
    PreparedMessage,
    Sending,
)

pytestmark = pytest.mark.usefixtures("transport")

ALIKE = b"all alike " * 20


@pytest.fixture(params=["server", "client"])
def side(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(
    ("message", "opcode", "payload"),
    [
        ("grüße", TEXT, "grüße".encode()),
        ("", TEXT, b""),
        (b"bytes", BINARY, b"bytes"),
        (b"", BINARY, b""),
        (bytearray(b"array"), BINARY, b"array"),
        (memoryview(b"view"), BINARY, b"view"),
        (memoryview(b"every other")[::2], BINARY, b"every other"[::2]),
    ],
)
async def test_text_and_binary(side, message, opcode, payload):
    prepared = PreparedMessage(message)
    for deflate in (None, deflating("persistent"), deflating("window")):
        async with linked(side, deflate) as (ws, peer):
            with assert_checkpoints():
                await ws.send(prepared)
            ws.send_nowait(prepared)
            for _ in range(2):
                found = await peer.read_message()
                assert (found.opcode, found.payload) == (opcode, payload)


@pytest.mark.parametrize("message", [None, 5, 1.5, ["a"], object()])
def test_what_is_no_message_is_refused(transport, message):
    with pytest.raises(TypeError, match=f"not {type(message).__name__}"):
        PreparedMessage(message)


def test_surrogates_are_refused(transport):
    with pytest.raises(UnicodeEncodeError):
        PreparedMessage("\ud800")


async def test_what_may_change_is_copied(side):
    source = bytearray(b"before")
    prepared = PreparedMessage(source)
    source[:] = b"after!"
    async with linked(side, deflating("none")) as (ws, peer):
        await ws.send(prepared)
        assert await peer.read_payloads(1) == [b"before"]


def test_it_tells_what_it_holds(transport):
    assert PreparedMessage("grüße").message == "grüße"
    assert PreparedMessage(bytearray(b"abc")).message == b"abc"
    assert PreparedMessage("a", compress=False).compress is False
    assert PreparedMessage("a").compress is True


async def test_compress_false_here_or_there_is_plain(side, mode):
    async with linked(side, deflating(mode)) as (ws, peer):
        for prepared, options, compressed in (
            (PreparedMessage(ALIKE), {}, True),
            (PreparedMessage(ALIKE, compress=True), {"compress": True}, True),
            (PreparedMessage(ALIKE, compress=False), {}, False),
            (PreparedMessage(ALIKE, compress=False), {"compress": True}, False),
            (PreparedMessage(ALIKE), {"compress": False}, False),
        ):
            await ws.send(prepared, **options)
            ws.send_nowait(prepared, **options)
            for _ in range(2):
                found = await peer.read_message()
                assert found.payload == ALIKE
                assert found.compressed is compressed


async def test_the_threshold_holds(side):
    deflate = PerMessageDeflate(threshold=100, context="window")
    async with linked(side, deflate) as (ws, peer):
        for size in (99, 100) * 2:
            await ws.send(PreparedMessage(b"a" * size))
            found = await peer.read_message()
            assert found.payload == b"a" * size
            assert found.compressed == (size == 100)


async def test_the_same_one_again_and_again(side, mode):
    story = Story()
    first, second = (PreparedMessage(story.tell(900)) for _ in range(2))
    async with linked(side, deflating(mode)) as (ws, peer):
        for number in range(20):
            for prepared in (first, second, first):
                await ws.send(prepared)
            own = story.tell()
            await ws.send(own)
            assert await peer.read_payloads(4) == [
                first.message,
                second.message,
                first.message,
                own,
            ], number


async def test_clients_mask_it_each_in_its_own_way():
    prepared = PreparedMessage(Story().tell(2000))
    raw = []
    for deflate in (None, deflating("none"), deflating("none")):
        async with linked("client", deflate) as (ws, peer):
            await ws.send(prepared)
            await ws.send(prepared)
            data = bytearray()
            while data.count(b"\x82" if deflate is None else b"\xc2") < 2:
                data += await peer.stream.receive_some()
                if len(data) > 1000:
                    break
            raw.append(bytes(data))
            peer.buffer.extend(data)
            assert await peer.read_payloads(2) == [prepared.message] * 2
    assert len(set(raw)) == 3


async def test_to_a_connection_that_is_closed(side):
    prepared = PreparedMessage(ALIKE)
    async with linked(side, deflating("window")) as (ws, _):
        ws.close_nowait()
        with pytest.raises(trio.ClosedResourceError), assert_checkpoints():
            await ws.send(prepared)
        with pytest.raises(trio.ClosedResourceError):
            ws.send_nowait(prepared)
    async with linked(side, deflating("window")) as (ws, peer):
        await peer.send(close(4000))
        assert await peer.read_close() == (4000, "")
        with pytest.raises(ConnectionBroken), assert_checkpoints():
            await ws.send(prepared)
        with pytest.raises(ConnectionBroken):
            ws.send_nowait(prepared)
    async with linked(side, deflating("window")) as (ws, peer):
        # It is still good for others.
        await ws.send(prepared)
        assert await peer.read_payloads(1) == [ALIKE]


async def test_it_waits_while_a_message_is_sent_piece_by_piece(side, mode):
    prepared = PreparedMessage(ALIKE)
    async with (
        linked(side, deflating(mode)) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        async with ws.open_message() as message:
            await message.write(b"a" * 500)
            with pytest.raises(trio.WouldBlock):
                ws.send_nowait(prepared)
            nursery.start_soon(ws.send, prepared)
            await wait_all_tasks_blocked()
            await message.write(b"b")
        assert await peer.read_payloads(2) == [b"a" * 500 + b"b", ALIKE]


async def test_it_waits_for_room_like_any_message(side, mode):
    story = Story(3)
    dense = story.random.randbytes(2**21)
    sending = Sending(high_water=50_000, low_water=0)
    async with (
        linked(side, deflating(mode), small=True, sending=sending) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        await ws.send(dense, compress=False)
        prepared = [PreparedMessage(story.tell(2000)) for _ in range(5)]
        with pytest.raises(trio.WouldBlock):
            ws.send_nowait(prepared[0])
        for one in prepared:
            nursery.start_soon(ws.send, one)
            await wait_all_tasks_blocked()
        expected = [dense, *(one.message for one in prepared)]
        assert await peer.read_payloads(6) == expected
        assert await peer.fence() == []


async def test_queued_ones_are_in_the_windows_when_they_leave(mode):
    # Queued before what is compressed before it has left.
    keeper, story = Keeper(), Story(4)
    sending = Sending(high_water=2**24, low_water=0, hard_limit=2**24)
    deflate = deflating(mode)
    async with serving(keeper, small=True, sending=sending, deflate=deflate) as site:
        peer = await dial(site)
        ws = await keeper.next()
        sent = [story.random.randbytes(2**20)]
        ws.send_nowait(sent[0], compress=False)
        for number in range(60):
            sent.append(story.tell(400))
            if number % 3 == 0:
                ws.send_nowait(PreparedMessage(sent[-1]))
            elif number % 3 == 1:
                ws.send_nowait(sent[-1])
            else:
                ws.send_nowait(PreparedMessage(sent[-1]), compress=number % 2 == 0)
        assert await peer.read_payloads(61) == sent


class Greeter(EventHandler):
    """Sends a prepared message from every hook there is."""

    def __init__(self) -> None:
        self.greeting = PreparedMessage("hello " * 30)

    def on_open(self, ws) -> None:
        ws.send_nowait(self.greeting)

    def on_message(self, ws, message) -> None:
        ws.send_nowait(self.greeting)
        ws.start_soon(ws.send, self.greeting)


async def test_in_hooks_and_in_tasks(mode):
    greeter = Greeter()
    async with serving(greeter, deflate=deflating(mode)) as site:
        for _ in range(3):
            peer = await dial(site)
            assert await peer.read_payloads(1) == [b"hello " * 30]
            await peer.send_message(TEXT, b"again")
            assert await peer.read_payloads(2) == [b"hello " * 30] * 2
