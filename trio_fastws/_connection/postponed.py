"""Pings and Pongs of ours: past every policy, and behind a compressed message.

The reason: see `MessageEncoder.postpone`. When the message takes too long they leave
between two of its fragments.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from trio_fastws._protocol.controls import ANSWER, HEARTBEAT
from trio_fastws._transport.contract import CORK_SIZE
from trio_fastws._transport.wheel import Timer

from .closing import OPEN

if TYPE_CHECKING:
    from .sending import Sender


def commit_control(ws: Sender, kind: int, frame: bytes) -> None:
    """Send a Ping or a Pong, past every policy.

    Args:
        ws: The connection.
        kind: As for `WaitingControls.add`.
        frame: The frame.
    """
    endpoint = ws._endpoint
    if not endpoint.dividing:
        ws._commit(frame)
        return
    if endpoint.postpone(kind, frame):
        shared = ws._shared
        if shared.postponed is None:
            shared.postponed = PostponedControls()
        deadline = shared.dispatcher.time() + shared.postpone_seconds
        shared.postponed.add(ws, deadline)


def answer_ping(ws: Sender, pong: bytes) -> None:
    """Send the answer to a Ping, or postpone it until the peer reads."""
    outbox = ws._outbox
    if (
        outbox is not None
        and outbox.size() > ws._shared.high_water
        and not ws._endpoint.dividing
    ):
        outbox.postpone_pong(pong)
    elif pong:
        commit_control(ws, ANSWER, pong)


def send_heartbeat(ws: Sender, payload: bytes) -> None:
    """Send a Pong that answers nothing, as long as the peer reads at all.

    Raises:
        trio.WouldBlock: `Sending.hard_limit` bytes wait.
        trio.ClosedResourceError: This side has closed the connection. Not when
            another connection's hook is running, nor is the next.
        ConnectionBroken: The connection is gone.
    """
    dispatcher = ws._shared.dispatcher
    if ws._state != OPEN:
        speaker = dispatcher.contexts.running.owner
        if speaker is None or speaker is ws:
            ws._check_open()
        return
    outbox = ws._outbox
    if outbox is not None and outbox.size() >= ws._shared.hard_limit:
        raise trio.WouldBlock
    commit_control(ws, HEARTBEAT, ws._endpoint.encode_pong(payload))
    if dispatcher.corked is ws and dispatcher.cork_size >= CORK_SIZE:
        ws._uncork(dispatcher)  # a hook that sends many


class PostponedControls(Timer):
    """The deadlines of the control frames that wait, of all connections of a server.

    One for each connection, whatever its peer does: a later one replaces it, because
    what waited before has left behind the end of its message.
    """

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        super().__init__()
        # In order, for all wait equally long.
        self._deadlines: dict[Sender, float] = {}

    def add(self, ws: Sender, deadline: float) -> None:
        """Let what waits on a connection leave at ``deadline`` if it has not yet."""
        if not self._deadlines:
            ws._shared.dispatcher.schedule(self, deadline)
        self._deadlines.pop(ws, None)
        self._deadlines[ws] = deadline

    def _on_deadline(self, now: float) -> float:
        """See `Timer._on_deadline`."""
        for ws, deadline in tuple(self._deadlines.items()):
            if deadline > now:
                return deadline
            del self._deadlines[ws]
            # RFC 6455 5.5.1: MUST NOT send any more frames after a Close
            if ws._link is not None and not ws._endpoint.close_sent:
                frames = ws._endpoint.take_postponed()
                if frames:  # else they have left behind the message
                    ws._commit(frames)
        return math.inf
