"""Pings and Pongs: what they may carry, and those of ours which cannot leave yet.

Owns which of them are worth keeping. Refuses to know what they wait for.
"""

from __future__ import annotations

from .buffers import copy_buffer

# The answer to a Ping, a Ping, and a Pong that answers nothing.
ANSWER, PING, HEARTBEAT = range(3)
# RFC 6455 5.5: All control frames MUST have a payload length of 125 bytes or less.
MOST_PAYLOAD = 125


def to_control_payload(value: object) -> bytes:
    """Return the payload of a Ping or a Pong; a mutable buffer is copied.

    Raises:
        TypeError: It is not bytes-like.
        ValueError: It is too long.
    """
    try:
        payload = value if type(value) is bytes else copy_buffer(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"payload must be bytes-like, not {kind}") from None
    check_control_size(len(payload))
    return payload


def check_control_size(size: int) -> None:
    """Check the size of a control frame's payload.

    Raises:
        ValueError: It is too long.
    """
    if size > MOST_PAYLOAD:
        raise ValueError(
            f"payload of {size} bytes is over the {MOST_PAYLOAD} of a control frame "
            "(RFC 6455 5.5)"
        )


class WaitingControls:
    """Encoded Pings, one answer and one heartbeat, in no order of their own."""

    __slots__ = ("_answer", "_heartbeat", "_pings")

    def __init__(self) -> None:
        self._pings: list[bytes] = []
        self._answer = b""
        self._heartbeat = b""

    def add(self, kind: int, frame: bytes) -> None:
        """Keep a frame: a Ping, or a Pong instead of the one of its kind before.

        RFC 6455 5.5.3: an endpoint that has not yet answered several Pings may
        answer only the latest. Else a peer that pings and never reads could make
        this side queue Pongs without end. Of heartbeats the latest tells as much.

        Args:
            kind: ANSWER, PING or HEARTBEAT.
            frame: The frame.
        """
        if kind == ANSWER:
            self._answer = frame
        elif kind == PING:
            self._pings.append(frame)
        else:
            self._heartbeat = frame

    def join(self) -> bytes:
        """Return what waits, as it is to be written."""
        return self._answer + self._heartbeat + b"".join(self._pings)
