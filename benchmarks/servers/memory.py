"""What memory a process uses and for what: objects, traced lines, glibc, the kernel.

For a server that is asked from outside; see `inspected_server`.
"""

from __future__ import annotations

import ctypes
import gc
import linecache
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

# pymalloc hands out multiples of 16; what is over 512 comes from malloc, which
# keeps 8 bytes in front.
ALIGNMENT = 16
SMALL = 512
MALLOC_HEAD = 8


def rounded(size: int) -> int:
    """What an object of ``size`` bytes takes from the allocator."""
    if size > SMALL:
        size += MALLOC_HEAD
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def census() -> dict[str, tuple[int, int, int]]:
    """Every object the collector knows or that one of those refers to, by type.

    Returns:
        Name of the type to number, bytes, and bytes as allocated. The head for the
        collector is counted. A field that is declared ``bytes`` or ``str`` in a
        compiled class is not seen: the collector does not look there either.
    """
    gc.collect()
    known = gc.get_objects()
    mine = {id(known)}
    found = {id(item): item for item in known}
    for item in known:
        for other in gc.get_referents(item):
            found.setdefault(id(other), other)
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    for key, item in found.items():
        if key in mine:
            continue
        kind = type(item)
        name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        size = sys.getsizeof(item)
        counts[name] += 1
        sizes[name] += size
        taken[name] += rounded(size)
    return {name: (counts[name], sizes[name], taken[name]) for name in counts}


def traced() -> dict[str, tuple[int, int, int]]:
    """What is alive by source line, since tracing started.

    Returns:
        File and line to blocks and bytes, the latter twice to look like `census`.
    """
    gc.collect()
    snapshot = tracemalloc.take_snapshot().filter_traces(
        [
            tracemalloc.Filter(False, tracemalloc.__file__),
            tracemalloc.Filter(False, linecache.__file__),
            tracemalloc.Filter(False, __file__),
        ]
    )
    found: dict[str, tuple[int, int, int]] = {}
    for entry in snapshot.statistics("lineno"):
        frame = entry.traceback[0]
        name = f"{_short(frame.filename)}:{frame.lineno}"
        found[name] = (entry.count, entry.size, entry.size)
    return found


def _short(filename: str) -> str:
    return "/".join(Path(filename).parts[-2:])


# struct mallinfo2 of <malloc.h>, in its order.
_MALLINFO = (
    "arena",
    "ordblks",
    "smblks",
    "hblks",
    "hblkhd",
    "usmblks",
    "fsmblks",
    "uordblks",
    "fordblks",
    "keepcost",
)


class _Mallinfo(ctypes.Structure):
    _fields_: ClassVar[Any] = [(name, ctypes.c_size_t) for name in _MALLINFO]


def malloc() -> dict[str, int]:
    """What glibc has from the kernel, and how much of it nobody uses.

    Returns:
        ``heap``: grown by brk; ``mapped``: blocks of their own; ``free``: in the
        heap and not used; ``top``: the part of it at the end. Empty without glibc.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return {}
    library.mallinfo2.restype = _Mallinfo
    info = library.mallinfo2()
    return {
        "heap": info.arena,
        "mapped": info.hblkhd,
        "free": info.fordblks,
        "top": info.keepcost,
    }


def trim() -> int:
    """Have glibc give back what it can; 1 if it did."""
    library = ctypes.CDLL(None)
    return int(library.malloc_trim(0)) if hasattr(library, "malloc_trim") else 0


def rss() -> int:
    """Resident bytes."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096


def summary() -> dict[str, int]:
    """All of the above that is one number.

    And ``cyclic``: how many objects the collector has found that were garbage, and
    would not have been freed without it.
    """
    cyclic = sum(generation["collected"] for generation in gc.get_stats())
    found = {"rss": rss(), "blocks": sys.getallocatedblocks(), "cyclic": cyclic}
    found |= malloc()
    if tracemalloc.is_tracing():
        found["traced"] = tracemalloc.get_traced_memory()[0]
    return found
