# cython: annotation_typing=False
"""What waits to be written to one connection.

Two parts, and the line between them is the point of no return. ``wire`` holds
encoded bytes: committed, written in order, never dropped and never torn.
``pending`` holds messages by reference, neither encoded nor compressed; only these
are counted, dropped or replaced. A message is encoded when it is *promoted* to
the wire, in one step without a checkpoint, so that a compressor sees exactly
the messages that the peer will see. A large one is divided: the *rest* of it is
neither pending nor on the wire, but committed, and goes on when what was made of it
so far is written. A Close is pending like a message, because it comes behind them.

Made when a write does not go out whole or is delayed, and gone again when it has run
empty. Knows when to promote, and what a policy drops; not when to write.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any

from trio_fastws._config.options import ITEM_OVERHEAD

# RSV1 beside an opcode: to be compressed, if that was agreed upon.
from trio_fastws._protocol.codes import CLOSE, RSV1
from trio_fastws._protocol.controls import ANSWER, WaitingControls
from trio_fastws._protocol.fragments import Fragments
from trio_fastws._protocol.prepared import PreparedMessage
from trio_fastws._transport.progress import Progress

from .shared import DROP_OLDEST, WIRE_SIZE, Shared

if TYPE_CHECKING:
    from trio_fastws._protocol.endpoint import Endpoint
    from trio_fastws._transport.contract import Link

# Trio runs every runnable task once in a batch, in any order, and a task that receives
# and sends does so in every other one: between two sends are one or two of our turns,
# or three (after it, with the next batch, and before it), never four.
PATIENCE = 3
# But not for longer than this: a task may work on each of its messages. It is what 100
# tasks need for 16 messages each, which then leave in one write a task.
PATIENCE_SECONDS = 0.01


class Outbox:
    """The queue of one connection."""

    __slots__ = (
        "_controls",
        "_endpoint",
        "_interrupted",
        "_patience",
        "_shared",
        "blocked",
        "delayed_until",
        "finished",
        "pending",
        "pending_size",
        "progress",
        "rest",
        "since",
        "skipped",
        "wire",
        "wire_size",
        "written",
    )

    def __init__(self, shared: Shared, endpoint: Endpoint, now: float) -> None:
        """Make an empty one.

        Args:
            shared: The options.
            endpoint: What encodes.
            now: The time.
        """
        self._shared = shared
        self._endpoint = endpoint
        self.wire: list[bytes] = []
        self.wire_size = 0
        # Bytes that have left the wire.
        self.written = 0
        self.pending: deque[tuple[Any, int]] | None = None
        self.pending_size = 0
        # What is left of a message that is encoded in steps.
        self.rest: Fragments | None = None
        # How many that were pending, or a rest, are encoded whole, or a policy dropped:
        # in order, so what is dropped behind a rest counts when that is encoded.
        self.finished = 0
        self.skipped = 0
        # Until when writing is delayed (`Sending.delay`); 0: it is not.
        self.delayed_until: float = 0.0
        # Set while the link does not take all we have.
        self.blocked = False
        # When the link last took a byte; while it is blocked, when the peer's system
        # last went further, as far as we know. For the write stall.
        self.since: float = now
        self.progress: Progress | None = None
        # A Pong that waits for the peer to read.
        self._controls: WaitingControls | None = None
        # Set when encoding has taken its time.
        self._interrupted = False
        # How many more turns to wait for a task that may add something.
        self._patience = 0

    # --- how much there is --------------------------------------------------

    def size(self) -> int:
        """Return the bytes that wait, overhead of pending items included."""
        size = self.wire_size + self.pending_size
        if self.rest is not None:
            size += self.rest.size()
        return size

    def has_room(self, in_hook: bool = False) -> bool:
        """Return whether another message may be sent; more from a hook."""
        shared = self._shared
        if in_hook:
            return self.size() < shared.hard_limit
        return self.size() < shared.high_water and not self._is_crowded()

    def _is_crowded(self) -> bool:
        pending = self.pending
        return pending is not None and len(pending) >= self._shared.max_messages

    def takes(self) -> bool:
        """Return whether a message may be encoded right into the wire."""
        return self.pending is None and self.rest is None and self._may_promote()

    def _may_promote(self) -> bool:
        # Whether the wire may get more than control frames.
        shared = self._shared
        if shared.sparing and self.blocked:
            return self.wire_size == 0
        return self.wire_size < shared.wire_limit

    # --- adding -------------------------------------------------------------

    def commit(self, parts: list[bytes], size: int) -> None:
        """Append encoded bytes to the wire."""
        self.wire += parts
        self.wire_size += size

    def postpone_pong(self, frame: bytes) -> None:
        """Keep a Pong until the peer reads, which more than enough waits for."""
        if self._controls is None:
            self._controls = WaitingControls()
        self._controls.add(ANSWER, frame)

    def commit_pong(self) -> None:
        """Append the Pong that waits to the wire."""
        if self._controls is not None:
            data = self._controls.join()
            self._controls = None
            self.commit([data], len(data))

    def add(
        self,
        opcode: int,
        payload: bytes,
        prepared: PreparedMessage | None,
        large: Fragments | None,
    ) -> None:
        """Add a message: to the wire, or behind those that wait.

        Args:
            opcode: As for `Endpoint.encode`.
            payload: Its bytes.
            prepared: The message, if it goes to many.
            large: The same, if it is to be divided.
        """
        if self.takes():
            if large is not None:
                self.rest = large  # committed at once, as a smaller one would be
            else:
                frame_size = self._shared.frame_size
                self.wire_size += self._endpoint.encode_message(
                    opcode, payload, prepared, self.wire, frame_size
                )
        elif large is not None:
            self.put(large, len(payload))
        elif prepared is None:
            self.put((opcode, payload), len(payload))
        else:
            self.put((opcode, prepared), len(payload))

    def put(self, item: object, size: int) -> None:
        """Queue an item of ``size`` bytes by reference: whatever `_encode` takes."""
        if self.pending is None:
            self.pending = deque()
        self.pending.append((item, size + ITEM_OVERHEAD))
        self.pending_size += size + ITEM_OVERHEAD

    # --- a peer that is too slow --------------------------------------------

    def is_full(self, size: int) -> bool:
        """Return whether a policy does not let a message of that size in."""
        shared = self._shared
        return (
            self.size() + size + ITEM_OVERHEAD > shared.high_water or self._is_crowded()
        )

    def is_encoding(self) -> bool:
        """Return whether it is this side that is slow: a message is compressed."""
        return (
            self.rest is not None
            and not self.blocked
            and self.size() < self._shared.hard_limit
        )

    def make_room(self, size: int) -> int:
        """Drop messages for one of ``size`` bytes, as the policy says.

        Returns:
            How many were dropped; -1 if it is the new one that goes.
        """
        dropped = 0
        while self.is_full(size):
            if self._shared.policy != DROP_OLDEST:
                return -1
            if self.pending is None:
                break  # the rest is committed
            self._take()
            dropped += 1
            if self.rest is None:
                self.finished += 1
            else:
                self.skipped += 1
        return dropped

    def _take(self) -> Any:
        assert self.pending is not None
        item, size = self.pending.popleft()
        self.pending_size -= size
        if not self.pending:
            self.pending = None
        return item

    def drop_pending(self) -> None:
        """Drop everything that is not committed."""
        if self.pending is not None and self.rest is None:
            self.finished += len(self.pending)
        elif self.pending is not None:
            self.skipped += len(self.pending)
        self.pending = None
        self.pending_size = 0
        self._controls = None

    def drop_unwritten(self) -> None:
        """Drop everything that is not on the wire: nothing follows that."""
        finished = self.finished
        self.drop_pending()
        self.rest = None
        self.finished = finished  # they are cut off

    # --- promotion ----------------------------------------------------------

    def _promote(self) -> bool:
        # False if others are to have their turn before the next item or step.
        # The Pong first: the last item may be a Close, and nothing follows that.
        if self.wire_size < WIRE_SIZE:
            self.commit_pong()
        while self._may_promote():
            if self.rest is not None:
                self._step(self.rest)
            elif self.pending is not None:
                self._encode(self._take())
            else:
                return True
            if self._interrupted:
                self._interrupted = False
                return self.rest is None and self.pending is None
        return True

    def _encode(self, item: Any) -> None:
        if type(item) is Fragments:
            self._step(item)
            return
        self.finished += 1
        opcode, payload = item
        if opcode == CLOSE:
            code, reason = payload
            data = self._endpoint.encode_close(code, reason)
            self.commit([data], len(data))
            return
        if opcode & RSV1 and self._endpoint.deflate is not None:
            self._check_time()
        prepared = None
        if isinstance(payload, PreparedMessage):
            prepared = payload
            payload = prepared.payload
        frame_size = self._shared.frame_size
        self.wire_size += self._endpoint.encode_message(
            opcode, payload, prepared, self.wire, frame_size
        )

    def _step(self, large: Fragments) -> None:
        self._check_time()
        self.wire_size += large.step(self._endpoint, self.wire)
        self.rest = None if large.done else large
        if large.done:
            self.finished += 1 + self.skipped
            self.skipped = 0

    def _check_time(self) -> None:
        # What is encoded now is the last in this turn, if that has lasted long
        # enough. To compress many small messages takes as long as a large one.
        self._interrupted = perf_counter() >= self._shared.dispatcher.until

    # --- writing ------------------------------------------------------------

    def expect_more(self, expected: bool) -> None:
        """Note whether a task is sending that may be about to send more."""
        self._patience = PATIENCE if expected else 0

    def waits(self, now: float) -> bool:
        """Return whether to wait for a task that may have more to add.

        Until it has nothing to add, the wire is full, or that has taken its time.
        """
        if self._patience == 0 or now >= self.since + PATIENCE_SECONDS:
            return False
        self._patience -= 1
        return self.takes()

    def flush(self, link: Link, now: float) -> bool:
        """Write until the link takes no more; return whether nothing is left.

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
                        self.poll(link, now)
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
        self.progress = Progress(link, self.since, True)

    def poll(self, link: Link, now: float) -> None:
        """Note whether the peer's system has gone on since it was polled last."""
        progress = self.progress
        if progress is not None:
            progress.check(link, now)
            self.since = progress.since

    def advance(self, taken: int) -> None:
        """Forget the first ``taken`` bytes of the wire; they were written."""
        wire = self.wire
        self.wire_size -= taken
        self.written += taken
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
