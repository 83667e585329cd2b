"""Messages as programs send them: JSON that is alike and never the same twice."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

_PAIRS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "USDCHF", "NZDUSD", "USDCAD")
_NAMES = ("ada", "grace", "edsger", "barbara", "donald", "radia", "niklaus", "frances")
_NOTES = """
the a and of to in is that was for on with as at by from it this be are or an order
delivery customer invoice payment address changed again tomorrow morning please
confirm the new time we will call back when it has left our warehouse thank you for
your patience there is no need to answer this message
"""
# A tick; longer messages are lists of orders.
TICK_SIZE = 90


def _tick(dice: random.Random, number: int) -> bytes:
    bid = dice.randrange(80_000, 160_000)
    text = (
        f'{{"pair":"{dice.choice(_PAIRS)}","bid":{bid / 1e5:.5f},'
        f'"ask":{(bid + dice.randrange(1, 40)) / 1e5:.5f},'
        f'"time":{1_731_000_000_000 + 37 * number},"size":{dice.randrange(10**6)}'
    )
    return text.encode().ljust(TICK_SIZE - 1)[: TICK_SIZE - 1] + b"}"


def _order(dice: random.Random, number: int) -> dict[str, Any]:
    note = " ".join(dice.choices(_NOTES.split(), k=dice.randrange(4, 18)))
    return {
        "id": f"{dice.getrandbits(64):016x}",
        "number": 100_000 + number,
        "customer": dice.choice(_NAMES),
        "created": f"2024-11-{dice.randrange(1, 29):02}T"
        f"{dice.randrange(24):02}:{dice.randrange(60):02}:{dice.randrange(60):02}Z",
        "total": round(dice.uniform(3, 900), 2),
        "paid": dice.random() < 0.8,
        "note": note,
    }


def _orders(dice: random.Random, size: int, number: int) -> bytes:
    parts: list[str] = []
    length = 0
    while length < size:
        number += 1
        text = json.dumps(_order(dice, number), separators=(",", ":"))
        parts.append(text)
        length += len(text) + 1
    # Cut to the size: what compresses it does not mind.
    return f"[{','.join(parts)}]".encode()[:size]


@cache
def messages(size: int, count: int) -> tuple[bytes, ...]:
    """Return so many messages of so many bytes; the same ones each time."""
    dice = random.Random(size)
    if size == TICK_SIZE:
        return tuple(_tick(dice, number) for number in range(count))
    return tuple(_orders(dice, size, 1000 * number) for number in range(count))
