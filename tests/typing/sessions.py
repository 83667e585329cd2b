"""The type of a session, from `on_request` to the handler: checked, and run by nobody.

Where an error is wanted there is a comment; without an error that is one itself.
"""

from __future__ import annotations

from functools import partial
from typing import Any, assert_type

import trio
import trio.lowlevel

from trio_fastws import (
    Accept,
    EventHandler,
    Request,
    Response,
    Server,
    WebSocket,
    serve_websocket,
)


class User:
    """Who has logged in."""

    def __init__(self, name: str) -> None:
        self.name = name


def check(request: Request) -> Accept[User] | Response | None:
    """Decide at once."""
    return Accept(session=User("Ada")) if request.path == "/" else Response(404)


async def look_up(request: Request) -> Accept[User] | Response:
    """Decide later."""
    await trio.lowlevel.checkpoint()
    return Accept(session=User(request.path), handler=greet)


async def greet(ws: WebSocket[User]) -> None:
    """Know who it is."""
    assert_type(ws.session, User)
    await ws.send(ws.session.name)


async def echo(ws: WebSocket) -> None:
    """Not care who it is."""
    assert_type(ws.session, Any)
    async for message in ws:
        assert_type(message, str | bytes)
        await ws.send(message)


async def count(ws: WebSocket[int]) -> None:
    """Take somebody else's session."""
    await ws.send(str(ws.session + 1))


class Greet(EventHandler[User]):
    """Know who it is, in hooks."""

    def on_message(self, ws: WebSocket[User], message: str | bytes) -> None:
        """Answer."""
        assert_type(ws.session, User)
        ws.send_nowait(ws.session.name)


class Echo(EventHandler):
    """Not care who it is."""

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Answer."""
        ws.send_nowait(message)


async def main() -> None:
    """Serve all of them."""
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, greet, 1)
        server = await nursery.start(serve)
        assert isinstance(server, Server)
        for ws in server.connections:
            assert_type(ws.session, Any)
    trio.run(serve_websocket, greet, 1)
    trio.run(partial(serve_websocket, greet, 1, on_request=check))
    trio.run(partial(serve_websocket, greet, 1, on_request=look_up))
    trio.run(partial(serve_websocket, Greet(), 1, on_request=check))
    trio.run(partial(serve_websocket, Echo(), 1, on_request=look_up))
    trio.run(partial(serve_websocket, echo, 1, on_request=check))


async def wrong() -> None:
    """Take somebody else's session."""
    await serve_websocket(count, 1, on_request=check)  # type: ignore[misc]
