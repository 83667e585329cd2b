"""The peer of `websockets`, trio flavour."""

import sys

import common
import trio
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import connect
from websockets.trio.server import serve


async def send_fragments(ws):
    pongs = []

    async def pieces():
        for piece in common.PIECES[:-1]:
            yield piece
            pongs.append(await ws.ping())
        yield common.PIECES[-1]

    await ws.send(pieces())
    for pong in pongs:
        await pong.wait()
    await ws.send(common.PONGED)


async def echo(ws):
    try:
        async for message in ws:
            if message == common.CLOSE:
                await ws.aclose(common.CODE, common.REASON)
            elif message == common.FRAGMENTS:
                await send_fragments(ws)
            else:
                await ws.send(message)
    except ConnectionClosed:
        pass
    await ws.wait_closed()
    common.ended(ws.close_code, ws.close_reason)


async def main():
    async with trio.open_nursery() as nursery:
        if sys.argv[1] == "serve":
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            common.say(listeners[0].socket.getsockname()[1])
            await serve(echo, listeners=listeners, max_size=None)
        for port in common.ports():
            async with connect(
                f"ws://127.0.0.1:{port}", max_size=None, proxy=None
            ) as ws:
                await echo(ws)
        nursery.cancel_scope.cancel()


trio.run(main)
