"""wsproto, which inflates what comes behind a control frame as if it were plain.

It is what Hypercorn, trio-websocket and uvicorn (if asked to) are built on. A control
frame between two fragments of a compressed message spoils that message for it, so none
of ours may come there.
"""

from __future__ import annotations

import contextlib
from random import Random
from typing import Any

import pytest
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    Message,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate as Extension

from tests.handlers import echo
from tests.serving import serving
from tests.wire import (
    socket_pair,
)
from trio_fastws import (
    Limits,
    PerMessageDeflate,
    Sending,
    Timeouts,
    WebSocket,
    open_websocket,
)

# Half of what it was once compressed: more than a frame has by default.
LARGE = Random(1).randbytes(2**21).hex()
UNLIMITED = Timeouts(ping_interval=None)


class Peer:
    """One side of a connection, spoken by wsproto. Answers Pings, sends some."""

    def __init__(self, stream: trio.SocketStream, *, client: bool) -> None:
        kind = ConnectionType.CLIENT if client else ConnectionType.SERVER
        self.connection = WSConnection(kind)
        self.client = client
        self.stream = stream
        self.pings = 0
        self.pongs = 0
        self._extension = Extension()
        self._parts: list[Any] = []
        self._ready: list[Any] = []
        self._open = False

    async def send(self, event: Any) -> None:
        await self.stream.send_all(self.connection.send(event))

    async def shake(self) -> None:
        """Shake hands as a client."""
        await self.send(
            Request(host="localhost", target="/", extensions=[self._extension])
        )
        while not self._open:
            await self._read()

    async def message(self) -> Any:
        """Return the next message; send a Ping whenever a part of it has come."""
        while not self._ready:
            await self._read()
            if self._parts:
                await self.send(Ping(b"still there?"))
        return self._ready.pop(0)

    async def _read(self) -> None:
        data = await self.stream.receive_some(65536)
        assert data, "the stream ended"
        self.connection.receive_data(data)
        for event in self.connection.events():
            await self._take(event)

    async def _take(self, event: Any) -> None:
        if isinstance(event, Message):
            self._parts.append(event.data)
            if event.message_finished:
                whole = "" if isinstance(event, TextMessage) else b""
                self._ready.append(whole.join(self._parts))
                self._parts = []
        elif isinstance(event, Request):
            await self.send(AcceptConnection(extensions=[self._extension]))
        elif isinstance(event, AcceptConnection):
            self._open = True
        elif isinstance(event, Ping):
            self.pings += 1
            await self.send(event.response())
        elif isinstance(event, Pong):
            self.pongs += 1


@contextlib.asynccontextmanager
async def linked(side: str, handler: Any, **options: Any) -> Any:
    """Link a WebSocket that ``handler`` serves to a peer of wsproto."""
    options.setdefault("deflate", PerMessageDeflate())
    if side == "server":
        async with serving(handler, **options) as site:
            peer = Peer((await site.connect()).stream, client=True)
            await peer.shake()
            yield peer
        return
    ours, theirs = socket_pair(True, None, None)

    async def dial() -> None:
        url = "ws://127.0.0.1/"
        async with open_websocket(url, stream=ours, **options) as ws:
            await handler(ws)

    async with theirs, trio.open_nursery() as nursery:
        nursery.start_soon(dial)
        yield Peer(theirs, client=False)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize("frame_size", [2**20, 2**15, None])
async def test_large_compressed_messages_among_pings(side: str, frame_size: Any):
    async def handler(ws: WebSocket) -> None:
        async with trio.open_nursery() as nursery:

            async def ping() -> None:
                while True:
                    await ws.ping()

            nursery.start_soon(ping)
            for _ in range(2):
                await ws.send(LARGE)
            await ws.send("end")
            await ws.wait_closed()
            nursery.cancel_scope.cancel()

    sending = Sending(frame_size=frame_size, high_water=2**24)
    async with linked(side, handler, sending=sending, timeouts=UNLIMITED) as peer:
        received = [await peer.message() for _ in range(3)]
        assert received == [LARGE, LARGE, "end"]
        assert peer.pings > 0
        assert peer.pongs > 0


@pytest.mark.parametrize("side", ["server", "client"])
async def test_a_compressed_message_in_pieces_among_pings(side: str):
    async def handler(ws: WebSocket) -> None:
        async with ws.open_message(text=True) as message:
            for at in range(0, len(LARGE), 2**19):
                await message.write(LARGE[at : at + 2**19])
        await ws.wait_closed()

    async with linked(side, handler) as peer:
        assert await peer.message() == LARGE


async def test_echoes_while_our_keepalive_pings_a_lot():
    timeouts = Timeouts(ping_interval=0.001)
    limits = Limits(message_size=2**23)
    async with linked("server", echo, timeouts=timeouts, limits=limits) as peer:
        for _ in range(3):
            await peer.send(BytesMessage(data=LARGE.encode()))
            assert await peer.message() == LARGE.encode()
