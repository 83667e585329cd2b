"""One message for many: shared frames, and windows that they do not disturb."""

from __future__ import annotations

import zlib
from random import Random

import pytest
import trio

from tests.deflate.cases import (
    MODES,
    OFFER,
    Story,
    deflating,
    dial,
    epoll_only,
    offering,
)
from tests.handlers import Keeper
from tests.serving import serving
from tests.wire import (
    BINARY,
    TEXT,
    MemoryListener,
    Peer,
)
from trio_fastws import EventHandler, Listen, PreparedMessage, serve_websocket

pytestmark = pytest.mark.usefixtures("transport")

# What peers ask for; each of them is agreed upon with the same server.
OFFERS = (
    OFFER,
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=10; server_no_context_takeover",
    None,
)
SHARING = ("window", "none")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


class Rooms(EventHandler):
    """Sends what comes from one to all; sends back what begins with "own"."""

    def __init__(self) -> None:
        self.sockets = []

    def on_open(self, ws) -> None:
        self.sockets.append(ws)

    def on_message(self, ws, message) -> None:
        if message.startswith("own"):
            ws.send_nowait(message)
            return
        prepared = PreparedMessage(message)
        for other in self.sockets:
            other.send_nowait(prepared)


class Counting:
    """Stands for `zlib.compressobj`; counts the messages that are compressed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self._make = zlib.compressobj
        monkeypatch.setattr(zlib, "compressobj", self.make)

    def make(self, *args, **options):
        return Counted(self, self._make(*args, **options))


class Counted:
    def __init__(self, counting: Counting, compressor) -> None:
        self._counting = counting
        self._compressor = compressor
        self.flush = compressor.flush

    def compress(self, data) -> bytes:
        self._counting.calls += 1
        return self._compressor.compress(data)


@epoll_only
@pytest.mark.parametrize("mode", SHARING)
async def test_a_thousand_peers_get_the_same_bytes(mode, monkeypatch):
    listener, keeper = MemoryListener(), ManyKeeper()
    message = Story().tell(2000)
    async with trio.open_nursery() as nursery:
        await nursery.start(
            lambda task_status: serve_websocket(
                keeper,
                Listen(listeners=[listener]),
                deflate=deflating(mode),
                task_status=task_status,
            )
        )
        counting = Counting(monkeypatch)
        peers = [Peer(listener.connect()) for _ in range(1000)]
        async with trio.open_nursery() as shaking:
            for peer in peers:
                shaking.start_soon(peer.shake, *offering())
        monkeypatch.undo()
        prepared = PreparedMessage(message)
        for ws in keeper.sockets:
            ws.send_nowait(prepared)
        frames = [await peer.read_frame() for peer in peers]
        assert len(frames) == 1000
        assert len(set(frames)) == 1
        assert frames[0].rsv1
        assert peers[0].assemble(frames[0]).payload == message
        assert counting.calls == 1
        for peer in peers:
            await trio.aclose_forcefully(peer.stream)
        nursery.cancel_scope.cancel()


class ManyKeeper(EventHandler):
    def __init__(self) -> None:
        self.sockets = []

    def on_open(self, ws) -> None:
        self.sockets.append(ws)


async def converse(site, keeper, offers, seed: int) -> None:
    """Mix broadcasts and messages for one; each peer checks what it is told."""
    random, story = Random(seed), Story(seed)
    peers, sockets = [], []
    for offer in offers:
        peers.append(await dial(site, offer))
        sockets.append(await keeper.next())
    expected: list[list[bytes]] = [[] for _ in peers]
    broadcasts: list[PreparedMessage] = []
    for _ in range(80):
        size = random.choice((5, 100, 500, 3000, 9000))
        if random.random() < 0.4:
            at = random.randrange(len(peers))
            message = story.tell(size)
            await sockets[at].send(message, compress=random.random() < 0.8)
            expected[at].append(message)
            continue
        if broadcasts and random.random() < 0.2:
            # One that was sent before: its frames are there already.
            prepared = random.choice(broadcasts)
        else:
            prepared = PreparedMessage(story.tell(size))
            broadcasts.append(prepared)
        for ws, messages in zip(sockets, expected, strict=True):
            if random.random() < 0.8:
                ws.send_nowait(prepared)
                messages.append(prepared.message)
        # Incompressible, and so perhaps plain: no window may hold it then.
        if random.random() < 0.2:
            noise = PreparedMessage(random.randbytes(300))
            for ws, messages in zip(sockets, expected, strict=True):
                ws.send_nowait(noise)
                messages.append(noise.message)
        for peer, messages in zip(peers, expected, strict=True):
            assert await peer.read_payloads(len(messages)) == messages
            messages.clear()


@pytest.mark.parametrize("seed", range(4))
async def test_no_window_is_disturbed(mode, seed):
    keeper = Keeper()
    async with serving(keeper, deflate=deflating(mode)) as site:
        await converse(site, keeper, [OFFER] * 4, seed)


@pytest.mark.parametrize("seed", range(4))
async def test_no_window_is_disturbed_by_those_of_others(mode, seed):
    keeper = Keeper()
    async with serving(keeper, deflate=deflating(mode)) as site:
        await converse(site, keeper, OFFERS, seed)


async def test_one_message_on_servers_that_compress_differently():
    prepared = PreparedMessage(Story().tell(3000))
    options = [
        deflating("none", level=9),
        deflating("window", server_window_bits=15),
        deflating("persistent"),
        deflating("none", level=1, memory_level=9),
        None,
    ]
    sizes = []
    for deflate in options * 2:
        keeper = Keeper()
        async with serving(keeper, deflate=deflate) as site:
            peer = await dial(site)
            ws = await keeper.next()
            await ws.send(prepared)
            found = await peer.read_message()
            assert found.payload == prepared.message
            assert found.compressed == (deflate is not None)
            sizes += found.sizes
    assert sizes[:5] == sizes[5:]
    assert max(sizes[:4]) < sizes[4]


@pytest.mark.parametrize("mode", SHARING)
async def test_a_broadcast_is_compressed_once_for_each_window(mode, monkeypatch):
    keeper = Keeper()
    counting = Counting(monkeypatch)
    async with serving(keeper, deflate=deflating(mode)) as site:
        sockets = []
        peers = []
        for _ in range(3):
            for offer in OFFERS:
                peers.append(await dial(site, offer))
                sockets.append(await keeper.next())
        for _ in range(2):
            story = Story()
            for _ in range(3):
                prepared = PreparedMessage(story.tell(1000))
                before = counting.calls
                for ws in sockets:
                    ws.send_nowait(prepared)
                for ws in sockets:
                    await ws.send(prepared)
                # Windows of 9, 10, 12 and 15 bits at most; the peers compress
                # nothing.
                assert 3 <= counting.calls - before <= 4
                for peer in peers:
                    assert await peer.read_payloads(2) == [prepared.message] * 2


async def test_a_hook_broadcasts_to_all(mode):
    handler = Rooms()
    story = Story(2)
    async with serving(handler, deflate=deflating(mode)) as site:
        peers = [await dial(site, offer) for offer in (*OFFERS, OFFER)]
        compressing = [peer for peer in peers if peer.extensions is not None]
        for number in range(20):
            speaker = compressing[number % len(compressing)]
            own, message = b"own " + story.tell(), story.tell()
            await speaker.send_message(TEXT, own)
            await speaker.send_message(TEXT, message)
            assert (await speaker.read_message()).payload == own
            for peer in peers:
                found = await peer.read_message()
                assert (found.opcode, found.payload) == (TEXT, message)
                assert found.compressed == (peer.extensions is not None)


@epoll_only
async def test_a_large_broadcast_is_made_for_each_by_steps(mode):
    large = Random(3).randbytes(300_000).hex().encode()
    keeper = Keeper()
    async with serving(keeper, deflate=deflating(mode)) as site:
        peers = [await dial(site, offer) for offer in OFFERS]
        prepared = PreparedMessage(large)
        after = PreparedMessage(large[-3000:])
        for _ in peers:
            ws = await keeper.next()
            ws.start_soon(ws.send, prepared)
            ws.start_soon(ws.send, after)
        for peer in peers:
            found = [await peer.read_message() for _ in range(2)]
            assert {m.payload for m in found} == {large, after.message}
            assert {m.opcode for m in found} == {BINARY}
