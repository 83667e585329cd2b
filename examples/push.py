"""Push a price to everybody who is connected, many times a second.

Run it, and watch from as many terminals as you like:

    python examples/push.py
    trio-fastws dial ws://127.0.0.1:8765/

A port may be given: ``python examples/push.py 9000``.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from contextlib import suppress
from functools import partial

import trio

from trio_fastws import ConnectionBroken, EventHandler, Sending, Server, serve_websocket

# An old price is of no use: for a receiver that is too slow, or pauses, a newer one
# replaces the one that waits. The kernel holds little then, too: see
# `Sending.unsent_limit`.
LATEST = Sending(policy="drop_oldest", max_messages=1)


async def push(server: Server) -> None:
    price = 100.0
    for number in itertools.count(1):
        price = max(1.0, price + random.uniform(-1, 1))
        message = json.dumps({"number": number, "price": round(price, 2)})
        for ws in server.connections:  # as it is now, not a copy
            # Not `send`: that would wait for the slowest.
            with suppress(ConnectionBroken, trio.ClosedResourceError):
                ws.send_nowait(message)
        await trio.sleep(0.1)


async def main(port: int) -> None:
    # Without hooks: messages of clients are ignored. There is no task for each client.
    handler = EventHandler()
    serve = partial(serve_websocket, handler, port, host="127.0.0.1", sending=LATEST)
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve)
        print(f"listening on ws://127.0.0.1:{server.port}/", flush=True)
        nursery.start_soon(push, server)


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 8765)
    except* KeyboardInterrupt:
        pass
