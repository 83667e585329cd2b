"""A peer that knows RFC 7692 by itself: what the tests of compression refer to.

It compresses and inflates with zlib as RFC 7692 7.2 says, in as many ways as the
RFC leaves open, and judges every frame it is sent. Nothing of the library judges
what the library wrote.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.protocol.wire import TEXT, parse
from tests.wire.rfc1951 import BadDeflateError, inflate
from trio_fastws._protocol.codes import Role

RSV1 = 0x40
TAIL = b"\x00\x00\xff\xff"
# How a peer may end what it compresses: RFC 7692 7.2.1 and 7.2.3.
STYLES = ["sync", "full", "final", "finals", "stored", "blocks"]
Message = str | bytes


class Way(NamedTuple):
    """What is agreed for one direction."""

    bits: int = 15
    takeover: bool = True


FULL = Way()


# --- a peer that sends -------------------------------------------------------


class Deflater:
    """Compresses messages as RFC 7692 7.2.1 has it.

    Every message is compressed by itself, with what came before as a dictionary:
    so each may end in another style, and the window is what the RFC says it is.
    """

    def __init__(self, way: Way = FULL, **options: Any) -> None:
        self.way = way
        self.options = {"level": 6, "memLevel": 8, "strategy": 0, **options}
        self.window = b""

    def compress(self, message: bytes, style: str = "sync") -> bytes:
        """Return the payload of ``message``."""
        payload = getattr(self, "_" + style)(message)
        if self.way.takeover:
            self.window = (self.window + message)[-(2**self.way.bits) :]
        return bytes(payload)

    def _begin(self, more: bytes = b"") -> Any:
        # zlib has no window of 256 bytes, but with one of 512 it looks back 250.
        options = {**self.options, "wbits": -max(9, self.way.bits)}
        window = (self.window + more)[-(2**self.way.bits) :]
        if window:
            options["zdict"] = window
        return zlib.compressobj(**options)

    def _sync(self, message: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
        deflater = self._begin()
        data = deflater.compress(message) + deflater.flush(flush)
        return bytes(data).removesuffix(TAIL)

    def _full(self, message: bytes) -> bytes:
        return self._sync(message, zlib.Z_FULL_FLUSH)

    def _final(self, message: bytes, more: bytes = b"") -> bytes:
        # RFC 7692 7.2.3.4: one octet of zero bits after a block with BFINAL
        deflater = self._begin(more)
        return bytes(deflater.compress(message) + deflater.flush() + b"\0")

    def _finals(self, message: bytes) -> bytes:
        half = len(message) // 2
        first = self._final(message[:half])[:-1]
        return first + self._final(message[half:], message[:half])

    def _stored(self, message: bytes) -> bytes:
        return stored(message)

    def _blocks(self, message: bytes) -> bytes:
        # RFC 7692 7.2.3.5: of several blocks, some empty
        deflater = self._begin()
        data = b""
        for at in range(0, len(message), 7 + len(message) // 5):
            data += deflater.compress(message[at : at + 7 + len(message) // 5])
            data += deflater.flush((zlib.Z_SYNC_FLUSH, zlib.Z_PARTIAL_FLUSH)[at % 2])
        data += deflater.flush(zlib.Z_SYNC_FLUSH) or b"\0" + TAIL
        return bytes(data).removesuffix(TAIL)


def stored(message: bytes, size: int = 65535, *, final: bool = False) -> bytes:
    """Return ``message`` in stored blocks of ``size`` bytes (RFC 1951 3.2.4)."""
    data = b""
    for at in range(0, len(message), size):
        part = message[at : at + size]
        data += bytes([final]) + len(part).to_bytes(2, "little")
        data += (len(part) ^ 0xFFFF).to_bytes(2, "little") + part
    return data + b"\0"


# --- a peer that receives ----------------------------------------------------


class Inflater:
    """Inflates messages as RFC 7692 7.2.2 has it, with a window of exact size."""

    def __init__(self, way: Way = FULL, *, exact: bool = False) -> None:
        """Start before the first message.

        Args:
            way: What is agreed for this direction.
            exact: Whether to see to it that no reference goes beyond the window,
                which zlib does not do within one message.
        """
        self.way = way
        self.exact = exact
        self.window = b""

    def inflate(self, payload: bytes) -> bytes:
        """Return the message; `BadDeflateError` if there is none."""
        found = self._inflate(payload)
        if self.exact:
            slowly = inflate(payload + TAIL, self.window)
            assert slowly.output == found
            assert slowly.distance <= 2**self.way.bits
        if self.way.takeover:
            self.window = (self.window + found)[-(2**self.way.bits) :]
        return found

    def _inflate(self, payload: bytes) -> bytes:
        # RFC 7692 7.2.2: append 4 octets 0x00 0x00 0xff 0xff to the tail
        data, out = payload + TAIL, b""
        while True:
            window = (self.window + out)[-(2**self.way.bits) :]
            inflater = zlib.decompressobj(-self.way.bits, zdict=window)
            try:
                out += inflater.decompress(data)
                if inflater.eof and inflater.unused_data:
                    data = inflater.unused_data
                    continue
                if inflater.eof or _is_between_blocks(inflater):
                    return out
            except zlib.error as error:
                raise BadDeflateError(str(error)) from None
            raise BadDeflateError("the data ends within a block")


def _is_between_blocks(inflater: Any) -> bool:
    # Where a block ends, any other may begin, and be the last one.
    for block in (b"\x03\x00", b"\x01\x00\x00\xff\xff"):
        other = inflater.copy()
        if other.decompress(block) or not other.eof or other.unused_data:
            return False
    return True


class Sent(NamedTuple):
    """A message as its receiver sees it."""

    message: Message
    compressed: bool
    payloads: list[bytes]


class Reader:
    """Reads what an endpoint sends, and judges it as RFC 6455 and 7692 have it."""

    def __init__(self, role: Role, way: Way = FULL, *, exact: bool = False) -> None:
        self.masked = role == Role.CLIENT
        self.inflater = Inflater(way, exact=exact)
        self.open: list[bytes] = []
        self.opcode = 0
        self.control: list[tuple[int, bytes]] = []

    def read(self, data: bytes) -> list[Sent]:
        """Return the messages that end in ``data``, which holds whole frames."""
        return list(self._read(data))

    def read_one(self, data: bytes) -> Sent:
        """Return the one message that ``data`` is."""
        (sent,) = self._read(data)
        assert self.opcode == 0
        return sent

    def _read(self, data: bytes) -> Iterator[Sent]:
        for first, fin, payload, key in parse(data):
            assert (key is not None) == self.masked
            assert first & 0x30 == 0, "RSV2 and RSV3 have no meaning"
            opcode = first & 0x0F
            if opcode >= 8:
                # RFC 7692 6: MUST NOT set the bit of control frames
                assert first & RSV1 == 0
                self.control.append((opcode, payload))
                continue
            if opcode:
                assert self.opcode == 0, "a message in another one"
                self.opcode = first
            else:
                assert self.opcode, "a continuation of nothing"
                # RFC 7692 6.1: only the first fragment has it
                assert first & RSV1 == 0
            self.open.append(payload)
            if fin:
                yield self._end()

    def _end(self) -> Sent:
        compressed = bool(self.opcode & RSV1)
        found = b"".join(self.open)
        if compressed:
            found = self.inflater.inflate(found)
        text = self.opcode & 0x0F == TEXT
        sent = Sent(found.decode() if text else found, compressed, self.open)
        self.open, self.opcode = [], 0
        return sent
