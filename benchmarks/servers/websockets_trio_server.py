"""websockets on trio: a task per connection."""

from __future__ import annotations

from functools import partial

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
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.trio.connection import broadcast as send_to_all
from websockets.trio.server import Server, ServerConnection, serve

JOB = arguments()
MEMBERS: set[ServerConnection] = set()


async def echo(ws: ServerConnection) -> None:
    try:
        async for message in ws:
            await ws.send(message)
    except ConnectionClosed:
        pass


async def echo_slowly(ws: ServerConnection) -> None:
    slow = ws.request is not None and ws.request.path == SLOW_PATH
    try:
        async for message in ws:
            if slow:
                work()
            await ws.send(message)
    except ConnectionClosed:
        pass


async def broadcast(ws: ServerConnection) -> None:
    MEMBERS.add(ws)
    try:
        async for message in ws:
            await send_to_all(MEMBERS, message)
    except ConnectionClosed:
        pass
    finally:
        MEMBERS.discard(ws)


def deflate() -> list[ServerPerMessageDeflateFactory]:
    return [
        ServerPerMessageDeflateFactory(
            server_no_context_takeover=not JOB.takeover,
            client_no_context_takeover=not JOB.takeover,
            server_max_window_bits=WINDOW_BITS,
            client_max_window_bits=WINDOW_BITS,
            compress_settings={"level": LEVEL, "memLevel": MEMORY_LEVEL},
        )
    ]


async def main() -> None:
    handler = echo_slowly if JOB.sleeper else echo
    async with trio.open_nursery() as nursery:
        if JOB.sleeper:
            nursery.start_soon(watch_lateness)
        server: Server = await nursery.start(
            partial(
                serve,
                broadcast if JOB.broadcast else handler,
                0,
                host=HOST,
                compression=None,
                extensions=deflate() if JOB.deflate else None,
                max_size=MAX_MESSAGE,
                ping_interval=20 if JOB.keepalive else None,
            )
        )
        listening(server.listeners[0].socket.getsockname()[1])


trio.run(main)
