"""What a type checker says about calls: checked, and run by nobody.

Where an error is wanted there is a comment; without an error that is one itself.
"""

from __future__ import annotations

from typing import Any, assert_type

import trio

from trio_fastws import Headers, Listen, WebSocket, open_websocket, serve_websocket


async def echo(ws: WebSocket) -> None:
    """Send everything back."""
    async for message in ws:
        await ws.send(message)


async def dial() -> None:
    """Get a WebSocket."""
    async with open_websocket("ws://localhost/", subprotocols=["a"]) as ws:
        assert_type(ws, WebSocket[Any])


async def serve(context: Any) -> None:
    """Serve on a port, or on what a `Listen` says."""
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_websocket, echo, 0)
        nursery.start_soon(serve_websocket, echo, Listen(unix="/run/echo"))
    await serve_websocket(echo, 0, host="::1", ssl_context=context)


def find(headers: Headers) -> None:
    """Get a field, or else what is said here."""
    assert_type(headers.get("Cookie"), str | None)
    assert_type(headers.get("Cookie", ""), str)


def run() -> None:
    """Serve until the end."""
    trio.run(serve_websocket, echo, 0)


async def as_with_trio_websocket(context: Any) -> None:
    """Take its order of arguments."""
    async with open_websocket("wss://localhost/", context):  # type: ignore[call-arg]
        pass
    await serve_websocket(echo, "localhost")  # type: ignore[arg-type]


async def as_with_trio_websocket_too(context: Any) -> None:
    """Take its order of arguments."""
    await serve_websocket(echo, "localhost", 80, context)  # type: ignore[call-arg, arg-type]
