"""The compressing peer of `websockets`, asyncio flavour. All it sends is compressed."""

import asyncio

import deflate_common as common
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)


async def echo(ws):
    number = 0
    try:
        async for message in ws:
            await ws.send(common.cut(number, message) or message)
            number += 1
    except ConnectionClosed:
        pass
    await ws.wait_closed()
    common.say(code=ws.close_code)


async def follow(order, options):
    if order.pop("serve", False):
        over = asyncio.Event()

        async def handler(ws):
            await echo(ws)
            over.set()

        options["extensions"] = [ServerPerMessageDeflateFactory(**order)]
        async with serve(handler, "127.0.0.1", 0, **options) as server:
            common.say(port=server.sockets[0].getsockname()[1])
            await over.wait()
    else:
        uri = f"ws://127.0.0.1:{order.pop('dial')}"
        options["extensions"] = [ClientPerMessageDeflateFactory(**order)]
        async with connect(uri, proxy=None, **options) as ws:
            await echo(ws)


async def main():
    for order in common.orders():
        await follow(order, {"max_size": None, "compression": None})


asyncio.run(main())
