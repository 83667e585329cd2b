# cython: annotation_typing=False
"""How a link ends so that the peer can read our last byte.

Owns the time between our end of a connection and the peer's. Nothing is received
here any more, and nothing sent.
"""

from __future__ import annotations

import math

from .contract import Link, Owner
from .failing import log_failure

# How long a peer may take to end its side when both have said all they had to: a
# round trip around the world and back takes less than half of it.
END_SECONDS = 1.0


class Linger(Owner):
    """The end of a link: reads and discards until the peer has closed too.

    It has `END_SECONDS` for that, from when it has all that was sent.

    Closing a socket with unread input makes the kernel answer with a reset,
    and a reset may destroy what the peer has not read yet: our last frame. So
    the sending side is shut down first, and the socket closed after the peer.
    Whoever ends the loop waits for `Dispatcher.lingering` to be 0, or all this was in
    vain. It is needed behind the peer's Close as well: until it has ours it may
    send a Ping, and has to answer one (RFC 6455 5.5.2).
    """

    __slots__ = ("_deadline", "_soon", "_unread")

    def __init__(self, link: Link, seconds: float, unread: bool = False) -> None:
        """Begin to linger.

        Args:
            link: What has been written to it goes out first.
            seconds: How long all of that may take.
            unread: Whether the peer may be sending still; see `Link.end_output`. Its
                time begins when it has nothing more to send, then.
        """
        self._init_owner()
        link.adopt(self)
        link.dispatcher.lingering += 1
        link.end_output(unread)
        link.want(True, False)
        now = link.dispatcher.time()
        self._deadline: float = now + seconds
        self._soon: float = now + END_SECONDS
        self._unread: bool = unread
        link.dispatcher.schedule(self, min(self._soon, self._deadline))

    def _on_data(self, start: int, stop: int) -> None:
        """Discard it."""
        link = self._link
        if self._unread and link is not None:
            self._soon = link.dispatcher.now + END_SECONDS

    def _on_eof(self, error: OSError | None) -> None:
        """Close; the peer has, or at least it will say nothing more."""
        link = self._link
        if link is not None and not link.flushing():
            self._close()

    def _on_hangup(self) -> None:
        """Close; the peer has, rudely."""
        self._close()

    def _on_deadline(self, now: float) -> float:
        """Close; the peer had its time."""
        link = self._link
        if link is not None and link.unacknowledged() > 0:
            self._soon = now + END_SECONDS
        if now < self._soon and now < self._deadline:
            # Looked at four times: how long ago it was acknowledged, nobody tells.
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
