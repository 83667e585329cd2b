"""trio-websocket: a task per connection, as its README shows."""

from __future__ import annotations

import trio
from serving import HOST, MAX_MESSAGE, arguments, listening
from sleeper import SLOW_PATH, watch_lateness, work
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
    serve_websocket,
)

JOB = arguments()
# The default of 4 KiB makes large messages slow; trio's own choice is 64 KiB.
RECEIVE_BUFFER = None
MEMBERS: set[WebSocketConnection] = set()


async def echo(request: WebSocketRequest) -> None:
    ws = await request.accept()
    try:
        while True:
            await ws.send_message(await ws.get_message())
    except ConnectionClosed:
        pass


async def echo_slowly(request: WebSocketRequest) -> None:
    slow = request.path == SLOW_PATH
    ws = await request.accept()
    try:
        while True:
            message = await ws.get_message()
            if slow:
                work()
            await ws.send_message(message)
    except ConnectionClosed:
        pass


async def broadcast(request: WebSocketRequest) -> None:
    ws = await request.accept()
    MEMBERS.add(ws)
    try:
        while True:
            message = await ws.get_message()
            for member in list(MEMBERS):
                try:
                    await member.send_message(message)
                except ConnectionClosed:
                    MEMBERS.discard(member)
    except ConnectionClosed:
        MEMBERS.discard(ws)


async def main() -> None:
    handler = echo_slowly if JOB.sleeper else echo
    async with trio.open_nursery() as nursery:
        if JOB.sleeper:
            nursery.start_soon(watch_lateness)
        server: WebSocketServer = await nursery.start(
            lambda *, task_status: serve_websocket(
                broadcast if JOB.broadcast else handler,
                HOST,
                0,
                None,
                max_message_size=MAX_MESSAGE,
                receive_buffer_size=RECEIVE_BUFFER,
                task_status=task_status,
            )
        )
        port = server.port
        assert isinstance(port, int)
        listening(port)


trio.run(main)
