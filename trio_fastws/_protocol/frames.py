# cython: annotation_typing=False
"""Frames: the layout of their headers, read and written (RFC 6455 5.2).

Owns where a frame begins and ends in a buffer that is only lent, and which headers are
legal by themselves. Does not know messages: whether a frame may come now is checked by
`messages` and `endpoint`.

A payload is never copied here. Only an incomplete header is kept from one buffer to the
next: at most 13 bytes, written before the next buffer's data, into the headroom that
its owner leaves there. Otherwise the lent buffer is released as soon as it is read,
unless `keep` copied the rest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trio_fastws._layout import HEADROOM

from .codes import FIN
from .errors import ProtocolError
from .masking import COPY_BELOW, make_frame, make_header

if TYPE_CHECKING:
    from .codes import Role


# What is lent in between.
NOTHING = bytearray()


class FrameParser:
    """Reads frame headers from lent buffers."""

    __slots__ = (
        "_data",
        "_fin",
        "_in_payload",
        "_kept",
        "_key",
        "_kind",
        "_length",
        "_position",
        "_remaining",
        "_rsv1",
        "_start",
        "_stop",
        "drained",
        "frames",
        "role",
        "rsv1_allowed",
    )

    def _init_frames(self, role: Role) -> None:
        self.role: int = int(role)
        # Set when an extension that uses it was agreed upon.
        self.rsv1_allowed: bool = False
        # Headers that were read, and other work in units of one, modulo 2**30: how much
        # the turn has done so far.
        self.frames: int = 0
        self._data = NOTHING
        self._position: int = 0
        self._stop = 0
        # Whether all that was fed were whole messages: nothing is left to parse, and
        # nothing is kept.
        self.drained: bool = True
        # Whether the buffer is our own copy.
        self._kept = False
        # The start of a header, or of a control frame's payload, that is not
        # complete: never both.
        self._start: bytes | None = None
        # The frame whose payload is being read.
        self._in_payload = False
        self._fin = False
        self._rsv1 = False
        self._kind = 0
        self._key = 0
        self._length = 0
        self._remaining: int = 0

    def _read_header(self) -> bool:
        """Read a header; False if it is not complete yet."""
        data = self._data
        at = self._position
        available = self._stop - at
        if available < 2:
            return self._keep_header(available)
        first = data[at]
        second = data[at + 1]
        self._check_first_bytes(first, second)
        length = second & 0x7F
        size = 2
        if length == 126:
            size = 4
        elif length == 127:
            size = 10
        if second & 0x80:
            size += 4
        if available < size:
            return self._keep_header(available)
        if length >= 126:
            length = self._read_length(data, at + 2, length)
        at += size
        if second & 0x80:
            self._key = (
                data[at - 4]
                | data[at - 3] << 8
                | data[at - 2] << 16
                | data[at - 1] << 24
            )
        self._fin = first & 0x80 != 0
        self._rsv1 = first & 0x40 != 0
        self._kind = first & 0x0F
        self._length = length
        self._remaining = length
        self._position = at
        self._in_payload = True
        self.frames = (self.frames + 1) & 0x3FFFFFFF
        return True

    def _keep_header(self, available: int) -> bool:
        if available > 0:
            self._start = bytes(self._data[self._position : self._stop])
        self._release()
        return False

    def _release(self) -> None:
        # The lent buffer is not used from here on.
        self._data = NOTHING
        self._position = 0
        self._stop = 0

    def keep(self) -> None:
        """Copy what is not parsed yet, and release the lent buffer.

        Parsing goes on from the copy. `feed` may be called again when nothing is
        left of it.
        """
        left = self._stop - self._position
        if left <= 0:
            self._release()
        elif not self._kept or left * 2 < len(self._data):
            # A copy is copied again only to halve it.
            rest = bytearray(HEADROOM)
            rest += memoryview(self._data)[self._position : self._stop]
            self._data = rest
            self._position = HEADROOM
            self._stop = len(rest)
            self._kept = True

    def _check_first_bytes(self, first: int, second: int) -> None:
        """Check the first two bytes, before the rest of the header has come."""
        # RFC 6455 5.1: a server MUST close upon receiving an unmasked frame, a
        # client upon a masked one
        if second >> 7 != self.role:
            if self.role:
                raise ProtocolError(1002, "client frame is not masked (RFC 6455 5.1)")
            raise ProtocolError(1002, "server frame is masked (RFC 6455 5.1)")
        opcode = first & 0x0F
        if first & 0x70 and (first & 0x30 or not self.rsv1_allowed or opcode & 0x8):
            # RFC 6455 5.2: MUST be 0 unless an extension is negotiated
            raise ProtocolError(
                1002, f"reserved bits {first >> 4 & 7:03b} are set (RFC 6455 5.2)"
            )
        if opcode & 0x8:
            if opcode > 0xA:
                raise ProtocolError(1002, f"opcode {opcode:#x} is reserved")
            # RFC 6455 5.5: MUST have 125 bytes or less and MUST NOT be fragmented
            if second & 0x7F > 125:
                raise ProtocolError(1002, "control frame is over 125 bytes")
            if not first & 0x80:
                raise ProtocolError(1002, "control frame is fragmented")
        elif opcode > 0x2:
            raise ProtocolError(1002, f"opcode {opcode:#x} is reserved")

    def _read_length(self, data: bytearray, at: int, form: int) -> int:
        """Return an extended payload length, which must use the shortest form."""
        if form == 126:
            length = data[at] << 8 | data[at + 1]
            if length < 126:
                raise ProtocolError(1002, f"length {length} is not minimally encoded")
            return length
        # RFC 6455 5.2: the most significant bit MUST be 0
        if data[at] & 0x80:
            raise ProtocolError(1002, "length has its most significant bit set")
        length = 0
        for i in range(at, at + 8):
            length = length << 8 | data[i]
        if length < 65536:
            raise ProtocolError(1002, f"length {length} is not minimally encoded")
        return length


class MaskingKeys:
    """Masking keys for a client's frames.

    RFC 6455 5.3: derived from a strong source of entropy, unpredictable. From
    `os.urandom` in blocks: a call for each frame would cost as much as the frame.
    """

    __slots__ = ("_block", "_used")

    def __init__(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Drop the block: after a fork, the parent would use the same keys."""
        self._block = b""
        self._used = 0

    def draw(self) -> int:
        """Return the next key, as `make_frame` takes it."""
        # Each attribute is read once: endpoints of other threads draw here too.
        block = self._block
        at = self._used
        if at >= len(block):
            block = self._block = os.urandom(4096)
            at = 0
        self._used = at + 4
        return (
            block[at] | block[at + 1] << 8 | block[at + 2] << 16 | block[at + 3] << 24
        )


