"""Pings and Pongs of ours, postponed until a compressed message has ended.

The reason: see `MessageEncoder.postpone`. When the message takes too long they leave
between two of its fragments.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trio_fastws._transport.wheel import Timer

if TYPE_CHECKING:
    from trio_fastws._protocol.controls import WaitingControls

    from .sending import Sender


def commit_control(ws: Sender, frame: bytes, is_pong: bool) -> None:
    """Send a Ping or a Pong, past every policy."""
    endpoint = ws._endpoint
    if not endpoint.dividing:
        ws._commit(frame)
        return
    waiting = endpoint.postpone(frame, is_pong)
    if waiting is not None:
        dispatcher, seconds = ws._shared.dispatcher, ws._shared.postpone_seconds
        dispatcher.schedule(Postponed(ws, waiting), dispatcher.time() + seconds)


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
        commit_control(ws, pong, True)


class Postponed(Timer):
    """The deadline of the control frames that wait on one connection."""

    __slots__ = ("_waiting", "_ws")

    def __init__(self, ws: Sender, waiting: WaitingControls) -> None:
        super().__init__()
        self._ws = ws
        self._waiting = waiting

    def _on_deadline(self, now: float) -> float:
        """See `Timer._on_deadline`."""
        ws = self._ws
        # RFC 6455 5.5.1: MUST NOT send any more frames after a Close
        if ws._link is not None and not ws._endpoint.close_sent:
            frames = ws._endpoint.take_postponed(self._waiting)
            if frames:  # else they have left behind the message
                ws._commit(frames)
        return math.inf
