"""A program for trio-websocket 0.12 as it is here, the old calls in its comments.

Serve, and dial from another terminal:

    python examples/ports/from_trio_websocket.py
    python examples/ports/from_trio_websocket.py ws://127.0.0.1:8765/echo
"""

from __future__ import annotations

import sys
from functools import partial

import trio

import trio_fastws as fastws  # some names are trio-websocket's, with other arguments


def on_request(request: fastws.Request) -> fastws.Accept | fastws.Response:
    if request.path != "/echo":  # the old path had the query in it
        return fastws.Response(404, body="no such path\n")  # request.reject(404, ...)
    chosen = "v2" if "v2" in request.subprotocols else None  # .proposed_subprotocols
    return fastws.Accept(subprotocol=chosen)  # ws = await request.accept(chosen)


async def echo(ws: fastws.WebSocket) -> None:
    try:
        async for message in ws:  # while True: message = await ws.get_message()
            await ws.send(message)  # ws.send_message(message)
    except fastws.ConnectionBroken as closed:  # ConnectionClosed; after 1000, 1001 too
        print(f"closed with {closed.close_code}", flush=True)  # closed.reason.code


async def serve(port: str) -> None:
    # was partial(serve_websocket, handler, "127.0.0.1", port, ssl_context=None)
    here = partial(fastws.serve_websocket, echo, int(port), host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(here, on_request=on_request))
        print(f"listening on ws://127.0.0.1:{server.port}/echo", flush=True)


async def dial(url: str) -> None:
    try:  # was open_websocket_url(url, subprotocols=["v2"])
        async with fastws.open_websocket(url, subprotocols=["v2"]) as ws:
            await ws.send("hello")  # ws.send_message("hello")
            print(ws.subprotocol, await ws.receive())  # ws.get_message()
            await ws.ping(b"still there?")  # the same
            await ws.aclose(4000, "enough")  # the same
            print(f"closed with {ws.close_code}")  # ws.closed.code
    except fastws.HandshakeError as error:  # the same
        print(f"not connected: {error}")


if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else "8765"
    try:
        trio.run(serve if where.isdigit() else dial, where)
    except* KeyboardInterrupt:
        pass
