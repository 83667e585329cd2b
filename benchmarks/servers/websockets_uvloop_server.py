"""websockets on asyncio and uvloop: a task per connection."""

from __future__ import annotations

import asyncio

import uvloop
from serving import BACKLOG, HOST, MAX_MESSAGE, arguments, listening
from websockets.asyncio.connection import broadcast as send_to_all
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

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


async def main() -> None:
    async with serve(
        broadcast if JOB.broadcast else echo,
        HOST,
        0,
        compression=None,
        max_size=MAX_MESSAGE,
        ping_interval=20 if JOB.keepalive else None,
        backlog=BACKLOG,
    ) as server:
        listening(next(iter(server.sockets)).getsockname()[1])
        await asyncio.get_running_loop().create_future()


uvloop.run(main())
