"""What the tests of the protocol share: frames for a role, and three ways to feed."""

from __future__ import annotations

from typing import Any

from tests.wire import (
    FULL,
    MASKING_KEY,
    Frame,
    Inflater,
    MessageReader,
    Way,
    close,
    fragments as make_fragments,
    three_ways,
    unmasked,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint

ROOM = 16
# The bit of a compressed message, as `Endpoint.encode` takes it with an opcode.
COMPRESSED = 0x40


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    key: bytes | None = MASKING_KEY,
    **options: Any,
) -> bytes:
    """Return the bytes of a `Frame`, masked unless there is no key."""
    return Frame(opcode, payload, **options).encode(key)


def for_role(role: Role, opcode: int, payload: bytes = b"", **options: Any) -> bytes:
    """Return a frame as the peer of ``role`` sends it."""
    return frame(opcode, payload, key=MASKING_KEY if role else None, **options)


def fragments(role: Role, opcode: int, *payloads: bytes, rsv: int = 0) -> bytes:
    """Return a message to ``role``, in as many frames as there are payloads."""
    frames = make_fragments(opcode, payloads, rsv)
    return b"".join(part.encode(MASKING_KEY if role else None) for part in frames)


def reader_of(role: Role, way: Way = FULL, *, exact: bool = False) -> MessageReader:
    """Return what reads and judges the messages that ``role`` sends."""
    inflater = Inflater(way, exact=exact)
    return MessageReader(masked=role == Role.CLIENT, inflater=inflater)


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
    return ("Failure", code, reason, unmasked(close(code, reason)))
