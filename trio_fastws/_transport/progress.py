# cython: annotation_typing=False
"""Whether the system of a peer goes on taking what was written to it.

A peer that reads slowly and one that is gone look alike from here: the link takes no
more. The acknowledgements tell them apart. They are asked for only where somebody waits
(one system call), and a write stall is judged by when the count last grew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .contract import Link


class Progress:
    """How far the peer's system has come, and since when it has come no further.

    Attributes:
        since: When it last went on, as far as is known; in seconds, on the clock of the
            dispatcher.
        taken: `Link.acknowledged` as of then; -1: the link could not tell, so `mark` it
            again before it is compared.
    """

    __slots__ = ("_past_sent", "since", "taken")

    def __init__(self, link: Link, now: float, past_sent: bool = False) -> None:
        """Begin to watch a link.

        Args:
            link: It has taken what is to be acknowledged.
            now: The time.
            past_sent: Whether only what had not left yet counts as progress. What was
                on its way has found room at the peer long ago, and its
                acknowledgement may be late.
        """
        self.since: float = now
        self._past_sent: bool = past_sent
        self.mark(link)

    def mark(self, link: Link) -> None:
        """Note where the peer's system is: what comes after that is progress."""
        self.taken: int = link.acknowledged(self._past_sent)

    def check(self, link: Link, now: float) -> None:
        """Ask whether it has gone on; then ``now`` is when it last did."""
        if link.acknowledged() > self.taken:
            self.mark(link)
            self.since = now
