"""The compressing peer of `aiohttp`.

All it sends is compressed, in one fragment each. As a client it can ask for the
server's window only, as a server for nothing: it ignores what clients say of
themselves.
"""

import asyncio

import deflate_common as common
from aiohttp import ClientSession, WSMsgType, web


async def echo(ws):
    while True:
        message = await ws.receive()
        if message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await ws.send_bytes(message.data)
        else:
            break
    common.say(code=ws.close_code)


async def follow(order):
    if order.pop("serve", False):
        over = asyncio.Event()

        async def handle(request):
            ws = web.WebSocketResponse(max_msg_size=0)
            await ws.prepare(request)
            await echo(ws)
            over.set()
            return ws

        app = web.Application()
        app.router.add_get("/", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        common.say(port=runner.addresses[0][1])
        await over.wait()
        await runner.cleanup()
    else:
        url = f"ws://127.0.0.1:{order['dial']}/"
        bits = order.get("server_max_window_bits", 15)
        async with (
            ClientSession() as session,
            session.ws_connect(url, max_msg_size=0, compress=bits) as ws,
        ):
            await echo(ws)


async def main():
    for order in common.orders():
        await follow(order)


asyncio.run(main())
