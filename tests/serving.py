"""Servers of ours for raw peers: `serving` any handler, or a `pair` of both ends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import trio
import trio.testing

from tests.handlers import Keeper
from tests.wire import (
    Frame,
    Peer,
    binary,
    dial,
    tcp_listener,
)
from trio_fastws import Listen, Server, Timeouts, WebSocket, serve_websocket

# What is soon full.
SMALL = 16 * 1024


class Site:
    """A running server, and raw clients of it."""

    def __init__(self, server: Server, receive_buffer: int | None) -> None:
        self.server = server
        self.receive_buffer = receive_buffer
        self.peers: list[Peer] = []

    async def connect(self) -> Peer:
        """Return a client that is connected, but has not shaken hands."""
        peer = await dial(self.server.port, self.receive_buffer)
        self.peers.append(peer)
        return peer

    async def dial(self, *fields: str, early: Frame | bytes = b"") -> Peer:
        """Return a client that has shaken hands."""
        peer = await self.connect()
        head = await peer.shake(*fields, early=early)
        assert head.startswith(b"HTTP/1.1 101 "), head
        return peer


@contextlib.asynccontextmanager
async def serving(
    handler: Any, *, small: bool = False, **options: Any
) -> AsyncIterator[Site]:
    """Serve ``handler``; with ``small``, over buffers that are soon full."""
    listener = tcp_listener(SMALL if small else None)
    options.setdefault("timeouts", Timeouts(ping_interval=None))
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(serve_websocket, handler, Listen(listeners=[listener]), **options)
        )
        site = Site(server, SMALL if small else None)
        try:
            yield site
        finally:
            for peer in site.peers:
                await peer.aclose()
            nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[tuple[WebSocket, Peer]]:
    """A server's WebSocket and its raw client."""
    keeper = Keeper()
    async with serving(keeper, **options) as site:
        peer = await site.dial()
        yield await keeper.next(), peer


async def fill(ws: WebSocket, payload: bytes) -> list[Frame]:
    """Send until nobody takes any more; returns what was queued."""
    frames: list[Frame] = []
    while True:
        before = len(frames)
        with contextlib.suppress(trio.WouldBlock):
            while True:
                ws.send_nowait(payload)
                frames.append(binary(payload))
        if len(frames) == before:
            return frames
        await trio.testing.wait_all_tasks_blocked(0.001)


class Running:
    """A server that can be stopped, and whether it has ended.

    Attributes:
        returned: Whether it ended by itself, not by `stop`.
    """

    def __init__(self) -> None:
        self.returned = False
        self.server: Server
        self.scope = trio.CancelScope()
        self.ended = trio.Event()

    def stop(self) -> None:
        self.scope.cancel()


@contextlib.asynccontextmanager
async def running(handler: Any, **options: Any) -> AsyncIterator[Running]:
    """Run a server for the length of a block, or until it is stopped."""
    run = Running()
    if "listeners" in options:
        options["port"] = Listen(listeners=options.pop("listeners"))
    else:
        options = {"port": 0, "host": "127.0.0.1", **options}

    async def serve(task_status: trio.TaskStatus[Server]) -> None:
        with run.scope:
            await serve_websocket(handler, **options, task_status=task_status)
            run.returned = True
        run.ended.set()

    async with trio.open_nursery() as nursery:
        run.server = await nursery.start(serve)
        yield run
        run.stop()
