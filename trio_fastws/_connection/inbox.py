# cython: annotation_typing=False
"""Messages that nobody has received yet, and the task that waits for one.

Made when a connection first needs it, which one with hooks never does. Owns the order
of what was delivered and how much it is; `connection` decides whether it is too much.
Nothing here waits: `websocket` does, and is woken from here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from trio.lowlevel import Abort, Task, reschedule

from trio_fastws._config.options import ITEM_OVERHEAD
from trio_fastws._protocol.masking import text_size
from trio_fastws._transport.wakeup import READY

if TYPE_CHECKING:
    from collections.abc import Callable

# Why reading is paused: bits of `Sender._paused`.
BY_USER, BY_INBOX, BY_OUTBOX, BY_BUDGET, BY_TASKS = 1, 2, 4, 8, 16


class Inbox:
    """What waits to be received on one connection.

    Attributes:
        messages: Messages and pieces of them, None if there are none.
        size: Bytes that they take, overhead included.
        receiving: Whether a task is in `WebSocket.receive` or the like.
        receiver: The task that is parked there.
        skipping: Whether the rest of a message is thrown away: its stream was left.
    """

    __slots__ = ("messages", "receiver", "receiving", "size", "skipping")

    def __init__(self) -> None:
        self.messages: deque[Any] | None = None
        self.size = 0
        self.receiving = False
        self.receiver: Task | None = None
        self.skipping = False

    def put(self, item: Any) -> None:
        """Add a message, or a `Piece` of one."""
        if self.messages is None:
            self.messages = deque()
        self.messages.append(item)
        self.size += get_size(item) + ITEM_OVERHEAD

    def take(self) -> Any:
        """Return the oldest; there must be one."""
        messages = self.messages
        assert messages is not None
        item = messages.popleft()
        if not messages:
            self.messages = None
            self.size = 0
        else:
            self.size -= get_size(item) + ITEM_OVERHEAD
        return item

    def encode_text(self) -> None:
        """Make bytes of the text that waits."""
        messages = self.messages
        if messages is not None:
            self.clear()
            for item in messages:
                self.put(_encode(item))

    def clear(self) -> None:
        """Drop what was not received."""
        self.messages = None
        self.size = 0

    def wake(self) -> bool:
        """Wake the task that waits; False if there is none."""
        task = self.receiver
        if task is None:
            return False
        self.receiver = None
        reschedule(task, READY)
        return True

    def stop_waiting(self, _raise_cancel: Callable[[], Any]) -> Abort:
        """Let go of the task that waits: it is cancelled."""
        self.receiver = None
        return Abort.SUCCEEDED


def _encode(item: Any) -> Any:
    if type(item) is str:
        return item.encode()
    if type(item) is not bytes:
        item.data = _encode(item.data)
    return item


def get_size(item: Any) -> int:
    """Return what a message or a `Piece` takes in memory: text by its width there."""
    if type(item) is str:
        return text_size(item)
    if type(item) is bytes:
        return len(item)
    return get_size(item.data)
