"""How a connection ends: its states, what leads from one to the next, what is left.

Owns the order of things. A connection is *open* until one side begins the closing
handshake (RFC 6455 7.1.2), or fails the connection, or the transport is lost. What a
state means:

open         Messages go both ways.
reset        The peer has reset the connection while reading was paused. What came
             before can still be received; nothing can be sent.
closing      Our Close is queued or on its way, behind what was sent before it. Nothing
             is delivered any more; the peer's Close is waited for.
ending       Both Closes were exchanged, or the connection has failed. What is committed
             is written, then the transport ends.
half-closed  The same, and the peer has ended its direction (TCP's FIN).
closed       Nothing happens any more.

Knows neither tasks nor links: `connection` acts on a change of state.
"""

from __future__ import annotations

import trio

from trio_fastws._exceptions import ConnectionBroken
from trio_fastws._protocol.codes import CloseFrame

# In the order in which they are passed, so that "closing at least" is a comparison.
OPEN, RESET, CLOSING, ENDING, HALF_CLOSED, CLOSED = range(6)
STATES = ("open", "reset", "closing", "ending", "half-closed", "closed")

# What happens, and what the diagram in docs/design.md calls it.
EVENTS = {
    # This side queues a Close.
    "close": "we close",
    # A Close has come, or this side fails the connection (RFC 6455 7.1.7).
    "over": "Close received, or failed",
    # The peer has ended its direction (FIN) while something was being written to it.
    "eof": "FIN",
    # The peer has reset the connection while reading was paused.
    "reset": "reset",
    # Everything is written, and the peer need not end the transport first.
    "written": "all written",
    # The transport has ended, or is given up.
    "lost": "lost",
}
CLOSE, OVER, EOF, HANGUP, WRITTEN, LOST = EVENTS

# The reason of an end that no Close frame has announced.
WITHOUT_CLOSE = "the connection was lost without a Close frame"

# What is not in it cannot happen. docs/design.md shows it as a diagram.
TRANSITIONS: dict[int, dict[str, int]] = {
    OPEN: {CLOSE: CLOSING, OVER: ENDING, HANGUP: RESET, LOST: CLOSED},
    RESET: {OVER: ENDING, LOST: CLOSED},
    CLOSING: {OVER: ENDING, EOF: HALF_CLOSED, LOST: CLOSED},
    # Failed again: the first reason stands.
    ENDING: {OVER: ENDING, EOF: HALF_CLOSED, WRITTEN: CLOSED, LOST: CLOSED},
    HALF_CLOSED: {
        OVER: HALF_CLOSED,
        EOF: HALF_CLOSED,
        WRITTEN: CLOSED,
        LOST: CLOSED,
    },
    CLOSED: {},
}


def follow(state: int, event: str) -> int:
    """Return the state that an event leads to.

    Raises:
        AssertionError: It cannot happen in that state: a bug of ours.
    """
    following = TRANSITIONS[state].get(event)
    assert following is not None, f"{event} while {STATES[state]}"
    return following


class Closing:
    """What is known of the end of a connection, from its beginning on.

    Attributes:
        code: The close code as applications see it (RFC 6455 7.1.5); None as long
            as it is open how this ends.
        reason: What came with it, or what happened.
        by_user: Whether the application has closed this side.
        first: Whether our Close came before the peer's, whoever wanted it.
        sent: The Close of this side, queued or sent; None if there was none.
        received: The Close of the peer; None if none has come.
        reset: Whether the peer has reset the connection.
        deadline: When the closing handshake is given up.
    """

    __slots__ = (
        "by_user",
        "code",
        "deadline",
        "first",
        "reason",
        "received",
        "reset",
        "sent",
    )

    def __init__(self) -> None:
        self.code: int | None = None
        self.reason: str | None = None
        self.by_user = False
        self.first = False
        # As pairs: what makes a `CloseFrame` is Python, and few look at them.
        self.sent: tuple[int, str] | None = None
        self.received: tuple[int, str] | None = None
        self.reset = False
        self.deadline = 0.0

    def conclude(self, code: int, reason: str) -> None:
        """Note how it ends; what was noted first stands."""
        if self.code is None:
            self.code = code
            self.reason = reason

    def __str__(self) -> str:
        """Return how it ends, for a person."""
        if self.code is None:
            return "reset by the peer" if self.reset else "closing"
        return f"close code {self.code}" + (f", {self.reason!r}" if self.reason else "")

    def make_error(self) -> Exception:
        """Return the exception for whoever sends, or waits for an answer."""
        if self.by_user or (self.code is None and not self.reset):
            # Or the server did, when it shut down.
            return trio.ClosedResourceError("this side has closed the connection")
        if self.code is None:
            return ConnectionBroken(1006, "the peer has reset the connection")
        error = ConnectionBroken(self.code, self.reason or "")
        error.close_sent = self.get_sent()
        error.close_received = self.get_received()
        return error

    def get_sent(self) -> CloseFrame | None:
        """Return the Close of this side."""
        return None if self.sent is None else CloseFrame(*self.sent)

    def get_received(self) -> CloseFrame | None:
        """Return the Close of the peer."""
        return None if self.received is None else CloseFrame(*self.received)


def draw() -> str:
    """Return the table as a state diagram, in the language of Mermaid.

    Events that change nothing are left out, those that lead from one state to the same
    other one share an arrow.
    """
    # There a hyphen is part of an arrow.
    names = [state.replace("-", "_") for state in STATES]
    lines = ["stateDiagram-v2", f"    [*] --> {names[OPEN]}"]
    for state, following in TRANSITIONS.items():
        arrows: dict[int, list[str]] = {}
        for event, then in following.items():
            if then != state:
                arrows.setdefault(then, []).append(EVENTS[event])
        lines += [
            f"    {names[state]} --> {names[then]}: {' / '.join(labels)}"
            for then, labels in arrows.items()
        ]
    lines.append(f"    {names[CLOSED]} --> [*]")
    return "\n".join(lines)
