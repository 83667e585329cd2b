"""Everything at once, in both directions: what arrives is what was sent, in order."""

from __future__ import annotations

from random import Random

import pytest
import trio

from tests.cutting import cut
from tests.deflate.cases import Story, deflating, each_way, linked
from tests.wire import (
    BINARY,
    PING,
    PONG,
    Frame,
    Peer,
)
from trio_fastws import Limits, PreparedMessage, Sending

pytestmark = pytest.mark.usefixtures("transport")

SIZES = (0, 1, 50, 300, 300, 300, 5000, 30_000, 40_000, 200_000)


class Sender:
    """Sends in every way there is; knows what was sent."""

    def __init__(self, ws, seed: int) -> None:
        self.ws = ws
        self.random = Random(seed)
        self.story = Story(seed)
        self.sent: list[bytes] = []

    def tell(self) -> bytes:
        return self.story.tell(self.random.choice(SIZES))

    async def send(self) -> None:
        message = self.tell()
        await self.ws.send(message, compress=self.random.random() < 0.8)
        self.sent.append(message)

    async def send_text(self) -> None:
        message = self.tell()
        await self.ws.send(message.decode())
        self.sent.append(message)

    async def send_prepared(self) -> None:
        message = PreparedMessage(self.tell(), compress=self.random.random() < 0.8)
        for _ in range(self.random.randrange(1, 3)):
            await self.ws.send(message)
            self.sent.append(message.payload)

    async def send_cancelled(self) -> None:
        await cut(self.random.randrange(1, 9), self.send)

    async def send_nowait(self) -> None:
        for _ in range(self.random.randrange(1, 6)):
            message = self.tell()
            try:
                self.ws.send_nowait(message)
            except trio.WouldBlock:
                await trio.lowlevel.checkpoint()
                return
            self.sent.append(message)

    async def send_pieces(self) -> None:
        pieces = [self.tell() for _ in range(self.random.randrange(1, 4))]
        async with self.ws.open_message() as message:
            for piece in pieces:
                await message.write(piece)
        self.sent.append(b"".join(pieces))

    async def run(self, count: int) -> None:
        ways = (
            self.send,
            self.send_text,
            self.send_prepared,
            self.send_cancelled,
            self.send_cancelled,
            self.send_nowait,
            self.send_pieces,
        )
        for _ in range(count):
            await self.random.choice(ways)()
        await self.ws.send("end")
        self.sent.append(b"end")


class Other:
    """The raw peer: reads all, sends messages and Pings, answers Pings."""

    def __init__(self, peer: Peer, seed: int) -> None:
        self.peer = peer
        self.random = Random(seed)
        self.story = Story(100 + seed)
        self.told: list[bytes] = []
        self.received: list[bytes] = []
        self.pongs: list[bytes] = []
        self._writing = trio.Lock()

    async def write(self, opcode: int, payload: bytes) -> None:
        async with self._writing:
            await self.peer.send(Frame(opcode, payload))

    async def tell(self, count: int) -> None:
        for number in range(count):
            self.told.append(self.story.tell(self.random.choice(SIZES)))
            size = self.random.choice((None, 50, 20_000))
            async with self._writing:
                await self.peer.send_message(BINARY, self.told[-1], size)
            await self.write(PING, b"%d" % number)

    async def read(self, sent: list[bytes]) -> None:
        while True:
            frame = await self.peer.read_frame()
            if frame.opcode == PING:
                await self.write(PONG, frame.payload)
            elif frame.opcode == PONG:
                self.pongs.append(frame.payload)
            elif (message := self.peer.assemble(frame)) is not None:
                self.received.append(message.payload)
                assert self.received == sent[: len(self.received)]


@each_way
@pytest.mark.parametrize("seed", range(2))
async def test_all_that_arrives_is_exact(side, mode, seed):
    options = {
        "limits": Limits(receive_buffer=20_000),
        "sending": Sending(low_water=seed % 3 * 8_000),
    }
    async with linked(side, deflating(mode), small=True, **options) as (ws, peer):
        sender, other = Sender(ws, seed), Other(peer, seed)

        async def receive() -> None:
            for number in range(40):
                assert await ws.receive() == other.told[number]

        async def ping() -> None:
            for _ in range(20):
                await ws.ping()

        async with trio.open_nursery() as reading:
            reading.start_soon(other.read, sender.sent)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(other.tell, 40)
                nursery.start_soon(receive)
                nursery.start_soon(ping)
                nursery.start_soon(sender.run, 40)
            # RFC 6455 5.5.3: one Pong may answer several Pings, so wait for the last.
            while other.received[-1:] != [b"end"] or other.pongs[-1:] != [b"39"]:
                await trio.lowlevel.checkpoint()
            reading.cancel_scope.cancel()
        assert len(sender.sent) > 30
        assert other.received == sender.sent
