"""Payload masking: XOR with a repeating four-byte key (RFC 6455 5.3), and framing.

The one module of this floor that exists twice: Python cannot XOR at word width, write a
frame into uninitialised memory, check UTF-8 without decoding it, or read how wide the
characters of a ``str`` are. The readable definitions are here; the last lines replace
them by those in C, of ``_xor``. The key is an int, so that no object is made for it:
its least significant byte masks the first octet.
"""

from __future__ import annotations

from contextlib import suppress

# A payload below this size is copied to follow its header in one object. From here on
# the two are separate parts, unless the frame is masked: copying more than four pages
# costs more than a second element of sendmsg's vector.
COPY_BELOW = 16 * 1024


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
    """Unmask ``data[start:stop]`` in place.

    Args:
        data: A writable buffer.
        start: Index of the first byte.
        stop: Index one past the last.
        key: The masking key.
        phase: Number of the payload's bytes that came before, modulo 4.
    """
    data[start:stop] = _xor(data[start:stop], key, phase)


def unmask_text(data: bytearray, start: int, stop: int, key: int) -> str:
    """Return ``data[start:stop]`` unmasked and decoded.

    Args:
        data: What was received. The payload is unmasked in place.
        start: Index of the payload's first byte.
        stop: Index one past its last.
        key: The masking key; 0 for none.

    Raises:
        UnicodeDecodeError: It is not UTF-8.
    """
    if key:
        unmask_in_place(data, start, stop, key, 0)
    return data[start:stop].decode("utf-8")


def check_text(data: bytes) -> None:
    """Check that ``data`` is UTF-8. In C nothing is decoded, unless it is not.

    Raises:
        UnicodeDecodeError: It is not.
    """
    data.decode("utf-8")


def skip_characters(data: bytes) -> int:
    """Return where ``data`` has no more whole characters: there it is cut, or wrong.

    So much of it needs no decoder to be checked. Here that is nothing.
    """
    return 0


def make_header(first: int, size: int, masked: bool) -> bytes:
    """Return what comes before a payload of ``size`` bytes, but for a masking key.

    RFC 6455 5.2: the minimal number of bytes MUST be used to encode the length.

    Args:
        first: Fin, reserved bits and opcode.
        size: Of the payload.
        masked: Whether a key follows.
    """
    bit = 0x80 if masked else 0
    if size < 126:
        return bytes((first, bit | size))
    if size < 65536:
        return bytes((first, bit | 126, size >> 8, size & 0xFF))
    return bytes((first, bit | 127)) + size.to_bytes(8, "big")


def make_frame(first: int, payload: bytes, key: int, masked: bool) -> bytes:
    """Return a frame in one piece (RFC 6455 5.2).

    Args:
        first: Fin, reserved bits and opcode.
        payload: Copied.
        key: The masking key; counts only if ``masked``.
        masked: Whether to mask the payload.
    """
    header = make_header(first, len(payload), masked)
    if not masked:
        return header + payload
    return header + key.to_bytes(4, "little") + _xor(payload, key, 0)


def reserve(size: int) -> bytes:
    """Return ``size`` bytes of any content, to be overwritten and truncated.

    In C they are not initialised: pages that are never written take no memory.
    """
    return bytes(size)


def text_size(text: str) -> int:
    """Return the bytes that the characters of ``text`` take in memory.

    One, two or four for each, as its widest needs (PEP 393). In C that is a field of
    the object; here it is computed from its size, which is wrong once it was encoded.
    """
    if text.isascii():
        return len(text)
    return (text.__sizeof__() - _STR_HEAD) // (len(text) + 1) * len(text)


# After the characters comes a zero.
_STR_HEAD = "\xff".__sizeof__() - 2


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
        check_text as check_text,
        make_frame as make_frame,
        make_header as make_header,
        reserve as reserve,
        skip_characters as skip_characters,
        text_size as text_size,
        unmask as unmask,
        unmask_in_place as unmask_in_place,
        unmask_text as unmask_text,
    )
