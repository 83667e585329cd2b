"""trio_fastws: hooks (`callback`) or a task per connection (`async`).

With `nowait` the task takes all there is before it waits.
"""

# ruff: noqa: D102 - hooks, documented where they are inherited from

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import trio
from serving import HOST, MAX_MESSAGE, arguments, listening

from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    Limits,
    Server,
    Timeouts,
    WebSocket,
    serve_websocket,
)

JOB = arguments("callback", "async", "nowait")
MEMBERS: set[WebSocket] = set()
Handler = Callable[[WebSocket], Awaitable[None]] | EventHandler


class Echo(EventHandler):
    """Sends back what comes."""

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        ws.send_nowait(message)


class Broadcast(EventHandler):
    """Sends what comes to all."""

    def on_open(self, ws: WebSocket) -> None:
        MEMBERS.add(ws)

    def on_close(self, ws: WebSocket) -> None:
        MEMBERS.discard(ws)

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        for member in MEMBERS:
            member.send_nowait(message)


async def echo(ws: WebSocket) -> None:
    async for message in ws:
        await ws.send(message)


async def echo_nowait(ws: WebSocket) -> None:
    async for message in ws:
        ws.send_nowait(message)
        try:
            while True:
                ws.send_nowait(ws.receive_nowait())
        except trio.WouldBlock:
            pass
        except trio.EndOfChannel:
            return


async def broadcast(ws: WebSocket) -> None:
    MEMBERS.add(ws)
    try:
        async for message in ws:
            for member in MEMBERS:
                member.send_nowait(message)
    except ConnectionBroken:
        pass
    finally:
        MEMBERS.discard(ws)


async def main() -> None:
    handlers: dict[str, Handler] = {
        "callback": Broadcast() if JOB.broadcast else Echo(),
        "async": broadcast if JOB.broadcast else echo,
        "nowait": broadcast if JOB.broadcast else echo_nowait,
    }
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(
                serve_websocket,
                handlers[JOB.handler],
                0,
                host=HOST,
                limits=Limits(message_size=MAX_MESSAGE),
                timeouts=Timeouts() if JOB.keepalive else Timeouts(ping_interval=None),
            )
        )
        listening(server.port)


trio.run(main)
