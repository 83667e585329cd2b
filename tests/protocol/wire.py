"""What the tests of the protocol share: frames by hand, and three ways to feed.

Knows the layout of a frame a second time, on purpose: nothing of the library
judges what the library wrote.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from trio_fastws._layout import HEADROOM as ROOM
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"  # of RFC 6455 5.7


def xor(payload: bytes, key: bytes, phase: int = 0) -> bytes:
    """Mask as RFC 6455 5.3 has it: octet i with octet i modulo 4 of the key."""
    masked = bytearray(payload)
    for i in range(4):
        masked[i::4] = payload[i::4].translate(_table(key[(phase + i) % 4]))
    return bytes(masked)


@cache
def _table(octet: int) -> bytes:
    return bytes(octet ^ other for other in range(256))


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = KEY,
    form: int | None = None,
    length: int | None = None,
) -> bytes:
    """Return a frame, legal or not.

    Args:
        opcode: Its opcode.
        payload: Its payload, not masked.
        fin: Its first bit.
        rsv: Its three reserved bits.
        key: Its masking key; None: it is not masked.
        form: Bytes of its length: 1, 3 or 9; None: the shortest.
        length: The length to write, if another than the payload's.
    """
    size = len(payload) if length is None else length
    if form is None:
        form = 1 if size < 126 else 3 if size < 65536 else 9
    mask = 0 if key is None else 0x80
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if form == 1:
        head += bytes([mask | size])
    else:
        head += bytes([mask | (126 if form == 3 else 127)])
        head += size.to_bytes(form - 1, "big")
    return head + payload if key is None else head + key + xor(payload, key)


def for_role(role: Role, opcode: int, payload: bytes = b"", **options: Any) -> bytes:
    """Return a frame as the peer of ``role`` sends it."""
    return frame(opcode, payload, key=KEY if role else None, **options)


def fragments(role: Role, opcode: int, *payloads: bytes) -> bytes:
    """Return a message to ``role``, in as many frames as there are payloads."""
    last = len(payloads) - 1
    return b"".join(
        for_role(role, CONTINUATION if i else opcode, payload, fin=i == last)
        for i, payload in enumerate(payloads)
    )


def parse(data: bytes) -> list[tuple[int, bool, bytes, bytes | None]]:
    """Return opcode, fin, payload and key of each of the frames in ``data``."""
    found: list[tuple[int, bool, bytes, bytes | None]] = []
    while data:
        size, at = data[1] & 0x7F, 2
        if size > 125:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at], "big")
        key = None
        if data[1] & 0x80:
            key = data[at : at + 4]
            at += 4
        payload = data[at : at + size]
        assert len(payload) == size, "the last frame is not complete"
        found.append(
            (
                data[0] & 0x7F,
                data[0] >= 0x80,
                payload if key is None else xor(payload, key),
                key,
            )
        )
        data = data[at + size :]
    return found


def plain(event: Any) -> Any:
    """Return an event as something that compares and prints well."""
    if isinstance(event, str | bytes):
        return event
    kind = type(event)
    return (kind.__name__, *(getattr(event, name) for name in kind.__slots__))


def events(endpoint: Any) -> list[Any]:
    """Return every event there is now."""
    return [plain(event) for event in iter(endpoint.next_event, None)]


def lend(endpoint: Any, data: bytes) -> bytearray:
    """Feed bytes, of which nothing is parsed yet, and return the buffer."""
    buffer = bytearray(ROOM) + data
    endpoint.feed(buffer, ROOM, len(buffer))
    return buffer


def receive(endpoint: Any, *chunks: bytes) -> list[Any]:
    """Feed what a network might have brought, and return what comes of it."""
    found = []
    for chunk in chunks:
        buffer = lend(endpoint, chunk)
        found += events(endpoint)
        buffer[:] = b"\xff" * len(buffer)  # it was only lent
    return found


def three_ways(data: bytes) -> dict[str, tuple[bytes, ...]]:
    """Return ``data`` in chunks: whole, byte by byte, with trailing bytes."""
    return {
        "whole": (data,),
        "byte by byte": tuple(data[i : i + 1] for i in range(len(data))),
        "trailing": (data + data[:1],),
    }


def check(role: Role, data: bytes, expected: list[Any], **options: Any) -> Endpoint:
    """Check what ``role`` makes of ``data``, fed in three ways.

    Replies are compared as they stand: use roles whose replies are not masked,
    or events without one.
    """
    endpoint = Endpoint(role, **options)
    for way, chunks in three_ways(data).items():
        endpoint = Endpoint(role, **options)
        assert receive(endpoint, *chunks) == expected, way
    return endpoint


def failure(code: int, reason: str) -> tuple[str, int, str, bytes]:
    """Return the failure of a server that had not sent its Close."""
    close = frame(CLOSE, code.to_bytes(2, "big") + reason.encode(), key=None)
    return ("Failure", code, reason, close)
