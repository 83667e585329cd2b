"""The peer of `aiohttp`. It has no way to send fragments."""

import asyncio
import sys

import common
from aiohttp import ClientSession, WSMsgType, web


async def echo(ws):
    reason = ""
    while True:
        message = await ws.receive()
        if message.type is WSMsgType.TEXT and message.data == common.CLOSE:
            await ws.close(code=common.CODE, message=common.REASON.encode())
            reason = common.REASON
            break
        if message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await ws.send_bytes(message.data)
        else:
            reason = message.extra
            break
    common.ended(ws.close_code, reason)


async def handle(request):
    ws = web.WebSocketResponse(max_msg_size=0)
    await ws.prepare(request)
    await echo(ws)
    return ws


async def main():
    if sys.argv[1] == "serve":
        app = web.Application()
        app.router.add_get("/", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        common.say(runner.addresses[0][1])
        await asyncio.Event().wait()
    for port in common.ports():
        # A session keeps TCP connections, and a server waits for them to be closed.
        async with (
            ClientSession() as session,
            session.ws_connect(f"ws://127.0.0.1:{port}/", max_msg_size=0) as ws,
        ):
            await echo(ws)


asyncio.run(main())
