"""Control frames that wait: Pings and Pongs of ours which cannot leave yet.

Owns which of them are worth keeping. Refuses to know what they wait for.
"""

from __future__ import annotations


class WaitingControls:
    """Encoded Pings and one Pong, in no order of their own."""

    __slots__ = ("_pings", "_pong")

    def __init__(self) -> None:
        self._pings: list[bytes] = []
        self._pong = b""

    def add_ping(self, frame: bytes) -> None:
        """Keep a Ping."""
        self._pings.append(frame)

    def add_pong(self, frame: bytes) -> None:
        """Keep a Pong, instead of the one before.

        RFC 6455 5.5.3: an endpoint that has not yet answered several Pings may
        answer only the latest. Else a peer that pings and never reads could make
        this side queue Pongs without end.
        """
        self._pong = frame

    def join(self) -> bytes:
        """Return what waits, as it is to be written."""
        return self._pong + b"".join(self._pings)
