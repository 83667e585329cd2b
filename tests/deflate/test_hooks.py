"""Large messages that hooks send compressed, and what they do to reading."""

from __future__ import annotations

import pytest
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.deflate.cases import MODES, Story, deflating, dial
from tests.deflate.large import DENSE, JSON
from tests.serving import serving
from tests.wire import (
    PING,
    PONG,
    TEXT,
    Frame,
    Peer,
    close,
)
from trio_fastws import EventHandler, PreparedMessage, Request, upgrade

pytestmark = pytest.mark.usefixtures("transport")

LARGE = JSON[: 2**22]


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


class Diary(EventHandler):
    """Echoes, and answers "large" at length; notes what happens."""

    def __init__(self) -> None:
        self.sockets = []
        self.diary = []

    def on_open(self, ws) -> None:
        self.sockets.append(ws)

    def on_message(self, ws, message) -> None:
        self.diary.append(message)
        if message == "large":
            ws.send_nowait(LARGE)
        elif message == "to all":
            for other in self.sockets:
                other.send_nowait(LARGE)
                other.send_nowait(PreparedMessage("behind"))
        else:
            ws.send_nowait(message)

    def on_drain(self, ws) -> None:
        self.diary.append("drain")


async def test_reading_goes_on_behind_a_large_answer():
    handler = Diary()
    async with serving(handler, deflate=deflating("persistent")) as site:
        peer = await dial(site)
        for _ in range(2):
            words = (b"before", b"large", b"behind", b"large", b"after")
            frames = [peer.encode(*peer.pack(TEXT, word)) for word in words]
            await peer.send(*frames)
            await peer.send(Frame(PING, b"last"))
            expected = [b"before", LARGE, b"behind", LARGE, b"after"]
            received = []
            while (frame := await peer.read_frame()) != Frame(PONG, b"last"):
                message = peer.assemble(frame)
                if message is not None:
                    received.append(message.payload)
            received += await peer.read_payloads(5 - len(received))
            assert received == expected
        said = [entry for entry in handler.diary if entry != "drain"]
        assert said == [word.decode() for word in words] * 2


async def test_reading_stops_while_the_peer_does_not_read_a_large_answer():
    handler = Diary()
    async with serving(handler, small=True, deflate=deflating("persistent")) as site:
        peer = await dial(site)
        await peer.send_message(TEXT, b"large")
        await wait_all_tasks_blocked(0.001)
        await peer.send_message(TEXT, b"behind")
        await wait_all_tasks_blocked(0.001)
        assert handler.diary == ["large"]
        assert await peer.read_payloads(2) == [LARGE, b"behind"]
        assert await peer.fence() == []
        # Reading goes on at the low-water mark, before all is written or after.
        assert handler.diary[0] == "large"
        # The answer to what was behind may fill the socket again.
        assert handler.diary.count("behind") == 1
        assert handler.diary.count("drain") in (1, 2)


async def test_a_hook_sends_a_large_message_to_all(mode):
    handler = Diary()
    async with serving(handler, deflate=deflating(mode)) as site:
        peers = [await dial(site) for _ in range(3)]
        await peers[0].send_message(TEXT, b"to all")
        for peer in peers:
            assert await peer.read_payloads(2) == [LARGE, b"behind"]
            assert await peer.fence() == []


async def test_on_open_sends_a_large_message():
    class Eager(EventHandler):
        def on_open(self, ws) -> None:
            ws.send_nowait(DENSE)
            ws.send_nowait("behind")

    async with serving(Eager(), deflate=deflating("persistent")) as site:
        for _ in range(2):
            peer = await dial(site)
            assert await peer.read_payloads(2) == [DENSE, b"behind"]


async def test_upgrade_compresses_too(mode):
    story = Story()
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    request = Request(
        "GET",
        "/",
        [
            ("Host", "localhost"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ],
    )
    async with upgrade(ours, request, deflate=deflating(mode)) as ws:
        await peer.read_response()
        for _ in range(10):
            told = story.tell()
            await ws.send(told)
            assert await peer.read_payloads(1) == [told]
            await peer.send_message(TEXT, told)
            assert await ws.receive() == told.decode()
        await peer.send(close())
        await peer.send_eof()
    assert await peer.read_close() == (1000, "")
