"""Bytes-like objects: all that `memoryview` takes (PEP 688)."""

from __future__ import annotations

from typing import Protocol


class Buffer(Protocol):
    """`collections.abc.Buffer`, which Python has from 3.12 on.

    ``bytes``, ``bytearray``, ``memoryview``, `array.array`, `mmap.mmap`, ctypes and
    NumPy arrays, and so on.
    """

    def __buffer__(self, flags: int, /) -> memoryview:
        """Return a view of it; before 3.12 only types of C have this method."""
        ...


def copy_buffer(value: object) -> bytes:
    """Return the bytes of a buffer: as they lie in memory, ``nbytes`` of them.

    Of one that is not contiguous (``view[::2]``, a slice of a NumPy array) those of
    its elements, in order, the last index changing fastest.

    Args:
        value: The buffer; not kept.

    Raises:
        TypeError: ``value`` is not bytes-like.
    """
    with memoryview(value) as view:  # type: ignore[arg-type]
        return view.tobytes()
