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


# The old handler got the request, and called `ws = await request.accept()` itself.
def on_request(request: fastws.Request) -> fastws.Accept | fastws.Response:
    if request.path != "/echo":  # the old path had the query in it
        return fastws.Response(404, body="no such path\n")  # request.reject(404, ...)
    offered = "v2" in request.subprotocols  # request.proposed_subprotocols
    return fastws.Accept(subprotocol="v2" if offered else None)  # request.accept(...)


async def echo(ws: fastws.WebSocket) -> None:
    try:
        async for message in ws:  # while True: message = await ws.get_message()
            await ws.send(message)  # ws.send_message(message)
    except fastws.ConnectionBroken as closed:  # ConnectionClosed; after 1000, 1001 too
        print(f"closed with {closed.close_code}", flush=True)  # closed.reason.code


async def serve(port: int) -> None:
    # partial(serve_websocket, handler, "127.0.0.1", port, ssl_context=None)
    echoing = partial(fastws.serve_websocket, echo, port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(echoing, on_request=on_request))
        print(f"listening on ws://127.0.0.1:{server.port}/echo", flush=True)


async def dial(url: str) -> None:
    # open_websocket_url(url, subprotocols=["v2"])
    async with fastws.open_websocket(url, subprotocols=["v2"]) as ws:
        await ws.send("hello")  # ws.send_message("hello")
        print(ws.subprotocol, await ws.receive())  # ws.get_message()
        await ws.ping(b"still there?")  # the same
        await ws.aclose(4000, "enough")  # the same
        print(ws.close_code)  # ws.closed.code


if __name__ == "__main__":
    try:
        where = sys.argv[1] if len(sys.argv) > 1 else "8765"
        trio.run(*((dial, where) if where.startswith("ws") else (serve, int(where))))
    except* fastws.HandshakeError as group:  # the same
        sys.exit(f"not connected: {group.exceptions[0]}")
    except* KeyboardInterrupt:
        pass
