"""Push a board of prices to everybody, encoded and compressed once for all.

Run it, and watch from as many terminals as you like, with --deflate or without:

    python examples/ticker.py
    trio-fastws dial ws://127.0.0.1:8765/ --deflate

A port may be given: ``python examples/ticker.py 9000``.
"""

from __future__ import annotations

import json
import random
import sys
from contextlib import suppress
from functools import partial

import trio

from trio_fastws import (
    EventHandler,
    PerMessageDeflate,
    PreparedMessage,
    Server,
    serve_websocket,
)

# With its default context, a window, all connections are sent the same frame.
DEFLATE = PerMessageDeflate()


async def push(server: Server) -> None:
    board = {f"{letter}{n}": 100.0 for letter in "ABCDE" for n in range(10)}
    while True:
        for name in random.sample(list(board), 10):
            board[name] = round(max(1.0, board[name] + random.uniform(-1, 1)), 2)
        message = PreparedMessage(json.dumps({"prices": board}))
        for ws in server.connections:
            gone = (trio.BrokenResourceError, trio.ClosedResourceError)
            with suppress(*gone, trio.WouldBlock):  # the slow one gets the next
                ws.send_nowait(message)
        await trio.sleep(0.1)


async def main(port: int) -> None:
    handler = EventHandler()
    serve = partial(serve_websocket, handler, port, host="127.0.0.1", deflate=DEFLATE)
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve)
        print(f"listening on ws://127.0.0.1:{server.port}/", flush=True)
        nursery.start_soon(push, server)


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 8765)
    except* KeyboardInterrupt:
        pass
