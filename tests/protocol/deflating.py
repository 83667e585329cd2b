"""What the tests of compression share: endpoints that agreed on it, and frames."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

from tests.protocol.support import COMPRESSED, ROOM, plain
from tests.wire import (
    BINARY,
    CONTINUATION,
    FULL,
    MASKING_KEY,
    RSV1,
    TEXT,
    Way,
    fragments,
    three_ways,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.deflate.agreement import Agreement
from trio_fastws._protocol.deflate.negotiation import DeflateParameters
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.events import WORKING

Message = str | bytes


def as_bytes(message: Message) -> bytes:
    return message.encode() if isinstance(message, str) else message


def opcode_of(message: Message) -> int:
    return TEXT if isinstance(message, str) else BINARY


# --- what is agreed ----------------------------------------------------------


def parameters(client: Way = FULL, server: Way = FULL) -> DeflateParameters:
    """Return the parameters for what the client and what the server sends."""
    return DeflateParameters(
        server_no_context_takeover=not server.takeover,
        client_no_context_takeover=not client.takeover,
        server_max_window_bits=server.bits,
        client_max_window_bits=client.bits,
    )


def for_side(role: Role, ours: Way = FULL, theirs: Way = FULL) -> DeflateParameters:
    """Return the parameters as one side sees them: its own way and the peer's."""
    if role == Role.SERVER:
        return parameters(client=theirs, server=ours)
    return parameters(client=ours, server=theirs)


def agreed(
    role: Role,
    ours: Way = FULL,
    theirs: Way = FULL,
    *,
    module: Any = zlib,
    max_message: int | None = 2**20,
    **options: Any,
) -> Endpoint:
    """Return an endpoint that has agreed on permessage-deflate."""
    agreement = Agreement(role, for_side(role, ours, theirs), module, **options)
    return Endpoint(role, max_message=max_message, agreement=agreement)


# --- frames of a peer --------------------------------------------------------


def cut(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    """Cut ``data`` into parts of these sizes, and the rest."""
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return [*parts, data]


def frames(role: Role, opcode: int, payloads: list[bytes]) -> list[bytes]:
    """Return a compressed message to ``role``, in as many frames as payloads."""
    key = MASKING_KEY if role else None
    return [part.encode(key) for part in fragments(opcode, payloads, RSV1)]


def message_of(role: Role, opcode: int, payload: bytes, *sizes: int) -> bytes:
    """Return a compressed message to ``role``, fragmented at these sizes."""
    return b"".join(frames(role, opcode, cut(payload, sizes)))


# --- feeding and sending -----------------------------------------------------


def events(endpoint: Endpoint) -> list[Any]:
    """Return every event there is now but `WORKING`."""
    found = iter(endpoint.next_event, None)
    return [plain(event) for event in found if event is not WORKING]


def receive(endpoint: Endpoint, *chunks: bytes) -> list[Any]:
    """Feed what a network might have brought, and return what comes of it."""
    found = []
    for chunk in chunks:
        buffer = bytearray(ROOM) + chunk
        endpoint.feed(buffer, ROOM, len(buffer))
        found += events(endpoint)
        buffer[:] = b"\xff" * len(buffer)  # it was only lent
    return found


def check(role: Role, data: bytes, expected: list[Any], **options: Any) -> None:
    """Check what ``role`` makes of ``data``, fed in three ways.

    A failure is given as its name and code.
    """
    for way, chunks in three_ways(data).items():
        endpoint = agreed(role, **options)
        assert brief(receive(endpoint, *chunks)) == expected, way
        failed = bool(expected) and expected[-1][:1] == ("Failure",)
        assert endpoint.failed == failed


def brief(found: list[Any]) -> list[Any]:
    """Return events with failures as name and code, without reason and reply."""
    return [
        event[:2] if isinstance(event, tuple) and event[0] == "Failure" else event
        for event in found
    ]


def send(
    endpoint: Endpoint, message: Message, *sizes: int, compress: bool = True
) -> bytes:
    """Return a message as ``endpoint`` sends it, in fragments of these sizes."""
    data = as_bytes(message)
    payloads = cut(data, sizes)
    parts: list[bytes] = []
    for i, payload in enumerate(payloads):
        opcode = CONTINUATION if i else opcode_of(message)
        size = sum(map(len, parts))
        added = endpoint.encode(
            opcode | (COMPRESSED if compress else 0),
            payload,
            i == len(payloads) - 1,
            parts,
        )
        assert added == sum(map(len, parts)) - size
    return b"".join(parts)
