"""Frames of RFC 6455, made and read without I/O: right ones, and wrong ones on purpose.

Knows the wire format a second time: nothing of the library under test is used to
judge what the library has written, or to make what it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
# The reserved bits, as `Frame.rsv` holds them.
RSV1, RSV2, RSV3 = 4, 2, 1
# The masking key of the examples in RFC 6455 5.7.
MASKING_KEY = b"\x37\xfa\x21\x3d"


class WireError(AssertionError):
    """What was read breaks an RFC; in a test that is a failure."""


class TornError(WireError):
    """The stream ended within a frame."""


def xor(payload: bytes, key: bytes, phase: int = 0) -> bytes:
    """Mask or unmask ``payload`` (RFC 6455 5.3).

    Args:
        payload: What to change.
        key: The four bytes of the masking key.
        phase: How many bytes of the frame's payload came before.
    """
    size = len(payload)
    turned = key[phase % 4 :] + key[: phase % 4]
    repeated = (turned * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return mixed.to_bytes(size, "big")


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame to write, or one that was read.

    Two frames are equal if they say the same: the masking key does not count.

    Attributes:
        opcode: Its opcode, 0 to 15.
        payload: Its payload, not masked.
        fin: Whether it is the last one of its message.
        rsv: Its three reserved bits: `RSV1`, `RSV2`, `RSV3`.
        length: The length that the header is to claim, if not the payload's.
        length_bits: The form of the length, 7, 16 or 64 bits, if not the shortest.
        key: The masking key of a frame that was read; None: it was not masked.
    """

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    _: KW_ONLY
    length: int | None = None
    length_bits: int | None = None
    key: bytes | None = field(default=None, compare=False)

    @property
    def rsv1(self) -> bool:
        """Whether RSV1 is set: the message is compressed (RFC 7692 6)."""
        return bool(self.rsv & RSV1)

    def encode(self, key: bytes | None = None) -> bytes:
        """Return the bytes of the frame, masked if there is a key."""
        length = len(self.payload) if self.length is None else self.length
        bits = self.length_bits or (7 if length < 126 else 16 if length < 65536 else 64)
        head = bytearray([self.fin << 7 | self.rsv << 4 | self.opcode])
        mask = 0x80 if key is not None else 0
        if bits == 7:
            head.append(mask | length)
        else:
            head.append(mask | (126 if bits == 16 else 127))
            head += length.to_bytes(bits // 8, "big")
        if key is None:
            return bytes(head) + self.payload
        return bytes(head) + key + xor(self.payload, key)


def text(value: str | bytes, fin: bool = True) -> Frame:
    """Return a text frame; bytes need not be UTF-8."""
    return Frame(TEXT, value.encode() if isinstance(value, str) else value, fin)


def binary(value: bytes, fin: bool = True) -> Frame:
    """Return a binary frame."""
    return Frame(BINARY, value, fin)


def continuation(value: str | bytes, fin: bool = True) -> Frame:
    """Return a further frame of a message."""
    return Frame(CONTINUATION, value.encode() if isinstance(value, str) else value, fin)


def ping(payload: bytes = b"") -> Frame:
    """Return a Ping."""
    return Frame(PING, payload)


def pong(payload: bytes = b"") -> Frame:
    """Return a Pong."""
    return Frame(PONG, payload)


def close(code: int | None = 1000, reason: str | bytes = b"") -> Frame:
    """Return a Close, with an empty payload if there is no code."""
    if code is None:
        return Frame(CLOSE)
    tail = reason.encode() if isinstance(reason, str) else reason
    return Frame(CLOSE, code.to_bytes(2, "big") + tail)


def fragments(opcode: int, payloads: Iterable[bytes], rsv: int = 0) -> list[Frame]:
    """Return a message in as many frames as there are payloads.

    ``rsv`` stands in the first one only (RFC 7692 6.1).
    """
    parts = list(payloads)
    last = len(parts) - 1
    return [
        Frame(CONTINUATION if i else opcode, part, i == last, 0 if i else rsv)
        for i, part in enumerate(parts)
    ]


def masked(*frames: Frame, key: bytes = MASKING_KEY) -> bytes:
    """Return the bytes of frames as a client sends them."""
    return b"".join(frame.encode(key) for frame in frames)


def unmasked(*frames: Frame) -> bytes:
    """Return the bytes of frames as a server sends them."""
    return b"".join(frame.encode() for frame in frames)


def split(data: bytes, size: int) -> list[bytes]:
    """Return ``data`` in parts of ``size`` bytes, at least one."""
    return [data[at : at + size] for at in range(0, len(data), size)] or [b""]


def three_ways(data: bytes) -> dict[str, list[bytes]]:
    """Return ``data`` in chunks: whole, byte by byte, and with a byte behind it."""
    return {
        "whole": [data],
        "byte by byte": split(data, 1) if data else [],
        "trailing": [data + data[:1]],
    }


class FrameReader:
    """Takes frames from bytes, and judges each of them as RFC 6455 5 has it.

    Args:
        masked: Whether all frames must be masked, or none; None: either will do.
        rsv: The reserved bits that an extension has given a meaning. RSV1 may stand
            in the first frame of a message only.
        within_message: Whether a message has begun already; None: the order of
            fragments is not looked at.
    """

    def __init__(
        self,
        *,
        masked: bool | None = None,
        rsv: int = 0,
        within_message: bool | None = False,
    ) -> None:
        self.masked = masked
        self.rsv = rsv
        # What is not a whole frame yet.
        self.buffer = bytearray()
        # Whether a message has begun and not ended.
        self.within_message = within_message
        self._closed = False

    def feed(self, data: bytes) -> None:
        """Add what has come."""
        self.buffer += data

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames that are whole."""
        return iter(self.next_frame, None)

    def next_frame(self) -> Frame | None:
        """Return the next frame; None if it is not whole.

        Raises:
            WireError: It breaks RFC 6455, as far as one frame can.
        """
        data = self.buffer
        if len(data) < 2:
            return None
        size, start = data[1] & 127, 2
        if size > 125:
            start = 4 if size == 126 else 10
            if len(data) < start:
                return None
            least = 126 if size == 126 else 65536
            size = int.from_bytes(data[2:start], "big")
            # RFC 6455 5.2: the minimal number of bytes MUST be used
            _check(least <= size < 2**63, "the length is not the shortest form")
        key = None
        if data[1] & 128:
            key = bytes(data[start : start + 4])
            start += 4
        if len(data) < start + size:
            return None
        payload = bytes(data[start : start + size])
        frame = Frame(
            data[0] & 15,
            payload if key is None else xor(payload, key),
            data[0] >= 128,
            data[0] >> 4 & 7,
            key=key,
        )
        self._judge(frame)
        del data[: start + size]
        return frame

    def end(self) -> None:
        """Raise `TornError` if something is left at the end of the stream."""
        if self.buffer:
            raise TornError(bytes(self.buffer[:40]))

    def _judge(self, frame: Frame) -> None:
        opcode, rsv = frame.opcode, self.rsv
        _check(opcode in OPCODES, f"unknown opcode {opcode}")
        if self.masked is not None:
            # RFC 6455 5.1: a client MUST mask all frames, a server MUST NOT mask any
            _check((frame.key is not None) == self.masked, "masked by the wrong side")
        if opcode >= CLOSE:
            # RFC 6455 5.5: at most 125 bytes, and MUST NOT be fragmented
            _check(frame.fin, "a control frame without FIN")
            _check(len(frame.payload) < 126, "a control frame of more than 125 bytes")
            _check(not frame.rsv, "a control frame with reserved bits")
            if opcode == CLOSE:
                _check(len(frame.payload) != 1, "half a close code")
                self._closed = True
            return
        # RFC 6455 5.5.1: MUST NOT send any more data frames after a Close
        _check(not self._closed, "a data frame behind a Close")
        if opcode == CONTINUATION:
            rsv &= ~RSV1  # RFC 7692 6.1: only the first fragment has it
        _check(not frame.rsv & ~rsv, f"reserved bits are set: {frame.rsv:03b}")
        if self.within_message is not None:
            # RFC 6455 5.4: fragments MUST NOT be interleaved
            right = (opcode == CONTINUATION) == self.within_message
            _check(right, "fragments are mixed")
            self.within_message = not frame.fin


def _check(right: bool, problem: str) -> None:
    if not right:
        raise WireError(problem)


def parse(
    data: bytes,
    *,
    masked: bool | None = None,
    rsv: int = RSV1,
    within_message: bool | None = False,
) -> list[Frame]:
    """Return the frames that ``data`` is; for the rest see `FrameReader`.

    Raises:
        WireError: One of them breaks RFC 6455.
        TornError: The last one is not whole.
    """
    reader = FrameReader(masked=masked, rsv=rsv, within_message=within_message)
    reader.feed(data)
    frames = list(reader)
    reader.end()
    return frames
