"""trio_fastws: hooks (`callback`) or a task per connection (`async`).

With `nowait` the task takes all there is before it waits; with `forgetful` it keeps
no message while it waits for the next. The variants `zlib-ng` and
`isal` compress with another library, `window` keeps a context as bytes and not as a
compressor, and `unprepared` broadcasts messages as they are.
"""

# ruff: noqa: D102 - hooks, documented where they are inherited from

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal

import trio
from serving import (
    HOST,
    LEVEL,
    MAX_MESSAGE,
    MEMORY_LEVEL,
    WINDOW_BITS,
    arguments,
    listening,
)
from sleeper import SLOW_PATH, watch_lateness, work

from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    Limits,
    PerMessageDeflate,
    PreparedMessage,
    Server,
    Timeouts,
    WebSocket,
    serve_websocket,
)

JOB = arguments(
    "callback",
    "async",
    "nowait",
    "forgetful",
    variants=("zlib-ng", "isal", "window", "unprepared"),
)
MEMBERS: set[WebSocket] = set()
Handler = Callable[[WebSocket], Awaitable[None]] | EventHandler


def send_to_all(message: str | bytes) -> None:
    prepared = message if "unprepared" in JOB.variants else PreparedMessage(message)
    for member in MEMBERS:
        member.send_nowait(prepared)


class Echo(EventHandler):
    """Sends back what comes."""

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        ws.send_nowait(message)


def is_slow(ws: WebSocket) -> bool:
    return ws.request is not None and ws.request.path == SLOW_PATH


class EchoSlowly(EventHandler):
    """Echoes, but works before it answers those who asked for it."""

    def on_open(self, ws: WebSocket) -> None:
        ws.session = is_slow(ws)

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        if ws.session:
            work()
        ws.send_nowait(message)


class Broadcast(EventHandler):
    """Sends what comes to all."""

    def on_open(self, ws: WebSocket) -> None:
        MEMBERS.add(ws)

    def on_close(self, ws: WebSocket) -> None:
        MEMBERS.discard(ws)

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        send_to_all(message)


async def echo(ws: WebSocket) -> None:
    async for message in ws:
        await ws.send(message)


async def echo_slowly(ws: WebSocket) -> None:
    slow = is_slow(ws)
    async for message in ws:
        if slow:
            work()
        await ws.send(message)


async def echo_nowait(ws: WebSocket) -> None:
    async for message in ws:
        answer = message
        try:
            while True:
                try:
                    ws.send_nowait(answer)
                except trio.WouldBlock:
                    await ws.send(answer)
                answer = ws.receive_nowait()
        except trio.WouldBlock:
            pass
        except trio.EndOfChannel:
            return


async def echo_forgetful(ws: WebSocket) -> None:
    async for message in ws:
        await ws.send(message)
        del message


async def broadcast(ws: WebSocket) -> None:
    MEMBERS.add(ws)
    try:
        async for message in ws:
            send_to_all(message)
    except ConnectionBroken:
        pass
    finally:
        MEMBERS.discard(ws)


def deflate() -> PerMessageDeflate:
    libraries: tuple[Literal["zlib-ng", "isal"], ...] = ("zlib-ng", "isal")
    return PerMessageDeflate(
        server_context_takeover=JOB.takeover,
        client_context_takeover=JOB.takeover,
        server_window_bits=WINDOW_BITS,
        client_window_bits=WINDOW_BITS,
        context="window" if "window" in JOB.variants else "persistent",
        level=LEVEL,
        memory_level=MEMORY_LEVEL,
        threshold=0,
        library=next((name for name in libraries if name in JOB.variants), "zlib"),
    )


async def main() -> None:
    handlers: dict[str, Handler] = {
        "callback": EchoSlowly() if JOB.sleeper else Echo(),
        "async": echo_slowly if JOB.sleeper else echo,
        "nowait": echo_nowait,
        "forgetful": echo_forgetful,
    }
    if JOB.broadcast:
        handlers.update(dict.fromkeys(handlers, broadcast), callback=Broadcast())
    async with trio.open_nursery() as nursery:
        if JOB.sleeper:
            nursery.start_soon(watch_lateness)
        server: Server = await nursery.start(
            partial(
                serve_websocket,
                handlers[JOB.handler],
                0,
                host=HOST,
                deflate=deflate() if JOB.deflate else None,
                limits=Limits(message_size=MAX_MESSAGE),
                timeouts=Timeouts() if JOB.keepalive else Timeouts(ping_interval=None),
            )
        )
        listening(server.port)


if __name__ == "__main__":  # or `inspected_server` runs it
    trio.run(main)
