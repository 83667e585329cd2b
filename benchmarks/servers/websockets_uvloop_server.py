"""websockets on asyncio and uvloop: a task per connection."""

from __future__ import annotations

import asyncio

import uvloop
from serving import (
    BACKLOG,
    HOST,
    LEVEL,
    MAX_MESSAGE,
    MEMORY_LEVEL,
    WINDOW_BITS,
    arguments,
    listening,
)
from websockets.asyncio.connection import broadcast as send_to_all
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

JOB = arguments()
MEMBERS: set[ServerConnection] = set()


async def echo(ws: ServerConnection) -> None:
    try:
        async for message in ws:
            await ws.send(message)
    except ConnectionClosed:
        pass


async def broadcast(ws: ServerConnection) -> None:
    MEMBERS.add(ws)
    try:
        async for message in ws:
            send_to_all(MEMBERS, message)
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
    async with serve(
        broadcast if JOB.broadcast else echo,
        HOST,
        0,
        compression=None,
        extensions=deflate() if JOB.deflate else None,
        max_size=MAX_MESSAGE,
        ping_interval=20 if JOB.keepalive else None,
        backlog=BACKLOG,
    ) as server:
        listening(next(iter(server.sockets)).getsockname()[1])
        await asyncio.get_running_loop().create_future()


uvloop.run(main())
