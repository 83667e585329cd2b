# cython: annotation_typing=False
"""HTTP answers on their way: refused handshakes, and pages of `on_request`.

Owns a connection from the decision to its end. A client that reads steadily gets all of
an answer, however long that takes; one whose system acknowledges nothing for
`Timeouts.write_stall` is given up. Does not know requests and reasons.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from trio_fastws._connection.liveness import POLLS
from trio_fastws._transport.contract import Link, Owner
from trio_fastws._transport.linger import END_SECONDS, Linger
from trio_fastws._transport.logs import log
from trio_fastws._transport.progress import Progress

if TYPE_CHECKING:
    from .admission import Admission


class Answer(Owner):
    """An answer that is being written, behind which its connection ends."""

    __slots__ = ("_admission", "_out", "_progress")

    def __init__(self, admission: Admission, link: Link, data: bytes) -> None:
        """Write as much as the link takes; the rest when it takes more.

        Args:
            admission: Which counts it.
            link: Whose owner this becomes.
            data: All of the answer.
        """
        self._init_owner(link)
        self._admission = admission
        # Not copied: what a slow peer leaves is offered again and again.
        self._out: memoryview = memoryview(data)
        self._progress: Progress = Progress(link, link.dispatcher.time())
        admission.answers[self] = None
        self._on_writable()

    def _on_writable(self) -> None:
        """See `Owner._on_writable`: the rest of the answer."""
        link, out = self._link, self._out
        if link is None:
            return
        dispatcher = link.dispatcher
        admission, progress = self._admission, self._progress
        taken = link.write([out], len(out))  # type: ignore[list-item]
        if taken > 0:
            progress.since = dispatcher.time()
        self._out = out[taken:]
        if taken < len(out):
            link.want(False, True)
            due = progress.since + admission.shared.write_stall / POLLS
            dispatcher.schedule(self, due)
            return
        self._leave()
        if link.broken:
            link.close()
        else:
            Farewell(admission, link, progress)

    def _on_eof(self, error: OSError | None) -> None:
        """See `Owner._on_eof`: a peer that has no more to ask may still read."""
        if error is not None or self._link is None or self._link.broken:
            self._lose(error)

    def _lose(self, error: OSError | None) -> None:
        # Of noise that was answered and has gone one line was logged already.
        if len(self._out) > 0:
            message = "connection ended before its answer did: %s"
            log(logging.DEBUG, self, message, error or "EOF")
        self.close()

    def _on_hangup(self) -> None:
        """See `Owner._on_hangup`."""
        self._lose(None)

    def _on_mark(self) -> None:
        """See `Owner._on_mark`: a write has failed."""
        if self._link is not None and self._link.broken:
            self._lose(None)

    def _on_deadline(self, now: float) -> float:
        """Give a peer up that takes nothing."""
        seconds = self._admission.shared.write_stall
        if self._link is not None:
            self._progress.check(self._link, now)
        due = self._progress.since + seconds
        if now < due:
            return min(due, now + seconds / POLLS)
        message = "the peer took no byte of an answer for %g s"
        log(logging.DEBUG, self, message, seconds)
        self.close()
        return math.inf

    def hurry(self) -> None:
        """Nothing would help: the peer reads too slowly."""

    def close(self) -> None:
        """Let go of the connection, whatever is left."""
        self._leave()
        if self._link is not None:
            self._link.close()

    def _leave(self) -> None:
        if self._link is not None:
            self._link.dispatcher.wheel.cancel(self)
        self._admission.leave_answer(self)


class Farewell(Linger):
    """The end of a connection that got its answer; see `Linger`.

    All of it was taken by the link, which may have most of it still: the time to end
    counts from the last byte that the peer's system took.
    """

    __slots__ = ("_admission", "_progress")

    def __init__(self, admission: Admission, link: Link, progress: Progress) -> None:
        self._admission = admission
        self._progress = progress
        super().__init__(link, admission.shared.close_seconds)
        # Of a request's body, say, which is no reason to do without close_notify.
        self._unread = True
        admission.lingering[self] = None

    def _on_deadline(self, now: float) -> float:
        """See `Linger._on_deadline`; first, all must have gone out."""
        link = self._link
        if link is not None and link.unacknowledged() > 0:
            shared = self._admission.shared
            self._progress.check(link, now)
            due = self._progress.since + shared.write_stall
            if now < due:
                self._deadline = now + shared.close_seconds
                return min(due, now + END_SECONDS)
        return Linger._on_deadline(self, now)

    def hurry(self) -> None:
        """Take the peer's end, if it is there."""
        if self._link is not None:
            self._link.read_now()

    def close(self) -> None:
        """Let go of the connection, which had its answer."""
        self._close()

    def _close(self) -> None:
        self._admission.lingering.pop(self, None)
        # Not `super`: to C these are functions, which no object has.
        Linger._close(self)  # noqa: SLF001 - its own