masking_keys = MaskingKeys()

if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
    os.register_at_fork(after_in_child=masking_keys.drop)


def encode_frame(role: int, first: int, payload: bytes, parts: list[bytes]) -> int:
    """Append a frame's bytes to ``parts``; return how many they are.

    Args:
        role: Who sends: a client's frames are masked.
        first: The first byte: fin, reserved bits and opcode.
        payload: Kept by reference if it is large and not masked.
        parts: Gets the frame in one piece; in two, header and payload, if it is
            large and not masked.
    """
    size = len(payload)
    if role and size >= COPY_BELOW:
        header = make_header(first, size, False)
        parts.append(header)
        parts.append(payload)
        return len(header) + size
    frame = make_frame(first, payload, 0 if role else masking_keys.draw(), not role)
    parts.append(frame)
    return len(frame)


def encode_slice(
    role: int, first: int, payload: bytes, start: int, stop: int, parts: list[bytes]
) -> int:
    """As `encode_frame`, of ``payload[start:stop]``.

    That is copied only if it is small, or masked.
    """
    size = stop - start
    if role and size >= COPY_BELOW:
        header = make_header(first, size, False)
        parts.append(header)
        parts.append(memoryview(payload)[start:stop])  # type: ignore[arg-type]
        return len(header) + size
    return encode_frame(role, first, payload[start:stop], parts)


def encode_frames(
    role: int, first: int, payload: bytes, frame_size: int, parts: list[bytes]
) -> int:
    """As `encode_frame`, but in fragments if it is over ``frame_size`` bytes.

    RFC 6455 5.4: a frame with an opcode other than 0, followed by zero or more with
    the opcode 0, of which the last has the FIN bit set. RFC 7692 6.1: RSV1 MUST be
    set on the first and MUST NOT be on the others.
    """
    if len(payload) <= frame_size:
        return encode_frame(role, first, payload, parts)
    fin = first & FIN
    first ^= fin
    at, size = 0, 0
    while at + frame_size < len(payload):
        size += encode_slice(role, first, payload, at, at + frame_size, parts)
        first = 0
        at += frame_size
    return size + encode_slice(role, first | fin, payload, at, len(payload), parts)
