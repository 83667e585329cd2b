"""Connections with compression: every mode, both sides, messages that differ."""

from __future__ import annotations

import contextlib
from random import Random
from typing import Any

import pytest
import trio

from tests.handlers import Keeper
from tests.serving import Site, serving
from tests.wire import (
    Peer,
    socket_pair,
)
from trio_fastws import PerMessageDeflate, Timeouts, open_websocket

# How we may be asked to compress, and what of a peer's window is shared.
MODES = {
    "persistent": {"context": "persistent"},
    "window": {"context": "window"},
    "none": {"server_context_takeover": False, "client_context_takeover": False},
}

OFFER = "permessage-deflate; client_max_window_bits"

# Each two of a transport, a side and a mode, where all of them would take long.
each_way = pytest.mark.parametrize(
    ("transport", "side", "mode"),
    [
        ("epoll", "server", "persistent"),
        ("pump", "client", "persistent"),
        ("epoll", "client", "window"),
        ("pump", "server", "window"),
        ("epoll", "server", "none"),
        ("pump", "client", "none"),
    ],
    indirect=["transport"],
)
# For tests that are about as long on both transports.
epoll_only = pytest.mark.parametrize("transport", ["epoll"], indirect=True)
each_side = pytest.mark.parametrize(
    ("transport", "side"),
    [("epoll", "server"), ("epoll", "client"), ("pump", "client")],
    indirect=["transport"],
)


def deflating(mode: str, **options: Any) -> PerMessageDeflate:
    """Return options: everything is compressed, unless told otherwise."""
    return PerMessageDeflate(**{"threshold": 0, **MODES[mode], **options})


def offering(offer: str | None = OFFER) -> tuple[str, ...]:
    """Return the fields of a request that makes this offer."""
    return () if offer is None else (f"Sec-WebSocket-Extensions: {offer}",)


async def dial(site: Site, offer: str | None = OFFER) -> Peer:
    """Connect to a server; the handshake is done."""
    return await site.dial(*offering(offer))


@contextlib.asynccontextmanager
async def linked(side: str, deflate: Any, *, small: bool = False, **options: Any):
    """A WebSocket of a server, or a client, and the raw peer of it."""
    if side == "server":
        keeper = Keeper()
        async with serving(keeper, small=small, deflate=deflate, **options) as site:
            peer = await dial(site)
            yield await keeper.next(), peer
        return
    options.setdefault("timeouts", Timeouts(ping_interval=None))
    size = 16 * 1024 if small else None
    ours, theirs = socket_pair(True, size, size)
    peer = Peer(theirs, client=False)
    welcomed = trio.Event()

    async def welcome() -> None:
        await peer.welcome(deflate=True)
        welcomed.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(welcome)
        async with open_websocket(
            "ws://127.0.0.1/", stream=ours, deflate=deflate, **options
        ) as ws:
            await welcomed.wait()
            try:
                yield ws, peer
            finally:
                theirs.socket.close()


class Story:
    """Messages that differ, each with quotes of some before it, sent or not.

    Random words, so that a window that holds what the peer's does not, or holds
    it elsewhere, cannot go unnoticed.
    """

    def __init__(self, seed: int = 1) -> None:
        self.random = Random(seed)
        self.told: list[bytes] = []

    def tell(self, size: int = 300) -> bytes:
        """Return the next message, ASCII of ``size`` bytes."""
        parts = [b"%d" % len(self.told)]
        length = len(parts[0])
        while length < size:
            part = self.random.randbytes(self.random.randrange(4, 24)).hex().encode()
            if self.told and self.random.random() < 0.6:
                earlier = self.random.choice(self.told[-6:])
                start = self.random.randrange(len(earlier))
                part = earlier[start : start + self.random.randrange(20, 120)]
            parts.append(part)
            length += len(part) + 1
        message = b" ".join(parts)[:size]
        if message:
            self.told.append(message)
        return message
