"""Who is given up, when, and what is said of it: the deadlines of a connection.

Liveness is judged from both directions. Any byte of the peer is life, and so is
any that its system takes of ours: a peer that reads a large message slowly cannot
answer the Ping behind it. So before somebody is given up the system is asked what
it holds still (`Link.unacknowledged`), and what has moved since it was asked last.

While reading is paused the peer cannot be heard, and its acknowledgements are all
there is. A peer that is gone answers our Ping with a reset.

Called at deadlines, not for messages: nothing here need be fast.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .inbox import BY_BUDGET, BY_OUTBOX

if TYPE_CHECKING:
    from trio_fastws._transport.contract import Link

    from .connection import Connection
    from .outbox import Outbox

# How often the system is asked before a deadline; a peer that takes its last byte
# right after we asked has up to so much more time.
LOOKS = 4
# That deadline is long enough to be looked at in the middle only.
STALL_LOOKS = 2
# And once early, if it was not known at first where the peer was.
EARLY = 16
LOST = "the connection was lost without a Close frame"


def first_look(outbox: Outbox, seconds: float) -> float:
    """Return when to look at a stalled outbox that may stall for so long."""
    return outbox.since + seconds / (EARLY if outbox.acknowledged < 0 else STALL_LOOKS)


class Probe:
    """Pings that were not answered yet, made when the first of them is sent.

    Attributes:
        since: From when on the peer could have answered and has not, in seconds.
        moved: Whether that is when it was last seen to take something, and not when
            it was asked.
    """

    __slots__ = ("_behind", "_first", "_last", "_left", "_taken", "moved", "since")

    def __init__(self, now: float) -> None:
        self._first = self._last = self.since = now
        self.moved = False
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
        return b"+%d" % offset if offset > 0 else b""

    def due(self, interval: float) -> float:
        """Return when the next Ping should leave."""
        return self._last + interval

    def round_trip(self, payload: bytes, now: float) -> float:
        """Return how long a Pong took; nan if it answers none of our Pings."""
        if not payload:
            return now - self._first
        if payload[:1] != b"+" or not payload[1:].isdigit() or len(payload) > 20:
            return math.nan
        sent = self._first + int(payload[1:]) / 1e6
        return now - sent if sent <= self._last + 1e-6 else math.nan

    def is_last(self, payload: bytes) -> bool:
        """Return whether that was the answer to the latest Ping."""
        return payload == self._latest()

    def look(self, link: Link, waiting: bool, deaf: bool, now: float) -> None:
        """Ask the system what has become of what we sent.

        Args:
            link: Where it was sent.
            waiting: Whether something has not even been taken by the link.
            deaf: Whether nothing is read, so that no answer can be seen.
            now: The time.
        """
        held = waiting or link.unacknowledged() > 0
        taken = link.acknowledged()
        if taken > self._taken:
            self._taken = taken
            if held or self._behind:
                self.since = now
                self.moved = True
        if not held:
            self._behind = False
        if deaf and not (held and link.is_lost()):
            # No answer could be read, but it has our Ping, or has no room for it.
            self.since = now

    def consumed(self, left: object, now: float) -> None:
        """Note what our own side has left unreceived of a peer that is gone."""
        if left != self._left:
            self._left = left
            self.since = now


def on_deadline(ws: Connection, now: float) -> float:
    """Do what is due; return when to be called again, `math.inf` for never."""
    shared = ws._shared
    if ws._finished:
        return math.inf
    if ws._closing:
        if now < ws._since:
            return ws._since
        seconds = shared.close_seconds
        ws._abort(f"no closing handshake within {seconds:g} s (Timeouts.close)")
        return math.inf
    if ws._hung:
        return _check_leftovers(ws, now)
    stall = consumer = math.inf
    outbox = ws._outbox
    if outbox is not None and outbox.blocked:
        stall = _check_stall(ws, outbox, now)
    if ws._paused & ~(BY_OUTBOX | BY_BUDGET):
        consumer = _check_consumer(ws, now)
    return min(stall, consumer, _keepalive(ws, now))


def _check_stall(ws: Connection, outbox: Outbox, now: float) -> float:
    link, seconds = ws._link, ws._shared.write_stall
    if link is None or seconds == math.inf:
        return math.inf
    if outbox.acknowledged < 0:
        outbox.acknowledged = link.acknowledged(True)
    else:
        outbox.look(link, now)
    if now < outbox.since + seconds:
        return min(outbox.since + seconds, now + seconds / STALL_LOOKS)
    ws._abort(f"the peer took no byte for {seconds:g} s (Timeouts.write_stall)")
    return math.inf


def _check_consumer(ws: Connection, now: float) -> float:
    # Paused: it is our own side that is slow.
    seconds = ws._shared.slow_consumer
    if now < ws._since + seconds or ws._closing:
        return ws._since + seconds
    reason = f"messages were not received for {seconds:g} s (Timeouts.slow_consumer)"
    ws._set_result(1008, reason)
    ws._start_close(1008, reason)
    return math.inf


def _check_leftovers(ws: Connection, now: float) -> float:
    # The peer is gone. What it sent is kept for whoever receives it, but the
    # descriptor only as long as somebody does.
    if ws._paused == 0:
        return math.inf  # what comes ends it
    seconds = ws._shared.close_seconds
    probe = ws._probe
    if probe is None:
        probe = ws._probe = Probe(now)
    probe.consumed((ws._endpoint.messages_received, ws._inbox_size), now)
    if now < probe.since + seconds:
        return min(probe.since + seconds, now + seconds / LOOKS)
    ws._abort(f"{LOST}, and nothing received for {seconds:g} s (Timeouts.close)")
    return math.inf


def _keepalive(ws: Connection, now: float) -> float:
    shared, link, probe = ws._shared, ws._link, ws._probe
    if ws._closing or link is None:
        return math.inf
    outbox = ws._outbox
    interval, timeout = shared.ping_interval, shared.ping_timeout
    if probe is None or probe.since <= ws._heard:
        # It has been heard since it was asked, if ever.
        due = ws._heard + interval
        if now < due:
            return due
        ask(ws, now)
        return min(now + interval, now + timeout / LOOKS)
    deaf = ws._paused != 0
    blocked = outbox is not None and outbox.blocked
    probe.look(link, outbox is not None, deaf, now)
    if now >= probe.since + timeout:
        ws._abort(_silence(ws, probe, now))
        return math.inf
    due = probe.due(interval)
    if now >= due:
        due = now + interval
        if not blocked:
            ws._commit_control(ws._endpoint.encode_ping(probe.next_ping(now)), False)
    return min(due, probe.since + timeout, now + timeout / LOOKS)


def ask(ws: Connection, now: float) -> None:
    """Ping a peer that was not asked since it was heard last."""
    link = ws._link
    if link is None:
        return
    if ws._probe is None:
        ws._probe = Probe(now)
    probe = ws._probe
    probe.begin(link, ws._outbox is not None, now)
    ws._commit_control(ws._endpoint.encode_ping(probe.next_ping(now)), False)


def _silence(ws: Connection, probe: Probe, now: float) -> str:
    option = "(Timeouts.ping_timeout)"
    seconds = f"{now - probe.since:.3g} s"
    if ws._paused != 0:
        what = "it last took one" if probe.moved else "a ping"
        return f"the peer acknowledged no byte for {seconds} after {what} {option}"
    # Or since the connection was opened: the first Ping comes early.
    silence = f"no byte from the peer for {now - max(ws._heard, ws._since):.3g} s"
    what = "it last took one of ours" if probe.moved else "a ping"
    return f"{silence}, {seconds} after {what} {option}"
