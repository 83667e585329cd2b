"""Large messages, and servers that send them when told so."""

from __future__ import annotations

from random import Random

import pytest

from trio_fastws import EventHandler


def make_json(size: int) -> bytes:
    random = Random(size)
    rows = [
        f'{{"id": {random.randrange(10**9)}, "name": "user {random.randrange(5000)}", '
        f'"price": {random.random():.4f}, "active": true}},\n'
        for _ in range(10_000)
    ]
    data = "".join(rows).encode()
    return (data * (size // len(data) + 1))[:size]


JSON = make_json(16 * 2**20)
# Not much smaller when it is compressed: it fills what there is on its way.
DENSE = Random(1).randbytes(2**20).hex().encode()


class Hooks(EventHandler):
    """Echoes; sends a large message when told so."""

    def on_message(self, ws, message) -> None:
        ws.send_nowait(JSON if message == "large" else message)


async def tasks(ws) -> None:
    """Do the same in a task for each connection."""
    async for message in ws:
        await ws.send(JSON if message == "large" else message)


both_handlers = pytest.mark.parametrize(
    "handler", [Hooks(), tasks], ids=["hooks", "tasks"]
)
