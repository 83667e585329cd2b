# cython: annotation_typing=False
"""What the allocator keeps of freed memory, and what the system gets back.

Both are glibc's affair; elsewhere nothing is done. To keep some makes large messages
cheap, to keep all would be a process that never shrinks after a busy hour.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import trio

from .wheel import Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from .contract import Dispatcher

# Half of the freed memory that the allocator should keep for the next messages.
KEPT_FREE = 8 * 2**20
# So much less than was held, for so long, is worth a thread and a walk through the
# heap; less the allocator may keep.
WORTH_GIVING_BACK = 32 * 2**20
GIVE_BACK_SECONDS = 1.0


@cache
def keep_freed_memory() -> None:
    """Make the allocator keep some of what is freed; once in a process is enough.

    One block is had and freed, and never touched: glibc keeps up to twice the largest
    block that was freed, and what it gives back has to be had anew page by page, with
    256 faults for each message of 1 MiB. A second block would come from what is kept,
    and be cleared.
    """
    bytes(KEPT_FREE)


@cache
def _find_trim() -> Callable[[int], int] | None:
    # Imported here: most processes never need it, and it takes 1 MiB.
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415

    # Called through `CDLL`, it runs without the interpreter's lock.
    found: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found  # type: ignore[no-any-return]  # musl has none


def give_back() -> None:
    """Give all free pages back to the system; returns at once.

    In a thread of trio's: it takes 70 ms for each GiB. Whoever wants a large block from
    the allocator meanwhile waits, whoever does not goes on.
    """
    trim = _find_trim()
    if trim is not None:
        trio.lowlevel.start_thread_soon(lambda: trim(0), lambda _: None)


class Peak(Timer):
    """The most that was held, and whether freed memory is to be given back.

    Attributes:
        held: Now.
        most: Since memory was given back.
        recent: Since it was planned to be.
        planned: When that will be; ``math.inf`` if it is not.
    """

    __slots__ = ("_dispatcher", "held", "most", "planned", "recent")

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._init_timer()
        self._dispatcher: Dispatcher = dispatcher
        self.held: int = 0
        self.most: int = 0
        self.recent: int = 0
        self.planned: float = math.inf

    def plan(self) -> None:
        """Plan to give memory back: much less is held than the most."""
        if self.planned == math.inf:
            self.recent = self.held
            self.planned = self._dispatcher.time() + GIVE_BACK_SECONDS
            self._dispatcher.schedule(self, self.planned)

    def _on_deadline(self, now: float) -> float:
        """See `Timer._on_deadline`."""
        if now < self.planned:
            return self.planned
        self.planned = math.inf
        # Unless as much was held again meanwhile: then it is in use.
        if self.most - self.recent >= WORTH_GIVING_BACK:
            self.most = self.recent
            give_back()
        if self.most - self.held >= WORTH_GIVING_BACK:
            self.recent = self.held
            self.planned = now + GIVE_BACK_SECONDS
        return self.planned
