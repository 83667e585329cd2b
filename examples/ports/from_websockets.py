"""A program for websockets.trio 17 as it is here, the old calls in its comments.

Serve, and dial from another terminal:

    python examples/ports/from_websockets.py
    python examples/ports/from_websockets.py ws://127.0.0.1:8765/echo
"""

from __future__ import annotations

import sys
from functools import partial

import trio

import trio_fastws as fastws


# was process_request(connection, request)
def on_request(request: fastws.Request) -> fastws.Response | None:
    no = fastws.Response(404, body="no such path\n")  # connection.respond(404, ...)
    return None if request.path == "/echo" else no  # the old path had the query in it


async def echo(ws: fastws.WebSocket) -> None:
    try:
        async for message in ws:  # the same
            await ws.send(message)  # the same
    except fastws.ConnectionBroken as closed:  # ConnectionClosedError
        print(f"closed with {closed.close_code}", flush=True)  # closed.rcvd.code


async def serve(port: str) -> None:
    # was partial(serve, echo, int(port), host="127.0.0.1", ...), with process_request=
    here = partial(fastws.serve_websocket, echo, int(port), host="127.0.0.1")
    asked = partial(here, subprotocols=["v2"], on_request=on_request)
    async with trio.open_nursery() as nursery:
        server = await nursery.start(asked)  # the same
        print(f"listening on ws://127.0.0.1:{server.port}/echo", flush=True)


async def dial(url: str) -> None:
    try:  # was connect(url, subprotocols=["v2"])
        async with fastws.open_websocket(url, subprotocols=["v2"]) as ws:
            await ws.send("hello")  # the same
            print(ws.subprotocol, await ws.receive())  # ws.recv()
            await ws.ping(b"still there?")  # (await ws.ping(b"still there?")).wait()
            await ws.aclose(4000, "enough")  # the same
            print(f"closed with {ws.close_code}")  # the same
    except fastws.HandshakeError as error:  # InvalidHandshake, OSError, TimeoutError
        print(f"not connected: {error}")


if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else "8765"
    try:
        trio.run(serve if where.isdigit() else dial, where)
    except* KeyboardInterrupt:
        pass
