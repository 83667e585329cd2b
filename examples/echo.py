"""Send every message back.

Run it, and talk to it from another terminal:

    python examples/echo.py
    trio-fastws dial ws://127.0.0.1:8765/

A port may be given: ``python examples/echo.py 9000``.
"""

from __future__ import annotations

import sys
from functools import partial

import trio

from trio_fastws import WebSocket, serve_websocket


async def echo(ws: WebSocket) -> None:
    # One task for each connection; it ends when the peer closes.
    async for message in ws:
        await ws.send(message)


async def main(port: int) -> None:
    serve = partial(serve_websocket, echo, port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve)
        print(f"listening on ws://127.0.0.1:{server.port}/", flush=True)


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 8765)
    except* KeyboardInterrupt:
        pass  # Ctrl-C: every connection was closed with code 1001
