"""When a peer is given up, and with which reason: the deadlines of a connection.

Liveness is judged from both directions; see `probe`. While reading is paused the peer
cannot be heard, and its acknowledgements are all there is. A peer that is gone answers
our Ping with a reset.

Called at deadlines, not for messages: nothing here need be fast.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from trio_fastws._protocol.controls import PING
from trio_fastws._transport.logs import log

from .closing import CLOSED, CLOSING, RESET, WITHOUT_CLOSE
from .inbox import BY_BUDGET, BY_OUTBOX, BY_TASKS
from .postponed import commit_control
from .probe import Probe

if TYPE_CHECKING:
    from .outbox import Outbox
    from .sending import Sender

# How often the system is polled before a deadline; a peer that takes its last byte
# right after that has up to so much more time.
POLLS = 4
# That deadline is long enough to poll in the middle only.
STALL_POLLS = 2
# And once early, if what the peer had taken was not known when the outbox was blocked.
EARLY = 16


def watch_stall(ws: Sender, outbox: Outbox) -> None:
    """Schedule the first poll of an outbox that is blocked from now on."""
    seconds = ws._shared.write_stall
    if seconds < math.inf:
        progress = outbox.progress
        early = progress is not None and progress.taken < 0
        polls = EARLY if early else STALL_POLLS
        ws._shared.dispatcher.schedule(ws, outbox.since + seconds / polls)


def ask_soon(ws: Sender) -> None:
    """Ping a peer that may be gone, and check soon whether it has taken that."""
    dispatcher = ws._shared.dispatcher
    ask(ws, dispatcher.time())
    dispatcher.schedule(ws, dispatcher.now + ws._shared.ping_timeout / POLLS)


def on_pong(ws: Sender, payload: bytes) -> None:
    """Note a Pong, which may be the answer to a Ping of ours or of a task's."""
    dispatcher = ws._shared.dispatcher
    probe = ws._probe
    if probe is not None:
        seconds = probe.round_trip(payload, dispatcher.now)
        if seconds >= 0:
            ws._latency = seconds
        if probe.is_last(payload):
            ws._probe = None
    if ws._waiters is not None:
        dispatcher.woken = True
        ws._waiters.on_pong(payload, dispatcher.now)


def on_deadline(ws: Sender, now: float) -> float:
    """Do what is due; return when to be called again, `math.inf` for never."""
    state, closing = ws._state, ws._closing
    if state == CLOSED:
        return math.inf
    if state >= CLOSING and closing is not None:
        if now < closing.deadline:
            return closing.deadline
        seconds = ws._shared.close_seconds
        ws._abort(f"no closing handshake within {seconds:g} s (Timeouts.close)")
        return math.inf
    if state == RESET:
        return _check_leftovers(ws, now)
    stall = consumer = math.inf
    outbox = ws._outbox
    if outbox is not None and outbox.blocked:
        stall = _check_stall(ws, outbox, now)
    if ws._paused & ~(BY_OUTBOX | BY_BUDGET):
        consumer = _check_consumer(ws, now)
    if ws._paused & BY_TASKS:
        _warn_of_tasks(ws, now)
    return min(stall, consumer, _keepalive(ws, now))


def _check_stall(ws: Sender, outbox: Outbox, now: float) -> float:
    link, seconds = ws._link, ws._shared.write_stall
    if link is None or seconds == math.inf:
        return math.inf
    if outbox.progress is not None and outbox.progress.taken < 0:
        outbox.progress.mark(link)
    else:
        outbox.poll(link, now)
    if now < outbox.since + seconds:
        return min(outbox.since + seconds, now + seconds / STALL_POLLS)
    ws._abort(f"the peer took no byte for {seconds:g} s (Timeouts.write_stall)")
    return math.inf


def _check_consumer(ws: Sender, now: float) -> float:
    # Paused: it is our own side that is slow.
    seconds = ws._shared.slow_consumer
    if now < ws._since + seconds or ws._state >= CLOSING:
        return ws._since + seconds
    what = "messages were not received for"
    if ws._paused & BY_TASKS:
        what = f"{ws._shared.tasks} tasks or more ran (Limits.tasks) for"
    reason = f"{what} {seconds:g} s (Timeouts.slow_consumer)"
    ws._start_close(1008, reason, (1008, reason))
    return math.inf


def _warn_of_tasks(ws: Sender, now: float) -> None:
    # Tasks that live as long as the connection would keep it silent, and nobody knows
    # why. Called at the deadlines of the keepalive at the latest.
    waiters, seconds = ws._waiters, now - ws._since
    if waiters is None or waiters.warned or seconds < ws._shared.ping_interval:
        return
    waiters.warned = True
    message = "no message was taken for %.3g s, because %d tasks run (Limits.tasks)"
    log(logging.WARNING, ws, message, seconds, len(waiters.scopes))


def _check_leftovers(ws: Sender, now: float) -> float:
    # The peer is gone. What it sent is kept for whoever receives it, but the
    # descriptor only as long as somebody does.
    if ws._paused == 0:
        return math.inf  # what comes ends it
    seconds = ws._shared.close_seconds
    probe = ws._probe
    if probe is None:
        probe = ws._probe = Probe(now)
    size = 0 if ws._inbox is None else ws._inbox.size
    probe.consumed((ws._endpoint.messages_received, size), now)
    if now < probe.since + seconds:
        return min(probe.since + seconds, now + seconds / POLLS)
    unread = f"nothing received for {seconds:g} s (Timeouts.close)"
    ws._abort(f"{WITHOUT_CLOSE}, and {unread}")
    return math.inf


def _keepalive(ws: Sender, now: float) -> float:
    shared, link, probe = ws._shared, ws._link, ws._probe
    if ws._state >= CLOSING or link is None:
        return math.inf
    outbox = ws._outbox
    interval, timeout = shared.ping_interval, shared.ping_timeout
    if probe is None or probe.since <= ws._heard:
        # It has been heard since it was asked, if ever.
        due = ws._heard + interval
        if now < due:
            return due
        ask(ws, now)
        return min(now + interval, now + timeout / POLLS)
    deaf = ws._paused != 0
    blocked = outbox is not None and outbox.blocked
    probe.poll(link, outbox is not None, deaf, now)
    if now >= probe.since + timeout:
        ws._abort(_silence(ws, probe, now))
        return math.inf
    due = probe.due(interval)
    if now >= due:
        due = now + interval
        if not blocked:
            commit_control(ws, PING, ws._endpoint.encode_ping(probe.next_ping(now)))
    return min(due, probe.since + timeout, now + timeout / POLLS)


def ask(ws: Sender, now: float) -> None:
    """Ping a peer that was not asked since it was heard last."""
    link = ws._link
    if link is None:
        return
    if ws._probe is None:
        ws._probe = Probe(now)
    probe = ws._probe
    probe.begin(link, ws._outbox is not None, now)
    commit_control(ws, PING, ws._endpoint.encode_ping(probe.next_ping(now)))


def _silence(ws: Sender, probe: Probe, now: float) -> str:
    option = "(Timeouts.ping_timeout)"
    seconds = f"{now - probe.since:.3g} s"
    if ws._paused != 0:
        what = "it last took one" if probe.moved else "a ping"
        return f"the peer acknowledged no byte for {seconds} after {what} {option}"
    # Or since the connection was opened: the first Ping comes early.
    silence = f"no byte from the peer for {now - max(ws._heard, ws._since):.3g} s"
    what = "it last took one of ours" if probe.moved else "a ping"
    return f"{silence}, {seconds} after {what} {option}"
