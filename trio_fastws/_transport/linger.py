# cython: annotation_typing=False
"""How a TCP connection ends so that the peer can read our last byte.

Owns the time between our end of a connection and the peer's. What is received then is
discarded, and nothing is sent.
"""

from __future__ import annotations

import math

from .contract import Link, Owner
from .failing import log_failure

# How long a peer may take to end its direction, in seconds, when it has received all: a
# round trip between any two places on earth takes less than half of it.
END_SECONDS = 1.0


class Linger(Owner):
    """The end of a link: ends our output, then discards input until the peer closes.

    The peer has `END_SECONDS` for that, from when it has all that was sent.

    Closing a socket with unread input makes the kernel answer with a reset, and a reset
    may destroy what the peer has not read yet: our last frame. So our direction is
    ended first (TCP's FIN), and the socket closed after the peer's. That is needed
    behind the peer's Close as well: until it has ours it may send a Ping, and has to
    answer one (RFC 6455 5.5.2). Whoever ends the loop waits for `Dispatcher.lingering`
    to be 0 first, see `wait_lingering`.
    """

    __slots__ = ("_deadline", "_soon", "_unread")

    def __init__(self, link: Link, seconds: float, unread: bool = False) -> None:
        """Begin to linger.

        Args:
            link: What has been written to it goes out first.
            seconds: How long all of that may take.
            unread: Whether the peer may be sending still; see `Link.end_output`. Then
                its time begins with its last byte.
        """
        self._init_owner(link)
        link.dispatcher.lingering += 1
        link.end_output(unread)
        link.want(True, False)
        now = link.dispatcher.time()
        self._deadline: float = now + seconds
        self._soon: float = now + END_SECONDS
        self._unread: bool = unread
        link.dispatcher.schedule(self, min(self._soon, self._deadline))

    def _on_data(self, start: int, stop: int) -> None:
        """Discard the input."""
        link = self._link
        if self._unread and link is not None:
            self._soon = link.dispatcher.now + END_SECONDS

    def _on_eof(self, error: OSError | None) -> None:
        """Close: the peer has closed too, or at least sends nothing more."""
        link = self._link
        if link is not None and not link.flushing():
            self._close()

    def _on_hangup(self) -> None:
        """Close: the peer has reset the connection."""
        self._close()

    def _on_deadline(self, now: float) -> float:
        """Close if the peer had its time, or look again later."""
        link = self._link
        if link is not None and link.unacknowledged() > 0:
            self._soon = now + END_SECONDS
        if now < self._soon and now < self._deadline:
            # Four times in a second: the system cannot say when it was acknowledged.
            later = min(self._soon, now + END_SECONDS / 4)
            return min(later, self._deadline)
        self._close()
        return math.inf

    def _on_failure(self, error: Exception) -> None:
        """See `Owner._on_failure`."""
        log_failure(error, self)
        self._close()

    def _close(self) -> None:
        link = self._link
        if link is not None:
            dispatcher = link.dispatcher
            dispatcher.wheel.cancel(self)
            link.close()
            dispatcher.lingering -= 1
            if dispatcher.lingering == 0 and dispatcher.on_lingered is not None:
                dispatcher.on_lingered()
