"""Chat rooms with a page and a login: routes.py says what is where.

Run it, and open http://127.0.0.1:8765/#tea in two browsers:

    python examples/chat/server.py

A port may be given: ``python examples/chat/server.py 9000``.
"""

from __future__ import annotations

import sys
from functools import partial

import trio
from routes import on_request, turn_away

from trio_fastws import Limits, Listen, Sending, serve_websocket

# A member that reads too slowly is closed: nobody else waits for it.
SENDING = Sending(policy="close", high_water=256 * 1024)


async def main(port: int) -> None:
    # Browsers send the cookie whichever page connects; only ours may. Behind a proxy
    # ours is what people see in the address bar: origins=["https://chat.example"].
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    page = "http://{}:{}".format(*listeners[0].socket.getsockname())
    serve = partial(
        serve_websocket,
        turn_away,
        Listen(listeners=listeners),
        origins=[page],
        on_request=on_request,
        limits=Limits(message_size=16 * 1024),
        sending=SENDING,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        print(f"listening on {page}/", flush=True)


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 8765)
    except* KeyboardInterrupt:
        pass
