"""Tasks that wait on one connection, or live as long as it does.

Made when a connection first needs it: tasks that wait for room, for a Pong or for the
end, and the scopes of tasks that end with the connection. Woken by `connection`,
parked by `parking` and `websocket`. Whoever waits here is woken when the transport
dies: nothing in this library waits for a peer without end.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from trio_fastws._transport.lifetimes import cancel

if TYPE_CHECKING:
    from trio_fastws._transport.contract import Link

    from .outbox import Outbox


class PingWait:
    """One Ping that somebody waits to see answered."""

    __slots__ = ("answered", "event", "sent")

    def __init__(self, sent: float) -> None:
        self.event = trio.Event()
        self.sent = sent
        self.answered = math.nan


class FlushWait:
    """One `WebSocket.flush`, and how far that has come which it waits for.

    What others send meanwhile is not waited for: messages are counted until they are
    encoded, then bytes until they are with the link, and until that has passed them on.
    """

    __slots__ = ("_messages", "_outbox", "_passed_on", "_written", "done", "event")

    def __init__(self, outbox: Outbox | None) -> None:
        self.event = trio.Event()
        self.done = False
        self._outbox = outbox
        # What the counters of the outbox and of the link have to reach; -1: not known.
        self._messages = 0
        if outbox is not None:
            pending = 0 if outbox.pending is None else len(outbox.pending)
            self._messages = outbox.finished + outbox.skipped + pending
            if outbox.rest is not None:
                self._messages += 1
        self._written = -1
        self._passed_on = -1

    def check(self, outbox: Outbox | None, link: Link) -> bool:
        """Return whether all is with the system, and note how far it is."""
        if link.broken:
            return False  # it drops what it takes
        if self._passed_on < 0:
            if outbox is not None and outbox is self._outbox:
                if outbox.finished < self._messages:
                    return False
                if self._written < 0:
                    self._written = outbox.written + outbox.wire_size
                if outbox.written < self._written:
                    return False
            self._passed_on = link.passed_on(True)
        self.done = link.passed_on() >= self._passed_on
        return self.done

    def is_cut_off(self, outbox: Outbox | None) -> bool:
        """Return whether something was dropped because the connection ends."""
        return (
            outbox is not None
            and outbox is self._outbox
            and outbox.finished < self._messages
            and outbox.pending is None
            and outbox.rest is None
        )


class Waiters:
    """The parked tasks of one connection."""

    __slots__ = (
        "closers",
        "flushes",
        "granted",
        "handler_scope",
        "pings",
        "scopes",
        "senders",
        "serial",
        "warned",
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
        self.flushes: list[FlushWait] = []
        self.serial = 0
        self.scopes: set[trio.CancelScope] = set()
        # Whether it was logged that these keep messages waiting.
        self.warned = False
        self.handler_scope: trio.CancelScope | None = None

    def crowded(self) -> bool:
        """Return whether a new sender has to wait for others."""
        return self.writing or self.granted > 0 or len(self.senders) > 0

    def room(self) -> None:
        """Let the next sender go on, or the one that sends piece by piece."""
        if self.writing:
            self.writer.unpark_all()
        elif self.granted == 0 and len(self.senders) > 0:
            self.granted = 1
            self.senders.unpark()

    def wake(self, closed: bool) -> None:
        """Wake whoever cannot get what it waits for any more.

        Args:
            closed: Whether the connection is over, for which others wait.
        """
        self.granted += len(self.senders)
        self.senders.unpark_all()
        self.writer.unpark_all()
        for ping in self.pings.values():
            ping.event.set()
        self.pings.clear()
        if closed:
            self.closers.unpark_all()

    def add_ping(self, payload: bytes, now: float) -> tuple[bytes, PingWait]:
        """Return the payload of a Ping that leaves now, and what waits for its Pong.

        Never empty: an empty payload marks the keepalive's pings.

        Args:
            payload: What it is to be; empty: one that no other Ping has.
            now: The time.

        Raises:
            ValueError: Another Ping has it, and was not answered yet.
        """
        if payload in self.pings:
            raise ValueError(f"a ping with payload {payload!r} is unanswered still")
        while not payload or payload in self.pings:
            self.serial += 1
            payload = b"%d" % self.serial
        ping = self.pings[payload] = PingWait(now)
        return payload, ping

    def forget_ping(self, payload: bytes, ping: PingWait) -> None:
        """Remove a Ping for which nobody waits any more, if it was not answered.

        Its payload may be that of another one by now.
        """
        if self.pings.get(payload) is ping:
            del self.pings[payload]

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

    def check_flushes(self, outbox: Outbox | None, link: Link) -> bool:
        """Wake those whose messages are with the system; return whether there are."""
        left = [wait for wait in self.flushes if not wait.check(outbox, link)]
        return self._keep_flushes(left)

    def fail_flushes(self, outbox: Outbox | None, lost: bool) -> bool:
        """Wake those whose messages will not be written; return whether there are.

        Args:
            outbox: What is left of it.
            lost: Whether nothing at all will be.
        """
        left = [] if lost else [w for w in self.flushes if not w.is_cut_off(outbox)]
        return self._keep_flushes(left)

    def _keep_flushes(self, left: list[FlushWait]) -> bool:
        before, self.flushes = self.flushes, left
        for wait in before:
            if wait not in left:
                wait.event.set()
        return len(left) < len(before)

    def cancel_handler(self, why: str) -> None:
        """Cancel a handler that asked for it when its peer is gone.

        Args:
            why: For a person; see `cancel`.
        """
        if self.handler_scope is not None:
            cancel(self.handler_scope, why)

    def cancel_tasks(self, why: str) -> None:
        """Cancel every task that belongs to the connection.

        Args:
            why: For a person; see `cancel`.
        """
        for scope in self.scopes:
            cancel(scope, why)
