"""aiohttp on uvloop: a task per connection, C parser and masking.

It compresses at level 1, with a window of 15 bits unless the peer wants less.
"""

from __future__ import annotations

import asyncio

import uvloop
from aiohttp import WSMsgType, web
from serving import BACKLOG, HOST, MAX_MESSAGE, arguments, listening

JOB = arguments()
MEMBERS: set[web.WebSocketResponse] = set()


async def echo(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=JOB.deflate, max_msg_size=MAX_MESSAGE)
    await ws.prepare(request)
    async for message in ws:
        if message.type is WSMsgType.BINARY:
            await ws.send_bytes(message.data)
        elif message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
    return ws


async def broadcast(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=JOB.deflate, max_msg_size=MAX_MESSAGE)
    await ws.prepare(request)
    MEMBERS.add(ws)
    try:
        async for message in ws:
            if message.type is WSMsgType.BINARY:
                for member in list(MEMBERS):
                    if not member.closed:
                        await member.send_bytes(message.data)
    except ConnectionError:
        pass
    finally:
        MEMBERS.discard(ws)
    return ws


async def main() -> None:
    app = web.Application()
    app.router.add_get("/{path:.*}", broadcast if JOB.broadcast else echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, backlog=BACKLOG).start()
    listening(runner.addresses[0][1])
    await asyncio.get_running_loop().create_future()


uvloop.run(main())
