# cython: annotation_typing=False
"""Messages that nobody has received yet, and the task that waits for one.

Owns the order of what was delivered, and whether there is too much of it. Nothing
here waits: `_websocket` does, and is woken from here. What comes, and whether more
may come, is `_input`'s business.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import trio
from trio.lowlevel import Task, current_task, reschedule

from trio_fastws._exceptions import telling_end
from trio_fastws._protocol.masking import text_size
from trio_fastws._transport.wakeup import READY

from .outbox import ITEM_OVERHEAD
from .output import Output

if TYPE_CHECKING:
    from trio_fastws._protocol.endpoint import Endpoint

    from .shared import Shared

# Why reading is paused: bits of `Inbox._paused`.
BY_USER, BY_INBOX, BY_OUTBOX, BY_BUDGET = 1, 2, 4, 8


class Inbox(Output):
    """What is received. `Holding` adds what that takes."""

    __slots__ = ("_inbox", "_inbox_size", "_paused", "_receiver", "_receiving")

    def _init_inbox(self, shared: Shared, endpoint: Endpoint) -> None:
        self._init_output(shared, endpoint)
        # Messages that nobody has received yet, and their size with overhead.
        self._inbox: deque[Any] | None = None
        self._inbox_size = 0
        # Whether a task is in `receive`, and which one is parked there.
        self._receiving = False
        self._receiver: Task | None = None
        self._paused: int = 0

    # --- what the other half does -------------------------------------------

    def _pause(self, why: int) -> None:
        """Stop reading."""

    def _resume(self, why: int) -> None:
        """Read again, unless there is another reason not to."""

    def _forget_request(self) -> None:
        """Drop the request unless it was looked at."""

    # --- messages -----------------------------------------------------------

    def receive_nowait(self) -> str | bytes:
        """Receive a message that is here already. Not a checkpoint.

        Raises:
            trio.WouldBlock: There is none.
            trio.EndOfChannel: As `receive`, and so are the other errors.
            RuntimeError: This is another thread than that of the trio run.
        """
        self._begin_receiving()
        self._receiving = False
        if self._inbox is None:
            if self._closing:
                self._check_end(False)
            raise trio.WouldBlock
        message: str | bytes = self._take()
        return message

    def _deliver(self, message: Any) -> None:
        if self._inbox is None:
            self._inbox = deque()
        self._inbox.append(message)
        self._inbox_size += get_size(message) + ITEM_OVERHEAD
        self._wake_receiver()
        limit = self._shared.receive_buffer
        if self._hung:
            limit *= 2  # see `_on_hangup`
        if self._inbox_size >= limit:
            self._pause(BY_INBOX)

    def _wake_receiver(self) -> None:
        task = self._receiver
        if task is not None:
            self._receiver = None
            self._shared.dispatcher.woken = True
            reschedule(task, READY)

    def _begin_receiving(self) -> bool:
        # Whether `receive` has an answer without waiting.
        shared = self._shared
        shared.dispatcher.contexts.check_thread()
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving")
        if shared.handler is not None:
            raise RuntimeError(
                "messages of this connection go to its handler's on_message"
            )
        self._receiving = True
        if not shared.keep_request:
            self._forget_request()
        return self._inbox is not None or self._closing

    def _check_end(self, iterating: bool) -> None:
        # Raises what says how the connection ended; it is closing at least.
        clean = not self._closed_by_us and self.close_code in (1000, 1001, 1005)
        if iterating and (clean or self._closes_first or self._closed_by_us):
            # Whoever closed: that nothing more will come is no failure.
            raise StopAsyncIteration
        if clean:
            error = trio.EndOfChannel(
                f"the peer closed the connection with code {self.close_code}"
            )
            raise telling_end(error, self.id)
        self._raise_closed()

    def _must_wait(self, iterating: bool) -> bool:
        # Whether nothing is there to take; the task is woken when something is.
        if self._inbox is not None:
            return False
        if self._closing:
            self._check_end(iterating)
        if self._receiver is not None:  # of the same stream
            raise trio.BusyResourceError("another task is receiving")
        # The task has nothing to add: what it sent can go out now.
        self._flush_now()
        self._receiver = current_task()
        return True

    def _has_more(self) -> bool:
        return self._inbox is not None

    def _take(self) -> Any:
        # The oldest item of the inbox; there must be one.
        inbox = self._inbox
        assert inbox is not None
        item = inbox.popleft()
        if not inbox:
            self._inbox = None
            self._inbox_size = 0
        else:
            self._inbox_size -= get_size(item) + ITEM_OVERHEAD
        self._account()
        if (
            self._paused & BY_INBOX
            and self._inbox_size * 2 <= self._shared.receive_buffer
        ):
            self._resume(BY_INBOX)
        return item

    def _stream_on(self) -> None:
        # A stream is to be received and nothing waits: the next piece, please.
        collected = self._endpoint.buffered > 0
        self._endpoint.streaming = True
        if collected:
            self._shared.dispatcher.defer(self)

    def _skip_message(self, begun: bool) -> None:
        # A stream was left: what it did not take of its message goes.
        if not begun:
            inbox = self._inbox
            if inbox is None:
                waiting = self._waiting
                if waiting is None or not waiting.skipping:
                    # Nothing of it was given away: it is somebody else's, and whole.
                    self._endpoint.streaming = False
                return
            if type(inbox[0]) is str or type(inbox[0]) is bytes:
                return
        while self._inbox is not None:
            if self._take().final:
                return
        self._get_waiting().skipping = True


def get_size(item: Any) -> int:
    """Return what a message or a `Piece` takes in memory: text by its width there."""
    if type(item) is str:
        return text_size(item)
    if type(item) is bytes:
        return len(item)
    return get_size(item.data)
