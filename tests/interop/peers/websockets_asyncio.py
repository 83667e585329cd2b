"""The peer of `websockets`, asyncio flavour."""

import asyncio
import sys

import common
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def send_fragments(ws):
    pongs = []

    async def pieces():
        for piece in common.PIECES[:-1]:
            yield piece
            pongs.append(await ws.ping())
        yield common.PIECES[-1]

    await ws.send(pieces())
    await asyncio.gather(*pongs)
    await ws.send(common.PONGED)


async def echo(ws):
    try:
        async for message in ws:
            if message == common.CLOSE:
                await ws.close(common.CODE, common.REASON)
            elif message == common.FRAGMENTS:
                await send_fragments(ws)
            else:
                await ws.send(message)
    except ConnectionClosed:
        pass
    await ws.wait_closed()
    common.ended(ws.close_code, ws.close_reason)


async def main():
    if sys.argv[1] == "serve":
        async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
            common.say(server.sockets[0].getsockname()[1])
            await server.serve_forever()
    for port in common.ports():
        async with connect(f"ws://127.0.0.1:{port}", max_size=None, proxy=None) as ws:
            await echo(ws)


asyncio.run(main())
