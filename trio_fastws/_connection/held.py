"""Control frames that wait for the end of a compressed message.

RFC 6455 5.4 lets them stand between its fragments, and RFC 7692 does too; but peers
that are built on wsproto or Tornado then take the rest of the message for garbage,
without an error. So a Ping or a Pong of ours waits for the last fragment, for a
bounded time: on a slow link a peer must not be left without an answer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trio_fastws._transport.wheel import Timer

if TYPE_CHECKING:
    from collections.abc import Callable


class HeldFrames(Timer):
    """What waits on one connection. Calls ``release`` when that is too long."""

    __slots__ = ("_pings", "_pong", "_release")

    def __init__(self, release: Callable[[], None]) -> None:
        super().__init__()
        self._release = release
        self._pings: list[bytes] = []
        self._pong = b""

    def add(self, data: bytes, is_pong: bool) -> None:
        """Hold a Ping, or a Pong instead of the one before.

        RFC 6455 5.5.3: an endpoint may answer only the latest of several Pings.
        """
        if is_pong:
            self._pong = data
        else:
            self._pings.append(data)

    def join(self) -> bytes:
        """Return what waits."""
        return self._pong + b"".join(self._pings)

    def _on_deadline(self, now: float) -> float:
        """See `Timer._on_deadline`."""
        self._release()
        return math.inf
