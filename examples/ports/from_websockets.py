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


# process_request(connection, request), which got the query in request.path, too
def on_request(request: fastws.Request) -> fastws.Response | None:
    if request.path == "/echo":
        return None  # the same
    return fastws.Response(404, body="no such path\n")  # connection.respond(404, ...)


async def echo(ws: fastws.WebSocket) -> None:
    try:
        async for message in ws:  # the same
            await ws.send(message)  # the same
    except fastws.ConnectionBroken as closed:  # ConnectionClosedError
        print(f"closed with {closed.close_code}", flush=True)  # closed.rcvd.code


async def serve(port: int) -> None:
    # partial(serve, echo, port, host="127.0.0.1")
    echoing = partial(fastws.serve_websocket, echo, port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        # subprotocols= is the same, on_request= was process_request=
        options = partial(echoing, subprotocols=["v2"], on_request=on_request)
        server = await nursery.start(options)  # the same
        print(f"listening on ws://127.0.0.1:{server.port}/echo", flush=True)


async def dial(url: str) -> None:
    # connect(url, subprotocols=["v2"])
    async with fastws.open_websocket(url, subprotocols=["v2"]) as ws:
        await ws.send("hello")  # the same
        print(ws.subprotocol, await ws.receive())  # ws.recv()
        await ws.ping(b"still there?")  # (await ws.ping(b"still there?")).wait()
        await ws.aclose(4000, "enough")  # the same
        print(ws.close_code)  # the same


if __name__ == "__main__":
    try:
        where = sys.argv[1] if len(sys.argv) > 1 else "8765"
        trio.run(*((dial, where) if where.startswith("ws") else (serve, int(where))))
    except* fastws.HandshakeError as group:  # InvalidHandshake, OSError, TimeoutError
        sys.exit(f"not connected: {group.exceptions[0]}")
    except* KeyboardInterrupt:
        pass
