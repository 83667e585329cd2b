"""Payload masking: XOR with a repeating four-byte key (RFC 6455 5.3).

The one thing that exists twice: XOR at word width cannot be said in Python. The
readable definitions stand here; the last lines adopt the C bodies of ``_xor``.
The key is an int, so that no object is made for it: its least significant byte
masks the first octet.
"""

from __future__ import annotations

from contextlib import suppress


def unmask(data: bytearray, start: int, stop: int, key: int) -> bytes:
    """Return ``data[start:stop]`` unmasked, as new bytes.

    Offsets instead of slices spare the compiled caller two objects a frame.

    Args:
        data: What was received. Not modified.
        start: Index of the payload's first byte.
        stop: Index one past its last.
        key: The masking key.
    """
    return _xor(data[start:stop], key, 0)


def unmask_in_place(
    data: bytearray | memoryview, start: int, stop: int, key: int, phase: int
) -> None:
    """Unmask ``data[start:stop]`` where it lies.

    Args:
        data: A writable buffer.
        start: Index of the first byte.
        stop: Index one past the last.
        key: The masking key.
        phase: Number of the payload's bytes that came before, modulo 4.
    """
    data[start:stop] = _xor(data[start:stop], key, phase)


def mask(payload: bytes, key: int) -> bytes:
    """Return ``payload`` masked, as new bytes."""
    return _xor(payload, key, 0)


def _xor(data: bytes | bytearray | memoryview, key: int, phase: int) -> bytes:
    size = len(data)
    word = key.to_bytes(4, "little")
    word = word[phase:] + word[:phase]
    pattern = word * (size // 4 + 1)
    return (
        int.from_bytes(data, "little") ^ int.from_bytes(pattern[:size], "little")
    ).to_bytes(size, "little")


with suppress(ImportError):  # where there was no compiler
    from ._xor import (
        mask as mask,
        unmask as unmask,
        unmask_in_place as unmask_in_place,
    )
