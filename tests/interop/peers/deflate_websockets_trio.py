"""The compressing peer of `websockets`, trio flavour. All it sends is compressed."""

import deflate_common as common
import trio
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
from websockets.trio.client import connect
from websockets.trio.server import serve


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
        async with trio.open_nursery() as nursery:

            async def handler(ws):
                await echo(ws)
                nursery.cancel_scope.cancel()

            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            common.say(port=listeners[0].socket.getsockname()[1])
            options["extensions"] = [ServerPerMessageDeflateFactory(**order)]
            await serve(handler, listeners=listeners, **options)
    else:
        uri = f"ws://127.0.0.1:{order.pop('dial')}"
        options["extensions"] = [ClientPerMessageDeflateFactory(**order)]
        async with connect(uri, proxy=None, **options) as ws:
            await echo(ws)


async def main():
    for order in common.orders():
        await follow(order, {"max_size": None, "compression": None})


trio.run(main)
