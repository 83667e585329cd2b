"""Echoes of compressed messages: with which parameters, from whom, and the checks."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from tests.interop.material import Message, make_messages
from tests.peers import require
from trio_fastws import (
    PerMessageDeflate,
    PreparedMessage,
    WebSocket,
    open_websocket,
    serve_websocket,
)

PEERS = Path(__file__).parent / "peers"
# For each peer and each of its roles there are 40 combinations: 10,000 messages.
MESSAGES = 250

WINDOWS = [(15, 15), (12, 12), (9, 9), (15, 9), (9, 15)]
# The four parameters of RFC 7692 7.1, as ``ws.deflate`` names them.
NAMES = (
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
)
OURS = (
    "server_context_takeover",
    "client_context_takeover",
    "server_window_bits",
    "client_window_bits",
)
UNASKED = (False, False, 15, 15)


@dataclass(frozen=True, slots=True)
class Combination:
    """Which parameters shall be agreed on, who asks for them, and how we compress.

    Attributes:
        wanted: The parameters, in the order of `NAMES`.
        context: How our compressor keeps its window.
        asker: "us", "them", or "both".
        number: Its place among all; seeds the messages.
    """

    wanted: tuple[bool, bool, int, int]
    context: str
    asker: str
    number: int

    def __str__(self) -> str:
        takeover = "".join("-+"[not off] for off in self.wanted[:2])
        bits = "-".join(map(str, self.wanted[2:]))
        return f"{takeover}-{bits}-{self.context}-{self.asker}"

    def ours(self, able: Sequence[str] = NAMES) -> PerMessageDeflate:
        """Return our options, where the peer can ask for those in ``able``."""
        values: dict[str, Any] = {}
        for name, our, want, free in zip(
            NAMES, OURS, self.wanted, UNASKED, strict=True
        ):
            value = free if self.asker == "them" and name in able else want
            values[our] = not value if isinstance(value, bool) else value
        # Both thresholds; zlib's other levels now and then.
        return PerMessageDeflate(
            **values,
            context=self.context,  # type: ignore[arg-type]
            threshold=0 if self.number % 2 else 64,
            level=(1, 1, 6)[self.number % 3],
            memory_level=(5, 8, 1, 9)[self.number % 4],
        )

    def theirs(self, able: Sequence[str] = NAMES) -> dict[str, bool | int]:
        """Return what the peer asks for."""
        return {
            name: want
            for name, want, free in zip(NAMES, self.wanted, UNASKED, strict=True)
            if self.asker != "us" and name in able and want != free
        }

    def messages(self) -> list[Message]:
        """Return what is sent; in some combinations, one message of 1 MiB."""
        return make_messages(self.number, MESSAGES, large=self.number % 5 == 0)


COMBINATIONS = [
    Combination((no_server, no_client, *bits), context, asker, number)
    for number, ((no_server, no_client, context, bits), asker) in enumerate(
        zip(
            itertools.product(
                (False, True), (False, True), ("persistent", "window"), WINDOWS
            ),
            itertools.cycle(("us", "them", "both")),
            strict=False,
        )
    )
]


class DeflatePeer:
    """A process that speaks with another library: one connection for each order.

    What it is told and what it says are lines of JSON; see
    ``peers/deflate_common.py``.
    """

    def __init__(self, name: str, script: str) -> None:
        self.name = name
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
        # Where `tests.wire` is.
        environment["PYTHONPATH"] = str(PEERS.parents[2])
        command = [sys.executable]
        if script.endswith(".js"):
            environment["NODE_PACKAGE"] = require(name)
            command = [shutil.which("node") or "node"]
        self._process = subprocess.Popen(
            [*command, str(PEERS / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            encoding="utf-8",
        )
        # Whether it has said all that it was asked for.
        self.settled = True

    async def tell(self, **order: Any) -> None:
        """Give it an order."""
        assert self._process.stdin is not None
        self.settled = False
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        await trio.lowlevel.checkpoint()

    async def hear(self) -> Any:
        """Return what it says next."""
        stdout = self._process.stdout
        assert stdout is not None
        line = await trio.to_thread.run_sync(stdout.readline, abandon_on_cancel=True)
        assert line, f"{self.name} has died"
        return json.loads(line)

    async def ended(self) -> dict[str, Any]:
        """Return what it says of a connection that is over."""
        result: dict[str, Any] = await self.hear()
        self.settled = True
        return result

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


@asynccontextmanager
async def dialed(
    peer: DeflatePeer, ours: PerMessageDeflate, **order: Any
) -> AsyncIterator[WebSocket]:
    """Give our client's connection to a peer that serves."""
    await peer.tell(serve=True, **order)
    url = f"ws://127.0.0.1:{(await peer.hear())['port']}/"
    async with open_websocket(url, deflate=ours) as ws:
        yield ws


@asynccontextmanager
async def served(
    ours: PerMessageDeflate, dial: Any, **options: Any
) -> AsyncIterator[WebSocket]:
    """Give our server's connection to whoever ``dial(port)`` makes dial."""
    send, receive = trio.open_memory_channel[WebSocket](0)
    done = trio.Event()

    async def handler(ws: WebSocket) -> None:
        await send.send(ws)
        await done.wait()

    def serve(task_status: Any) -> Any:
        options["task_status"] = task_status
        return serve_websocket(handler, 0, host="127.0.0.1", deflate=ours, **options)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve)
        await dial(server.port)
        ws = await receive.receive()
        yield ws
        await ws.aclose()
        done.set()
        nursery.cancel_scope.cancel()


async def send_all(ws: WebSocket, messages: list[Message]) -> None:
    """Send messages, each as it wants to be sent."""
    for message in messages:
        if message.how == "pieces":
            text = isinstance(message.data, str)
            async with ws.open_message(text=text, compress=message.compress) as out:
                for piece in message.pieces:
                    await out.write(piece)
        elif message.how == "prepared":
            await ws.send(PreparedMessage(message.data, compress=message.compress))
        else:
            await ws.send(message.data, compress=message.compress)


async def echo_all(ws: WebSocket, messages: list[Message], seed: str) -> None:
    """Send all messages, and see every one come back in its turn."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all, ws, messages)
        for number, message in enumerate(messages):
            try:
                echo = await ws.receive()
            except (trio.BrokenResourceError, trio.EndOfChannel) as error:
                raise AssertionError(
                    f"seed {seed}: instead of message {number}, {message}: {error!r}"
                ) from error
            if type(echo) is not type(message.data) or echo != message.data:
                raise AssertionError(
                    f"seed {seed}: message {number}, {message}, came back as "
                    f"{type(echo).__name__} of {len(echo)}: {echo[:60]!r}..."
                )


def check_compression(ws: WebSocket, echoes_compressed: bool = True) -> None:
    """Check that messages were smaller on the wire than they are."""
    counted = ws.statistics()
    assert 0 < counted.encoded_sent < counted.bytes_sent
    if echoes_compressed:
        assert 0 < counted.encoded_received < counted.bytes_received
    else:
        assert counted.encoded_received == counted.bytes_received
