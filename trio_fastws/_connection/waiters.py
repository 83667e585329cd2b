"""What only some connections need, made when first used.

Tasks that wait for room, for a Pong or for the end, and the scopes of tasks
that end with the connection. Woken by the synchronous half (`_connection`),
parked by the asynchronous one (`_websocket`). Whoever waits here is woken when
the transport dies: nothing in this library waits for a peer without end.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from .held import HeldFrames


class PingWait:
    """One Ping that somebody waits to see answered."""

    __slots__ = ("answered", "event", "sent")

    def __init__(self, sent: float) -> None:
        self.event = trio.Event()
        self.sent = sent
        self.answered = math.nan


class Waiting:
    """The parked tasks of one connection."""

    __slots__ = (
        "closers",
        "granted",
        "handler_scope",
        "held",
        "pings",
        "scopes",
        "senders",
        "serial",
        "skipping",
        "writer",
        "writing",
    )

    def __init__(self) -> None:
        # Tasks in `send`, first come, first served.
        self.senders = trio.lowlevel.ParkingLot()
        # Those of them that were woken and have not run yet: their room is
        # theirs, or a latecomer could take it again and again.
        self.granted = 0
        # A message is being sent piece by piece; others wait.
        self.writing = False
        self.writer = trio.lowlevel.ParkingLot()
        self.closers = trio.lowlevel.ParkingLot()
        self.pings: dict[bytes, PingWait] = {}
        self.serial = 0
        # Control frames that wait for the end of a compressed message.
        self.held: HeldFrames | None = None
        self.scopes: set[trio.CancelScope] = set()
        self.handler_scope: trio.CancelScope | None = None
        # The rest of a message is thrown away: its stream was left early.
        self.skipping = False

    def crowded(self) -> bool:
        """Return whether a new sender has to queue behind others."""
        return self.granted > 0 or len(self.senders) > 0

    def room(self) -> None:
        """Let the next sender go on, or the one that sends piece by piece."""
        if self.writing:
            self.writer.unpark_all()
        elif self.granted == 0 and len(self.senders) > 0:
            self.granted = 1
            self.senders.unpark()

    def wake(self, finished: bool) -> None:
        """Wake whoever cannot get what it waits for any more."""
        self.granted += len(self.senders)
        self.senders.unpark_all()
        self.writer.unpark_all()
        for ping in self.pings.values():
            ping.event.set()
        self.pings.clear()
        if finished:
            self.closers.unpark_all()

    def on_pong(self, payload: bytes, now: float) -> None:
        """Wake the Ping that is answered, and those sent before it.

        RFC 6455 5.5.3: an endpoint may answer only the latest of several Pings.
        """
        if payload not in self.pings:
            return
        for earlier in list(self.pings):
            ping = self.pings.pop(earlier)
            ping.answered = now
            ping.event.set()
            if earlier == payload:
                return

    def cancel_handler(self) -> None:
        """Cancel a handler that asked for it when its peer is gone."""
        if self.handler_scope is not None:
            self.handler_scope.cancel()

    def end(self) -> None:
        """Cancel every task that belongs to the connection."""
        for scope in self.scopes:
            scope.cancel()
