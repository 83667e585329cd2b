"""The value with which a parked task is woken."""

from __future__ import annotations

from typing import Any

import outcome


class _Ready(outcome.Outcome[None]):
    """`outcome.Value(None)` that can be used again: making one costs a microsecond."""

    __slots__ = ()

    def unwrap(self) -> None:
        """Return None, which the task gets."""

    def send(self, gen: Any) -> Any:
        """Send None to a generator."""
        return gen.send(None)

    async def asend(self, agen: Any) -> Any:
        """Send None to an asynchronous generator."""
        return await agen.asend(None)


READY = _Ready()
