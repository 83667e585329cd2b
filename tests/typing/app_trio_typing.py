"""An application that still uses trio-typing, beside trio_fastws.

Not a test of the suite: trio-typing ships stubs that shadow trio's own types, so CI
checks and runs this file in an environment of its own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio
from trio_typing import TaskStatus

import trio_fastws

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Shout(trio_fastws.EventHandler):
    """Answers in capitals."""

    def on_message(self, ws: trio_fastws.WebSocket, message: str | bytes) -> None:
        """Answer one message."""
        ws.send_nowait(message.upper())


async def whisper(ws: trio_fastws.WebSocket) -> None:
    """Answer in small letters."""
    async for message in ws:
        await ws.send(message.lower())


async def run_server(
    handler: trio_fastws.EventHandler
    | Callable[[trio_fastws.WebSocket], Awaitable[None]],
    *,
    task_status: TaskStatus[int],
) -> None:
    """Serve on a free port, which is what `trio.Nursery.start` returns."""
    async with trio.open_nursery() as nursery:
        server: trio_fastws.Server = await nursery.start(
            partial(trio_fastws.serve_websocket, handler, 0, host="127.0.0.1")
        )
        task_status.started(server.port)


async def ask(port: int, question: str) -> str | bytes:
    """Return the answer to one message."""
    async with trio_fastws.open_websocket(f"ws://127.0.0.1:{port}/") as ws:
        await ws.send(question)
        return await ws.receive()


async def main() -> None:
    """Ask both servers."""
    async with trio.open_nursery() as nursery:
        loud: int = await nursery.start(run_server, Shout())
        quiet: int = await nursery.start(run_server, whisper)
        answers = [await ask(loud, "Hello"), await ask(quiet, "Hello")]
        assert answers == ["HELLO", "hello"], answers
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
