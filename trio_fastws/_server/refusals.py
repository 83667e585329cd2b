"""Counts of the openings that came to nothing, by reason: what a dashboard shows.

Owns which words count as one reason. A hostile client must neither make it grow nor
hide what is of interest behind what is not: so nothing is counted in the client's own
words.
"""

from __future__ import annotations

import re

# How an opening may end without an answer of ours.
TIMEOUT = "timeout"
TLS_FAILED = "TLS handshake failed"
LOST = "connection lost"
MADE_ROOM = "room for another"
NOT_WATCHED = "connection cannot be watched"
# What everybody is told who is here when the server ends.
SHUTTING_DOWN = "the server is shutting down"

# More than the library has reasons, of which the most are an unusual method (34) and
# what llhttp may dislike (some 30). What an `on_request` says may be of any number.
MOST = 128
OTHERS = "others"
# A line of a dashboard; the library's own are shorter.
LONGEST = 100
# How much the client has sent, where it is said how much it may.
_AMOUNT = re.compile(r"\d+(?=[\w ,]* over the limit)")


class Refusals:
    """How many openings came to nothing, by reason."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, reason: str) -> None:
        """Count one."""
        counts = self._counts
        reason = reason[:LONGEST]
        if reason not in counts and len(counts) >= MOST:
            reason = OTHERS
        counts[reason] = counts.get(reason, 0) + 1

    def add_answer(self, status: int, reason: str) -> None:
        """Count one that was answered.

        Args:
            status: Of HTTP.
            reason: In words. Behind a semicolon are details, such as a path.
        """
        words = _AMOUNT.sub("N", reason.partition(";")[0])
        self.add(f"{status} {words}")

    def counts(self) -> dict[str, int]:
        """Return the counts, for the caller to keep."""
        return dict(self._counts)
