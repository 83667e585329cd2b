"""Large messages that are received compressed: in steps, in pieces, in order."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.cutting import cut
from tests.deflate.cases import Story, deflating, dial, each_side, linked
from tests.deflate.harm import Used, bomb
from tests.deflate.large import JSON
from tests.serving import serving
from tests.wire import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    TEXT,
    Frame,
    close,
    ping,
    split,
)
from trio_fastws import EventHandler, Limits

pytestmark = pytest.mark.usefixtures("transport")

UNLIMITED = Limits(message_size=None)
PATIENT = Limits(message_size=None, receive_buffer=100_000)


class Hooks(EventHandler):
    """Echoes what is small; notes what is large."""

    def __init__(self) -> None:
        self.sockets = []
        self.large = []

    def on_open(self, ws) -> None:
        self.sockets.append(ws)

    def on_message(self, ws, message) -> None:
        if len(message) > 1000:
            self.large.append(message)
        else:
            ws.send_nowait(message)


class Tasks:
    """Does the same in a task for each connection."""

    def __init__(self) -> None:
        self.hooks = Hooks()

    async def __call__(self, ws) -> None:
        self.hooks.on_open(ws)
        async for message in ws:
            self.hooks.on_message(ws, message)


@pytest.mark.parametrize("kind", ["hooks", "tasks"])
async def test_others_are_served_between_the_steps(kind):
    # So small on the wire that one read has all of it.
    size = 32 * 2**20
    data = bomb(size)
    assert len(data) < 2**17
    handler = Tasks() if kind == "tasks" else Hooks()
    hooks = handler.hooks if isinstance(handler, Tasks) else handler
    deflate = deflating("persistent")
    async with serving(handler, deflate=deflate, limits=UNLIMITED) as site:
        large, small = await dial(site), await dial(site)
        echoes = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(large.send, Frame(BINARY, data, True, RSV1))
            while not hooks.large:
                await small.send_message(TEXT, b"%d" % echoes)
                assert (await small.read_message()).payload == b"%d" % echoes
                echoes += 1
        assert hooks.large == [bytes(size)]
        assert echoes >= 6


@each_side
@pytest.mark.parametrize("size", [None, 50_000, 500])
async def test_a_large_message_arrives_whole_whatever_its_fragments(side, size):
    data = JSON[: 3 * 2**20]
    deflate = deflating("persistent")
    limits = Limits(message_size=2**23, receive_buffer=2**23)
    async with linked(side, deflate, limits=limits) as (ws, peer):
        for opcode in (TEXT, BINARY):
            frames = peer.encode(*peer.pack(opcode, data, size))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.stream.send_all, frames)
                message = await ws.receive()
            assert message == (data if opcode == BINARY else data.decode())
        await peer.send_message(TEXT, b"behind")
        assert await ws.receive() == "behind"


@each_side
async def test_what_comes_behind_it_stays_behind_it(side):
    story = Story()
    deflate = deflating("persistent")
    async with linked(side, deflate, limits=UNLIMITED) as (ws, peer):
        told = [story.tell(), JSON[:3_000_000], story.tell(), story.tell()]
        frames = b"".join(peer.encode(*peer.pack(BINARY, message)) for message in told)
        frames += peer.encode(Frame(BINARY, b"plain"), Frame(PING, b"last"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.stream.send_all, frames)
            for message in [*told, b"plain"]:
                assert await ws.receive() == message
            assert await peer.read_frame() == Frame(PONG, b"last")
        await peer.send(close())
        with pytest.raises(trio.EndOfChannel):
            await ws.receive()


@each_side
async def test_pings_between_its_fragments_are_answered_at_once(side):
    data = JSON[: 2**20]
    limits = Limits(receive_buffer=2**21)
    async with linked(side, deflating("persistent"), limits=limits) as (ws, peer):
        frames = peer.pack(BINARY, data, 20_000)
        for number, frame in enumerate(frames):
            await peer.send(frame)
            await peer.send(Frame(PING, b"%d" % number))
            assert await peer.read_frame() == Frame(PONG, b"%d" % number)
        assert await ws.receive() == data


@each_side
async def test_a_cancelled_receive_loses_nothing(side):
    data = JSON[: 2**20]
    async with linked(side, deflating("persistent"), limits=UNLIMITED) as (ws, peer):
        received = []

        async def receive() -> None:
            received.append(await ws.receive())

        for number in range(12):
            sent = b"%d" % number + data
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.send_message, BINARY, sent)
                await cut(number + 1, receive)
                while len(received) <= number:
                    await receive()
            assert received[-1] == sent
        assert len(received) == 12


# --- as a stream ------------------------------------------------------------


@each_side
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_stream_needs_little_memory(side, opcode):
    data = bomb(16 * 2**20)
    async with linked(side, deflating("persistent"), limits=PATIENT) as (ws, peer):
        frame = peer.encode(Frame(opcode, data, rsv=RSV1))
        with Used() as used:
            total = 0
            async with trio.open_nursery() as nursery, ws.receive_stream() as message:
                nursery.start_soon(peer.stream.send_all, frame)
                async for piece in message:
                    total += len(piece)
                    assert not piece.strip("\0" if opcode == TEXT else b"\0")
                    assert ws.statistics().receive_queue < 500_000
            assert used.peak() < 2**20
        assert total == 16 * 2**20


@each_side
async def test_a_stream_of_what_hardly_compresses_is_exact(side):
    text = JSON[: 4 * 2**20].decode().replace("user", "usér €𝄞")
    data = text.encode()
    async with linked(side, deflating("persistent"), limits=PATIENT) as (ws, peer):
        pieces = []
        async with trio.open_nursery() as nursery, ws.receive_stream() as message:
            nursery.start_soon(peer.send_message, TEXT, data)
            async for piece in message:
                pieces.append(piece)  # noqa: PERF401 - no comprehension in a stream
        assert "".join(pieces) == text
        assert len(pieces) > 10
        await peer.send_message(TEXT, b"behind")
        assert await ws.receive() == "behind"


@each_side
async def test_inflating_waits_while_pieces_are_not_taken(side):
    # All of it is here; it is only not inflated yet.
    size = 16 * 2**20
    async with linked(side, deflating("persistent"), limits=PATIENT) as (ws, peer):
        async with ws.receive_stream() as message:
            await peer.send(Frame(BINARY, bomb(size), rsv=RSV1))
            await peer.send(Frame(TEXT, b"behind"))
            total = len(await message.receive())
            await wait_all_tasks_blocked(0.002)
            assert ws.statistics().receive_queue < 600_000
            async for piece in message:
                total += len(piece)
        assert total == size
        assert await ws.receive() == "behind"


@each_side
async def test_leaving_a_stream_discards_the_rest_but_not_the_window(side):
    story = Story(1)
    async with linked(side, deflating("persistent"), limits=PATIENT) as (ws, peer):
        for size in (None, 1000):
            large = story.random.randbytes(300_000).hex().encode()
            story.told.append(large[-500:])
            async with trio.open_nursery() as nursery, ws.receive_stream() as message:
                nursery.start_soon(peer.send_message, BINARY, large, size)
                assert large.startswith(await message.receive())
            for _ in range(5):
                told = story.tell()
                await peer.send_message(BINARY, told)
                assert await ws.receive() == told


@each_side
async def test_what_was_inflated_before_is_the_first_piece(side):
    async with linked(side, deflating("persistent")) as (ws, peer):
        begin, *rest = split(peer.deflate(b"abc" * 1000), 20)
        await peer.send(Frame(BINARY, begin, fin=False, rsv=RSV1))
        await peer.fence()
        received = b""
        async with ws.receive_stream() as message:
            for index, part in enumerate(rest):
                await peer.send(Frame(CONTINUATION, part, fin=index == len(rest) - 1))
            async for piece in message:
                received += piece
        assert received == b"abc" * 1000


# --- pausing ----------------------------------------------------------------


class Pausing(Hooks):
    """Pauses reading at a Ping, in the middle of a message or not."""

    def on_ping(self, ws, payload) -> None:
        ws.pause_reading()


async def test_a_hook_pauses_in_the_middle_of_a_message():
    handler = Pausing()
    data = JSON[:500_000]
    deflate = deflating("persistent")
    async with serving(handler, deflate=deflate, limits=UNLIMITED) as site:
        peer = await dial(site)
        frames = peer.pack(BINARY, data, 20_000)
        frames.insert(2, ping(b"pause"))
        frames += peer.pack(TEXT, b"behind")
        await peer.send(*frames)
        assert await peer.read_frame() == Frame(PONG, b"pause")
        await wait_all_tasks_blocked(0.001)
        assert handler.large == []
        handler.sockets[0].resume_reading()
        assert (await peer.read_message()).payload == b"behind"
        assert handler.large == [data]


async def test_pausing_between_the_steps_of_one_frame():
    handler = Hooks()
    size = 32 * 2**20
    deflate = deflating("persistent")
    async with serving(handler, deflate=deflate, limits=UNLIMITED) as site:
        peer, other = await dial(site), await dial(site)
        await peer.send(Frame(BINARY, bomb(size), rsv=RSV1))
        await other.send_message(TEXT, b"meanwhile")
        assert (await other.read_message()).payload == b"meanwhile"
        # It was one read: it is inflated over many turns, and not all of them yet.
        ws = handler.sockets[0]
        ws.pause_reading()
        await wait_all_tasks_blocked(0.002)
        assert handler.large == []
        ws.resume_reading()
        ws.pause_reading()
        await wait_all_tasks_blocked(0.002)
        assert handler.large == []
        ws.resume_reading()
        await peer.send_message(TEXT, b"behind")
        assert (await peer.read_message()).payload == b"behind"
        assert handler.large == [bytes(size)]
