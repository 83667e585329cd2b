"""Compressed messages that are sent: which are, and what the frames look like."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints

from tests.deflate.cases import MODES, Story, deflating, dial, linked
from tests.handlers import Keeper
from tests.serving import serving
from tests.wire import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    Message,
)
from trio_fastws import EventHandler, PerMessageDeflate

pytestmark = pytest.mark.usefixtures("transport")

SIDES = ("server", "client")
ALIKE = b"all alike " * 20


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_every_message_inflates_to_itself(side, mode):
    story = Story()
    async with linked(side, deflating(mode)) as (ws, peer):
        assert ws.deflate is not None
        for number in range(60):
            message = story.tell(200 + 13 * number)
            if number % 2:
                await ws.send(message)
            else:
                ws.send_nowait(message.decode())
            found = await peer.read_message()
            assert found.opcode == (BINARY if number % 2 else TEXT)
            assert found.payload == message
            assert found.compressed
            assert len(found.sizes) == 1


async def test_takeover_makes_a_repeated_message_small(side):
    message = Story().tell(1000)
    async with linked(side, deflating("persistent")) as (ws, peer):
        await ws.send(message)
        await ws.send(message)
        first, second = await peer.read_message(), await peer.read_message()
        assert first.payload == second.payload == message
        assert sum(second.sizes) < sum(first.sizes) / 10


async def test_without_takeover_a_repeated_message_is_as_large_again(side):
    message = Story().tell(1000)
    async with linked(side, deflating("none")) as (ws, peer):
        await ws.send(message)
        await ws.send(message)
        first, second = await peer.read_message(), await peer.read_message()
        assert first == second
        assert first.compressed


async def test_empty_messages_are_plain_and_harmless(side, mode):
    async with linked(side, deflating(mode)) as (ws, peer):
        for message in (ALIKE, b"", ALIKE, ""):
            await ws.send(message)
        found = [await peer.read_message() for _ in range(4)]
        assert [m.payload for m in found] == [ALIKE, b"", ALIKE, b""]
        assert [m.compressed for m in found] == [True, False, True, False]


@pytest.mark.parametrize("mode", ["window", "none"])
async def test_what_does_not_become_smaller_is_plain(side, mode):
    noise = Story().random.randbytes(2000)
    async with linked(side, deflating(mode)) as (ws, peer):
        await ws.send(ALIKE)
        await ws.send(noise)
        await ws.send(ALIKE)
        assert (await peer.read_message()).compressed
        assert await peer.read_message() == Message(BINARY, noise, False, [noise])
        found = await peer.read_message()
        assert (found.payload, found.compressed) == (ALIKE, True)


async def test_compress_false_is_plain_and_enters_no_window(side, mode):
    story = Story(2)
    async with linked(side, deflating(mode)) as (ws, peer):
        for number in range(40):
            message, plain = story.tell(), number % 3 == 1
            if number % 2:
                await ws.send(message, compress=not plain)
            else:
                ws.send_nowait(message, compress=not plain)
            found = await peer.read_message()
            assert (found.payload, found.compressed) == (message, not plain)


# --- the threshold ----------------------------------------------------------


@pytest.mark.parametrize("threshold", [1, 64, 100, 5000])
async def test_the_threshold_is_exact(side, threshold):
    # A window would have what gets no smaller sent as it is.
    deflate = PerMessageDeflate(threshold=threshold, context="persistent")
    async with linked(side, deflate) as (ws, peer):
        for size, compressed in ((threshold - 1, False), (threshold, True)) * 2:
            await ws.send(b"a" * size)
            found = await peer.read_message()
            assert (found.payload, found.compressed) == (b"a" * size, compressed)


async def test_the_threshold_is_64_bytes_and_counts_them_encoded(side):
    async with linked(side, PerMessageDeflate()) as (ws, peer):
        for message, compressed in (
            ("a" * 63, False),
            ("a" * 64, True),
            ("ü" * 31, False),
            ("ü" * 32, True),
        ):
            await ws.send(message, compress=True)
            found = await peer.read_message()
            assert found.payload == message.encode()
            assert found.compressed is compressed


async def test_a_threshold_of_0_compresses_everything(side):
    async with linked(side, deflating("persistent")) as (ws, peer):
        ws.send_nowait("a")
        assert (await peer.read_message()).compressed


# --- not agreed -------------------------------------------------------------


@pytest.mark.parametrize("offer", [None, "x-other; a=1"])
async def test_without_an_agreement_everything_is_plain(offer):
    keeper = Keeper()
    async with serving(keeper, deflate=deflating("persistent")) as site:
        peer = await dial(site, offer)
        ws = await keeper.next()
        assert peer.extensions is None
        assert ws.deflate is None
        await ws.send(ALIKE, compress=True)
        ws.send_nowait(ALIKE, compress=False)
        async with ws.open_message(compress=True) as message:
            await message.write(ALIKE)
        for _ in range(3):
            assert not (await peer.read_message()).compressed


async def test_it_is_off_unless_given(side):
    async with linked(side, None) as (ws, peer):
        assert peer.extensions is None
        assert ws.deflate is None
        await ws.send(ALIKE)
        assert await peer.read_message() == Message(BINARY, ALIKE, False, [ALIKE])


# --- checkpoints, hooks, control frames -------------------------------------


@pytest.mark.parametrize("compress", [True, False])
async def test_send_is_a_checkpoint(side, compress):
    async with linked(side, deflating("persistent")) as (ws, peer):
        for message in (ALIKE, b"", ALIKE * 1000):
            with assert_checkpoints():
                await ws.send(message, compress=compress)
            assert await peer.read_payloads(1) == [message]
        async with ws.open_message(compress=compress) as message:
            with assert_checkpoints():
                await message.write(ALIKE)
        ws.close_nowait()
        with pytest.raises(trio.ClosedResourceError), assert_checkpoints():
            await ws.send(ALIKE, compress=compress)


class Echo(EventHandler):
    """Answers three times, the second time plain; takes part in control frames."""

    def on_message(self, ws, message) -> None:
        ws.send_nowait(message)
        ws.send_nowait(message, compress=False)
        ws.send_nowait(message)


async def test_a_hook_sends_compressed_and_plain(mode):
    story = Story(6)
    async with serving(Echo(), deflate=deflating(mode)) as site:
        peer = await dial(site)
        for _ in range(30):
            message = story.tell()
            await peer.send_message(TEXT, message)
            found = [await peer.read_message() for _ in range(3)]
            assert [m.payload for m in found] == [message] * 3
            assert [m.compressed for m in found] == [True, False, True]


async def test_control_frames_are_never_compressed(side):
    async with linked(side, deflating("persistent")) as (ws, peer):
        await peer.send(Frame(PING, b"a" * 125))
        assert await peer.read_frame() == Frame(PONG, b"a" * 125)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ws.ping)
            ping = await peer.read_frame()
            assert (ping.opcode, ping.rsv1) == (PING, False)
            await peer.send(Frame(PONG, ping.payload))
        ws.close_nowait(1000, "b" * 123)
        last = await peer.read_frame()
        assert (last.opcode, last.rsv1) == (CLOSE, False)
        assert last.payload[2:] == b"b" * 123
