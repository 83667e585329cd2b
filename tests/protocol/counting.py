"""zlib that counts what it is asked to do: a test of work needs no clock."""

from __future__ import annotations

import zlib
from typing import Any


class Counting:
    """zlib, and what it was asked to do: objects made, bytes given and got."""

    __name__ = "counting"
    error = zlib.error

    def __init__(self) -> None:
        self.objects = 0
        self.given = 0
        self.got = 0
        self.compressed = 0

    def count(self, size: int) -> None:
        """Count a step of compressing so many bytes; called for each flush too."""
        self.compressed += size

    def compressobj(self, *args: Any) -> CountingDeflater:
        return CountingDeflater(self, zlib.compressobj(*args))

    def decompressobj(self, *args: Any) -> CountingInflater:
        self.objects += 1
        return CountingInflater(self, zlib.decompressobj(*args))


class CountingDeflater:
    """A compressor that tells its module."""

    def __init__(self, module: Counting, deflater: Any) -> None:
        self._module = module
        self._deflater = deflater

    def compress(self, data: bytes) -> bytes:
        found: bytes = self._deflater.compress(data)
        self._module.count(len(data))
        return found

    def flush(self, mode: int) -> bytes:
        found: bytes = self._deflater.flush(mode)
        self._module.count(0)
        return found


class CountingInflater:
    """An inflater that tells its module."""

    def __init__(self, module: Counting, inflater: Any) -> None:
        self._module = module
        self._inflater = inflater

    def decompress(self, data: bytes, most: int = 0) -> bytes:
        self._module.given += len(data)
        found: bytes = self._inflater.decompress(data, most)
        self._module.got += len(found)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inflater, name)
