"""Handlers that many tests serve."""

from __future__ import annotations

import trio

from trio_fastws import EventHandler, WebSocket


async def echo(ws: WebSocket) -> None:
    """Send back what comes, in a task for each connection."""
    async for message in ws:
        await ws.send(message)


class Echo(EventHandler):
    """Sends back what comes, with no task."""

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        ws.send_nowait(message)


async def hold(ws: WebSocket) -> None:
    """Hold the connection, and receive nothing, until it is closed."""
    await ws.wait_closed()


class Keeper:
    """A handler that hands its WebSockets out, and keeps them open."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[WebSocket](100)
        self.release = trio.Event()

    async def __call__(self, ws: WebSocket) -> None:
        self._send.send_nowait(ws)
        await self.release.wait()

    async def next(self) -> WebSocket:
        return await self._receive.receive()
