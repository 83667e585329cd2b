"""How much freed memory the allocator keeps, and when the rest goes back to the system.

For glibc only (mmap threshold and malloc_trim); elsewhere nothing is done. Keeping some
makes large messages cheap; keeping all would be a process that never shrinks after a
busy hour.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

# The mmap threshold: blocks below stay in the heap, which keeps twice as much of them.
KEPT_FREE = 8 * 2**20


@cache
def keep_freed_memory() -> None:
    """Make the allocator keep some of what is freed; once in a process is enough.

    Freeing one block of 8 MiB raises glibc's dynamic mmap threshold to its size and the
    trim threshold to twice that (mallopt(3), M_MMAP_THRESHOLD). Blocks below come from
    the heap, and so much of it is kept when they are freed. Otherwise each message of
    1 MiB would be mapped anew, with 256 page faults. Nothing is written to the block,
    so it takes no memory. A second block would come from the heap, and be cleared.
    """
    bytes(KEPT_FREE)


@cache
def _find_trim() -> Callable[[int], int] | None:
    # Imported here: most processes never need it, and it takes 1 MiB.
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415

    # Called through `CDLL`, it runs without the GIL.
    found: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found  # type: ignore[no-any-return]  # musl has none


def give_back() -> None:
    """Give all free pages back to the system; returns at once.

    In a thread of trio's: it takes 70 ms for each GiB. It holds the lock of the
    allocator, so another thread that needs a large block waits; what Python's own
    allocator serves goes on.
    """
    trim = _find_trim()
    if trim is not None:
        trio.lowlevel.start_thread_soon(lambda: trim(0), lambda _: None)
