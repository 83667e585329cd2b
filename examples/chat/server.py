"""Chat rooms with a page. The rooms are in rooms.py, the page in page.html.

Run it, and open http://127.0.0.1:8765/#tea in two browsers:

    python examples/chat/server.py

A port may be given: ``python examples/chat/server.py 9000``.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import trio
from rooms import Rooms

from trio_fastws import Accept, Request, Response, Sending, serve_websocket

PAGE = Response(
    200,
    [("Content-Type", "text/html; charset=utf-8")],
    Path(__file__).with_name("page.html").read_bytes(),
)


def on_request(request: Request) -> Accept | Response:
    if request.path == "/":
        return PAGE
    if request.path.startswith("/rooms/"):
        return Accept(session=request.path.removeprefix("/rooms/"))
    return Response(404, body="Not found. The page is at /.\n")


async def main(port: int) -> None:
    serve = partial(
        serve_websocket,
        Rooms(),
        port,
        host="127.0.0.1",
        on_request=on_request,
        # A member that reads too slowly is closed: nobody else waits for it.
        sending=Sending(policy="close", high_water=256 * 1024),
    )
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve)
        print(f"listening on ws://127.0.0.1:{server.port}/rooms/tea", flush=True)


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 8765)
    except* KeyboardInterrupt:
        pass
