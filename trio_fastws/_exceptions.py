"""What a caller can catch. Everything else is one of trio's own exceptions.

One class for each thing that a caller can react to: the connection is lost
(`ConnectionBroken`), it could not be opened (`HandshakeError`, of the protocol), the
server said no (`HandshakeRefused`, one of those), the URL is wrong (`InvalidURL`, of
the protocol). A clean end is `trio.EndOfChannel`, our own close is
`trio.ClosedResourceError`. Ours can be pickled and copied with their attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import trio

from trio_fastws._protocol.errors import HandshakeError

if TYPE_CHECKING:
    from trio_fastws._protocol.codes import CloseFrame
    from trio_fastws._protocol.handshake.response import Response

Error = TypeVar("Error", bound=Exception)
# Attribute of an exception that reports the end of a connection: its number.
_ENDED = "_trio_fastws_ended"
# Of one that the user's code did not catch: where that was.
_WHERE = "_trio_fastws_where"


class ConnectionBroken(trio.BrokenResourceError):
    """The peer is gone, or closed with a code that is not a clean end.

    Attributes:
        close_code: The peer's close code, ours if we failed the connection, or
            1006 if it was lost without a Close frame (RFC 6455 7.1.5).
        close_reason: The reason that came with it, or what happened.
        close_sent: As `WebSocket.close_sent`, which may be out of reach where this is
            caught: the Close of this side, or None.
        close_received: As `WebSocket.close_received`: the peer's Close, or None.
    """

    def __init__(self, close_code: int, close_reason: str) -> None:
        super().__init__(close_code, close_reason)
        self.close_code = close_code
        self.close_reason = close_reason
        self.close_sent: CloseFrame | None = None
        self.close_received: CloseFrame | None = None

    def __str__(self) -> str:
        return f"connection closed with code {self.close_code}: " + (
            self.close_reason or "no reason given"
        )


class HandshakeRefused(HandshakeError):  # noqa: N818 - it is the server's answer
    """The server answered the opening handshake, but did not accept it.

    Attributes:
        response: Its answer: status, headers and at most 64 KiB of body; only what
            could be read of one that is cut off, malformed or over a limit. None
            if what came was not HTTP; then `status` is 0.
    """

    def __init__(self, reason: str, response: Response | None) -> None:
        if response is None:
            super().__init__(0, reason)
        else:
            super().__init__(response.status, reason, response.headers.items())
        self.response = response

    def __str__(self) -> str:
        # The server's status is in there.
        return self.reason

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickled from `args` alone it would lack the response.
        return type(self), (self.reason, self.response), vars(self)


class UnreachableError(HandshakeError, OSError):
    """No connection to the server: its name is unknown, or nobody answers there."""

    def __init__(self, reason: str, number: int | None) -> None:
        super().__init__(0, reason)
        self.errno = number

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.errno), vars(self)


class TLSHandshakeError(HandshakeError, trio.BrokenResourceError):
    """The TLS handshake has failed; the cause says why."""


class OpeningTimeoutError(HandshakeError, trio.TooSlowError):
    """Opening the connection took longer than `Timeouts.handshake`."""


def telling_end(error: Error, connection: int) -> Error:
    """Return ``error``, marked as the report of the end of that connection."""
    vars(error)[_ENDED] = connection
    return error


def tells_end(error: BaseException, connection: int, gone: bool) -> bool:
    """Return whether an exception only reports that a connection is over.

    Args:
        error: What the user's code did not catch; of a group, all members must.
        connection: Its number.
        gone: Whether the peer has ended it. Then what the user has tied to it (a
            stream, a memory channel) ends with it, and raises trio's exceptions.
    """
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(tells_end(inner, connection, gone) for inner in group.exceptions)
    if vars(error).get(_ENDED) == connection:
        return True
    return gone and isinstance(
        error,
        trio.BrokenResourceError | trio.EndOfChannel | trio.ClosedResourceError,
    )


def note_where(error: BaseException, where: str) -> None:
    """Note in which of the user's functions an exception was not caught."""
    vars(error)[_WHERE] = where


def get_where(error: BaseException) -> str:
    """Return what `note_where` has noted, or words for an exception without a note."""
    return str(vars(error).get(_WHERE, "code of the user's"))
