"""A chat room with a page. The room is in room.py, the page in page.html.

Run it, and open http://127.0.0.1:8765/ in two browsers:

    python examples/chat/server.py

A port may be given: ``python examples/chat/server.py 9000``. The same files are
in the package; ``trio-fastws serve chat`` serves them.
"""

from __future__ import annotations

import sys
from functools import partial

import trio
from room import SENDING, ChatHandler, Room, on_request

from trio_fastws import serve_websocket


async def main(port: int) -> None:
    serve = partial(
        serve_websocket,
        ChatHandler(Room()),  # or chat_in(Room()): a task for each connection
        port,
        host="127.0.0.1",
        on_request=on_request,
        sending=SENDING,
    )
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve)
        print(f"listening on ws://127.0.0.1:{server.port}/ws", flush=True)


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 8765)
    except* KeyboardInterrupt:
        pass
