# cython: annotation_typing=False
"""What waits to be written to one connection.

Two parts, and the line between them is the point of no return. ``wire`` holds
encoded bytes: committed, written in order, never dropped and never torn.
``pending`` holds items by reference, neither encoded nor compressed; only these
are counted, dropped or replaced. An item is encoded when it is *promoted* to
the wire, in one step without a checkpoint, so that a compressor sees exactly
the messages that the peer will see. Should that be a long step, the owner may
divide it: the *rest* is neither pending nor on the wire, but committed, and
goes on when what was made of it so far is written.

Knows no frames: its owner encodes. Made when a write does not go out whole or
is put off, and gone again when it has run empty.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_fastws._transport.contract import Link, Owner

# Promotion stops here: about what a socket buffer takes at once. More committed
# bytes would only be memory, and out of reach of the policy for slow peers.
WIRE_SIZE = 64 * 1024
# What a queued message costs besides its payload: tuple, deque cell, bytes head.
ITEM_OVERHEAD = 64


class Outbox:
    """The queue of one owner."""

    __slots__ = (
        "_owner",
        "acknowledged",
        "blocked",
        "held_until",
        "interrupted",
        "patience",
        "pending",
        "pending_size",
        "pong",
        "rest",
        "rest_size",
        "since",
        "sparing",
        "wire",
        "wire_limit",
        "wire_size",
    )

    def __init__(
        self,
        owner: Owner,
        now: float,
        wire_limit: int = WIRE_SIZE,
        sparing: bool = False,
    ) -> None:
        """Make an empty one.

        Args:
            owner: It encodes.
            now: The time.
            wire_limit: Promotion stops when so many bytes are on the wire.
            sparing: While the link takes no more, promote nothing before all of
                the wire is written: the owner may still think better of it.
        """
        self._owner = owner
        self.wire_limit: int = wire_limit
        self.sparing: bool = sparing
        self.wire: list[bytes] = []
        self.wire_size = 0
        self.pending: deque[tuple[object, int]] | None = None
        self.pending_size = 0
        # What is left of an item that is encoded in steps; the owner sets both.
        self.rest: object = None
        self.rest_size = 0
        # Until when the owner puts writing off, on its own clock; 0: it does not.
        self.held_until: float = 0.0
        # Set by the owner when encoding has taken its time.
        self.interrupted = False
        # Set while the link does not take all we have.
        self.blocked = False
        # How many more turns to wait for a task that may add something.
        self.patience = 0
        # When the link last took a byte; while it is blocked, when the peer's system
        # last went further, as far as the owner knows. For the write stall.
        self.since = now
        # What had left for the peer's system by then; see `Link.acknowledged`.
        self.acknowledged = 0
        # A Pong that waits for the peer to read; a later one replaces it.
        self.pong: bytes | None = None

    def size(self) -> int:
        """Return the bytes that wait, overhead of pending items included."""
        return self.wire_size + self.pending_size + self.rest_size

    def count(self) -> int:
        """Return the number of pending items."""
        return 0 if self.pending is None else len(self.pending)

    def takes(self) -> bool:
        """Return whether an item may be encoded right into the wire."""
        return self.pending is None and self.rest is None and self._has_room()

    def _has_room(self) -> bool:
        # Whether the wire may get more than control frames.
        if self.sparing and self.blocked:
            return self.wire_size == 0
        return self.wire_size < self.wire_limit

    def commit(self, parts: list[bytes], size: int) -> None:
        """Append encoded bytes to the wire."""
        self.wire += parts
        self.wire_size += size

    def commit_pong(self) -> None:
        """Append the Pong that waits to the wire."""
        if self.pong is not None:
            self.wire.append(self.pong)
            self.wire_size += len(self.pong)
            self.pong = None

    def put(self, item: object, size: int) -> None:
        """Queue an item of ``size`` bytes by reference."""
        if self.pending is None:
            self.pending = deque()
        self.pending.append((item, size + ITEM_OVERHEAD))
        self.pending_size += size + ITEM_OVERHEAD

    def drop_oldest(self) -> bool:
        """Drop the item queued first; False if none is pending."""
        if self.pending is None:
            return False
        self._take()
        return True

    def _take(self) -> object:
        assert self.pending is not None
        item, size = self.pending.popleft()
        self.pending_size -= size
        if not self.pending:
            self.pending = None
        return item

    def drop_pending(self) -> None:
        """Drop everything that is not committed."""
        self.pending = None
        self.pending_size = 0
        self.pong = None

    def drop_unwritten(self) -> None:
        """Drop everything that is not on the wire: nothing follows that."""
        self.drop_pending()
        self.rest = None
        self.rest_size = 0

    def _promote(self) -> bool:
        # False if others are to have their turn before the next item or step.
        # The Pong first: the last item may be a Close, and nothing follows that.
        if self.wire_size < WIRE_SIZE:
            self.commit_pong()
        while self._has_room():
            if self.rest is not None:
                item = self.rest
            elif self.pending is not None:
                item = self._take()
            else:
                return True
            self.wire_size += self._owner._encode_item(item, self.wire)
            if self.interrupted:
                self.interrupted = False
                return self.rest is None and self.pending is None
        return True

    def flush(self, link: Link, now: float) -> bool:
        """Write until the link takes no more; True if nothing is left.

        False without being `blocked` if it was interrupted: call it again after
        others had their turn.
        """
        while True:
            promoted = self._promote()
            if self.wire_size == 0 and promoted:
                self.blocked = False
                return True
            if self.wire_size > 0:
                taken = link.write(self.wire, self.wire_size)
                if taken > 0:
                    if self.blocked:
                        self.look(link, now)
                    else:
                        self.since = now
                    self.advance(taken)
            if self.wire_size > 0:
                if not self.blocked:
                    self.block(link)
                return False
            if not promoted:
                self.blocked = False
                return False

    def block(self, link: Link) -> None:
        """Note that the link takes no more: from now on the peer's system counts.

        The link may have room again only because bytes were acknowledged that the
        peer took long ago.
        """
        self.blocked = True
        self.acknowledged = link.acknowledged(True)

    def look(self, link: Link, now: float) -> None:
        """Note whether the peer's system has gone on since it was looked at last.

        Past what had left then: that has found room long ago, and its
        acknowledgement may be late.
        """
        if link.acknowledged() > self.acknowledged:
            self.acknowledged = link.acknowledged(True)
            self.since = now

    def advance(self, taken: int) -> None:
        """Forget the first ``taken`` bytes of the wire; they were written."""
        wire = self.wire
        self.wire_size -= taken
        if self.wire_size == 0:
            wire.clear()
            return
        done = 0
        while taken >= len(wire[done]):
            taken -= len(wire[done])
            done += 1
        del wire[:done]
        if taken > 0:
            wire[0] = memoryview(wire[0])[taken:]  # type: ignore[call-overload]
