"""Calls that wait for their answers, and events, over one connection.

So do JSON-RPC and Chromium's DevTools protocol, which devtools.py speaks with this.
"""

from __future__ import annotations

import itertools
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from trio_fastws import WebSocket


class Calls:
    """The calls on a connection; any number of tasks may make some.

    Attributes:
        events: What the peer says without being asked, if somebody takes it in time.
        common: Fields that every call has.
    """

    def __init__(self, ws: WebSocket) -> None:
        self._ws = ws
        self._numbers = itertools.count(1)
        self._waiting: dict[int, trio.MemorySendChannel[dict[str, Any]]] = {}
        self._happened, self.events = trio.open_memory_channel[dict[str, Any]](1000)
        self.common: dict[str, Any] = {}

    async def __call__(self, method: str, **params: object) -> dict[str, Any]:
        """Call a method, and wait for its result; safe to cancel."""
        number = next(self._numbers)
        self._waiting[number], answers = trio.open_memory_channel[dict[str, Any]](1)
        message = {"id": number, "method": method, "params": params, **self.common}
        try:
            await self._ws.send(json.dumps(message))
            answer = await answers.receive()
        finally:
            del self._waiting[number]
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def read(self) -> None:
        """Give answers to who waits for them: in a task beside the callers'."""
        async for message in self._ws:
            answer = json.loads(message)
            if "method" in answer:
                with suppress(trio.WouldBlock):
                    self._happened.send_nowait(answer)
            elif answer["id"] in self._waiting:  # else its caller was cancelled
                self._waiting[answer["id"]].send_nowait(answer)
        raise EOFError("the peer has closed the connection")
