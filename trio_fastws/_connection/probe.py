"""Pings that were not answered yet, and what the peer's system has made of them.

Liveness is judged from both directions. Any byte of the peer is life, and so is any
that its system takes of ours: a peer that reads a large message slowly cannot answer
the Ping behind it. So before a peer is given up the system is asked what it has not
delivered yet (`Link.unacknowledged`), and what has moved since it was asked last.
"""

from __future__ import annotations

import math
from random import getrandbits
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_fastws._transport.contract import Link


class Probe:
    """Pings that were not answered yet, made when the first of them is sent.

    Attributes:
        since: From when on the peer could have answered and has not, in seconds.
        moved: Whether that is when it was last seen to take something, and not when
            it was asked.
    """

    __slots__ = (
        "_behind",
        "_first",
        "_last",
        "_left",
        "_tag",
        "_taken",
        "moved",
        "since",
    )

    def __init__(self, now: float) -> None:
        self._first = self._last = self.since = now
        self.moved = False
        # In all payloads but the first: a program that chooses its own does not hit it.
        self._tag = b"+%08x" % getrandbits(32)
        # Whether something stands before the Ping that the peer has yet to take.
        self._behind = False
        # What its system had taken when it was asked last.
        self._taken = 0
        # What our own side had not received of a peer that is gone.
        self._left: object = None

    def begin(self, link: Link, waiting: bool, now: float) -> None:
        """Note that the peer is asked now, behind what was written before."""
        self.since = now
        self.moved = False
        self._taken = link.acknowledged()
        self._behind = waiting or link.unacknowledged() > 0

    def next_ping(self, now: float) -> bytes:
        """Return the payload of the next Ping, which leaves now.

        Empty for the first; for others, when it leaves: a peer may answer only the
        latest of several (RFC 6455 5.5.3).
        """
        self._last = now
        return self._latest()

    def _latest(self) -> bytes:
        offset = round((self._last - self._first) * 1e6)
        return b"%b%d" % (self._tag, offset) if offset > 0 else b""

    def due(self, interval: float) -> float:
        """Return when the next Ping should leave."""
        return self._last + interval

    def round_trip(self, payload: bytes, now: float) -> float:
        """Return how long a Pong took; nan if it answers none of our Pings."""
        if not payload:
            return now - self._first
        offset = payload.removeprefix(self._tag)
        if offset == payload or not offset.isdigit() or len(offset) > 20:
            return math.nan
        sent = self._first + int(offset) / 1e6
        return now - sent if sent <= self._last + 1e-6 else math.nan

    def is_last(self, payload: bytes) -> bool:
        """Return whether that was the answer to the latest Ping."""
        return payload == self._latest()

    def poll(self, link: Link, waiting: bool, deaf: bool, now: float) -> None:
        """Ask the system how much of what was sent the peer has taken.

        Args:
            link: Where it was sent.
            waiting: Whether something has not even been taken by the link.
            deaf: Whether nothing is read, so that no answer can be seen.
            now: The time.
        """
        behind = waiting or link.unacknowledged() > 0
        taken = link.acknowledged()
        if taken > self._taken:
            self._taken = taken
            if behind or self._behind:
                self.since = now
                self.moved = True
        if not behind:
            self._behind = False
        if deaf and not (behind and link.is_lost()):
            # No answer could be read, but it has our Ping, or has no room for it.
            self.since = now

    def consumed(self, left: object, now: float) -> None:
        """Note what our own side has left unreceived of a peer that is gone."""
        if left != self._left:
            self._left = left
            self.since = now
