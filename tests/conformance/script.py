"""Cases: a script of what a tester says and expects to hear, and who plays it.

A case is a name and steps. After the last step the tester closes with 1000,
unless the script has ended the connection itself. What is checked at every end:
the code of the Close, that it was the last frame, that TCP ended with a FIN and
not with a reset, and who closed first (RFC 6455 7.1.1).
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio
import trio.testing

from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    Limits,
    Timeouts,
    open_websocket,
    serve_websocket,
)

from .wire import CLOSE, Frame, RawPeer, close

LIMIT = 2**20
LIMITS = Limits(message_size=LIMIT)
NO_PINGS = Timeouts(ping_interval=None)

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\n"
)

Step = Callable[["Play"], Awaitable[None]]
Case = tuple[str, list[Step]]


class Play:
    """One case on one connection."""

    def __init__(self, tester: RawPeer, with_client: bool) -> None:
        self.tester = tester
        self._with_client = with_client
        self._over = False

    async def run(self, steps: list[Step]) -> None:
        for step in steps:
            await step(self)
        if not self._over:
            await self.tester.say(close(1000))
            await self.closes(close(1000).payload)

    async def hears(self, expected: Frame) -> None:
        frame = await self.tester.hear()
        assert frame == expected, f"{_short(frame)} instead of {_short(expected)}"

    async def closes(self, payload: bytes) -> None:
        """Expect the answer to our Close, then the end of TCP in good order."""
        await self.hears(Frame(CLOSE, payload))
        if self._with_client:
            # RFC 6455 7.1.1: a client waits for the server to close.
            await trio.testing.wait_all_tasks_blocked()
            assert self.tester.is_open(), "the client did not wait"
            self.tester.close_sending()
        await self._ends()

    async def fails(self, code: int) -> None:
        """Expect to be failed with this code."""
        frame = await self.tester.hear()
        assert frame is not None, "the connection just ended"
        assert frame.opcode == CLOSE, _short(frame)
        assert frame.fin, "a Close without FIN"
        heard = int.from_bytes(frame.payload[:2], "big")
        reason = frame.payload[2:].decode()
        assert heard == code, f"closed with {heard} {reason!r}"
        await self._ends()

    async def _ends(self) -> None:
        self._over = True
        frame = await self.tester.hear()
        assert frame is None, f"{_short(frame)} after a Close"
        await self.tester.stream.aclose()


def _short(frame: Frame | None) -> str:
    return repr(frame)[:80]


def say(*frames: Frame) -> Step:
    return lambda play: play.tester.say(*frames)


def hear(*frames: Frame) -> Step:
    async def step(play: Play) -> None:
        for frame in frames:
            await play.hears(frame)

    return step


def fails(code: int) -> Step:
    return lambda play: play.fails(code)


def closes(code: int | None, reason: str = "") -> Step:
    return lambda play: play.closes(close(code, reason).payload)


def echoes(*frames: Frame) -> list[Step]:
    """Say frames that come back as they are."""
    return [say(*frames), hear(*frames)]


class Echo(EventHandler):
    def on_message(self, ws, message):
        ws.send_nowait(message)


async def echo(ws):
    try:
        async for message in ws:
            await ws.send(message)
    except ConnectionBroken:
        pass


@asynccontextmanager
async def dialled(port: int, octets: bool):
    """Play on a connection to our server."""
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    await sock.connect(("127.0.0.1", port))
    with sock:
        tester = RawPeer(sock, True, octets)
        await tester.shake_hands(REQUEST)
        yield Play(tester, False)


@asynccontextmanager
async def accepted(listener, octets: bool):
    """Play on the next connection of our client."""
    sock, _ = await listener.accept()
    with sock:
        tester = RawPeer(sock, False, octets)
        await tester.shake_hands(RESPONSE)
        yield Play(tester, True)


async def serve(handler, task_status=trio.TASK_STATUS_IGNORED):
    await serve_websocket(
        handler,
        0,
        host="127.0.0.1",
        limits=LIMITS,
        timeouts=NO_PINGS,
        task_status=task_status,
    )


async def dial(port):
    url = f"ws://127.0.0.1:{port}/"
    async with open_websocket(url, limits=LIMITS, timeouts=NO_PINGS) as ws:
        await echo(ws)
        await ws.wait_closed()


@asynccontextmanager
async def server_under_test(handler):
    """Give what connects to our server."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve, handler)
        yield partial(dialled, server.port)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def listening():
    with trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        await listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener


@asynccontextmanager
async def client_under_test():
    """Give what has our client connect."""

    @asynccontextmanager
    async def connect(octets: bool):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dial, listener.getsockname()[1])
            async with accepted(listener, octets) as play:
                yield play
            # The client must end by itself now.

    async with listening() as listener:
        yield connect


SUBJECTS = {
    "event-handler": partial(server_under_test, Echo()),
    "async-handler": partial(server_under_test, echo),
    "client": client_under_test,
}
