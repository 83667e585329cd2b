"""Cases: a script of what a tester says and expects to hear, and who plays it.

A case is a name and steps. After the last step the tester closes with 1000,
unless the script has ended the connection itself. What is checked at every end:
the code of the Close, that it was the last frame, that TCP ended with a FIN and
not with a reset, and who closed first (RFC 6455 7.1.1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio
import trio.testing

from tests.handlers import Echo, echo
from tests.wire import (
    CLOSE,
    Frame,
    Peer,
    accept,
    close,
    dial as dial_raw,
    port_of,
    tcp_listener,
)
from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    Limits,
    Timeouts,
    WebSocket,
    open_websocket,
    serve_websocket,
)

LIMIT = 2**20
LIMITS = Limits(message_size=LIMIT)
NO_PINGS = Timeouts(ping_interval=None)

Step = Callable[["Play"], Awaitable[None]]
Case = tuple[str, list[Step]]


class Play:
    """One case on one connection."""

    def __init__(self, tester: Peer, octets: bool) -> None:
        self.tester = tester
        self._octets = octets
        self._over = False

    async def say(self, *frames: Frame | bytes) -> None:
        """Write frames: in one go, or in pieces that are read one by one."""
        if not self._octets:
            await self.tester.send(*frames)
            return
        data = self.tester.encode(*frames)
        # It may have failed us already: what it said is in our buffer.
        with suppress(trio.BrokenResourceError):
            # Byte by byte as far as that is bearable.
            await self.tester.send_slowly(data, size=1 if len(data) < 2048 else 997)

    async def run(self, steps: list[Step]) -> None:
        for step in steps:
            await step(self)
        if not self._over:
            await self.say(close(1000))
            await self.closes(close(1000).payload)

    async def hears(self, expected: Frame) -> None:
        frame = await self.tester.read_frame()
        assert frame == expected, f"{_short(frame)} instead of {_short(expected)}"

    async def closes(self, payload: bytes) -> None:
        """Expect the answer to our Close, then the end of TCP in good order."""
        await self.hears(Frame(CLOSE, payload))
        if not self.tester.client:
            # RFC 6455 7.1.1: a client waits for the server to close.
            await trio.testing.wait_all_tasks_blocked()
            assert self.tester.is_open(), "the client did not wait"
            await self.tester.send_eof()
        await self._ends()

    async def fails(self, code: int) -> None:
        """Expect to be failed with this code."""
        frame = await self.tester.read_frame()
        assert frame is not None, "the connection just ended"
        assert frame.opcode == CLOSE, _short(frame)
        assert frame.fin, "a Close without FIN"
        heard = int.from_bytes(frame.payload[:2], "big")
        reason = frame.payload[2:].decode()
        assert heard == code, f"closed with {heard} {reason!r}"
        await self._ends()

    async def _ends(self) -> None:
        self._over = True
        frame = await self.tester.read_frame()
        assert frame is None, f"{_short(frame)} after a Close"
        await self.tester.stream.aclose()


def _short(frame: Frame | None) -> str:
    return repr(frame)[:80]


def say(*frames: Frame | bytes) -> Step:
    return lambda play: play.say(*frames)


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


@asynccontextmanager
async def dialled(port: int, octets: bool):
    """Play on a connection to our server."""
    async with await dial_raw(port) as tester:
        assert (await tester.shake()).startswith(b"HTTP/1.1 101 ")
        yield Play(tester, octets)


@asynccontextmanager
async def accepted(listener: trio.SocketListener, octets: bool):
    """Play on the next connection of our client."""
    async with await accept(listener) as tester:
        await tester.welcome()
        yield Play(tester, octets)


async def serve(handler, task_status=trio.TASK_STATUS_IGNORED):
    await serve_websocket(
        handler,
        0,
        host="127.0.0.1",
        limits=LIMITS,
        timeouts=NO_PINGS,
        task_status=task_status,
    )


class EchoTextAsBytes(EventHandler):
    """Sends back text, of which no ``str`` is made on the way."""

    def on_open(self, ws: WebSocket) -> None:
        ws.receive_text_as_bytes()

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        assert type(message) is bytes
        ws.send_nowait(message, text=True)


async def echo_text_as_bytes(ws: WebSocket) -> None:
    ws.receive_text_as_bytes()
    async for message in ws:
        assert type(message) is bytes
        await ws.send(message, text=True)


async def dial(handler, port):
    url = f"ws://127.0.0.1:{port}/"
    async with open_websocket(url, limits=LIMITS, timeouts=NO_PINGS) as ws:
        with suppress(ConnectionBroken):
            await handler(ws)
        await ws.wait_closed()


@asynccontextmanager
async def server_under_test(handler):
    """Give what connects to our server."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve, handler)
        yield partial(dialled, server.port)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def client_under_test(handler):
    """Give what has our client connect."""

    @asynccontextmanager
    async def connect(octets: bool):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dial, handler, port_of(listener))
            async with accepted(listener, octets) as play:
                yield play
            # The client must end by itself now.

    async with tcp_listener() as listener:
        yield connect


SUBJECTS = {
    "event-handler": partial(server_under_test, Echo()),
    "async-handler": partial(server_under_test, echo),
    "client": partial(client_under_test, echo),
}
TEXT_AS_BYTES = {
    "event-handler": partial(server_under_test, EchoTextAsBytes()),
    "async-handler": partial(server_under_test, echo_text_as_bytes),
    "client": partial(client_under_test, echo_text_as_bytes),
}
