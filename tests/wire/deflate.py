"""Compression of messages (RFC 7692), by nothing but zlib.

What a peer may do there is more than what most of them do: `Deflater` ends its
messages in every way that the RFC allows, and `Inflater` accepts all of them.
"""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

from tests.wire.frames import WireError
from tests.wire.rfc1951 import BadDeflateError, inflate

TAIL = b"\x00\x00\xff\xff"
# How a peer may end what it compresses: RFC 7692 7.2.1 and 7.2.3.
STYLES = ["sync", "full", "final", "finals", "stored", "blocks"]


class Way(NamedTuple):
    """What is agreed for one direction: window bits, and whether it is taken over."""

    bits: int = 15
    takeover: bool = True


FULL = Way()


def read_agreement(extension: str) -> tuple[Way, Way]:
    """Return what a client may send and what a server may, from the server's field.

    Raises:
        WireError: It is not permessage-deflate alone, or has an unknown parameter.
    """
    name, *rest = [part.strip() for part in extension.split(";")]
    found: dict[str, str] = {}
    for part in rest:
        key, _, value = part.partition("=")
        found[key.strip()] = value.strip()
    ways: list[Way] = []
    for side in ("client", "server"):
        bits = int(found.pop(f"{side}_max_window_bits", "") or 15)
        off = found.pop(f"{side}_no_context_takeover", None)
        ways.append(Way(bits, off is None))
    if name != "permessage-deflate" or found:
        raise WireError(f"not an agreement: {extension}")
    return ways[0], ways[1]


class Deflater:
    """Compresses messages as RFC 7692 7.2.1 has it.

    Every message is compressed by itself, with what came before as a dictionary:
    so each may end in another style, and the window is what the RFC says it is.

    Args:
        way: What is agreed for this direction.
        options: Arguments of `zlib.compressobj` by name: level, memLevel, strategy.
    """

    def __init__(self, way: Way = FULL, **options: Any) -> None:
        self.way = way
        self.options = {"level": 6, "memLevel": 8, "strategy": 0, **options}
        self.window = b""

    def compress(self, message: bytes, style: str = "sync") -> bytes:
        """Return the payload of ``message``, ended in one of `STYLES`."""
        payload = getattr(self, "_" + style)(message)
        if self.way.takeover:
            self.window = (self.window + message)[-(2**self.way.bits) :]
        return bytes(payload)

    def _begin(self, more: bytes = b"") -> Any:
        # zlib has no window of 256 bytes, but with one of 512 it looks back 250.
        options: dict[str, Any] = {**self.options, "wbits": -max(9, self.way.bits)}
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


class Inflater:
    """Inflates messages as RFC 7692 7.2.2 has it, with a window of exact size.

    Args:
        way: What is agreed for this direction.
        exact: Whether to see to it that no reference goes beyond the window, which
            zlib does not do within one message. Slow.
        final: Whether blocks that are marked as final are accepted. A peer must
            accept them; none of what this library writes has one.
    """

    def __init__(
        self, way: Way = FULL, *, exact: bool = False, final: bool = True
    ) -> None:
        self.way = way
        self.exact = exact
        self.final = final
        self.window = b""

    def inflate(self, payload: bytes) -> bytes:
        """Return the message.

        Raises:
            BadDeflateError: There is none.
            WireError: It has a final block, or reaches back too far, and must not.
        """
        found = self._inflate(payload)
        if self.exact:
            slowly = inflate(payload + TAIL, self.window)
            if slowly.output != found or slowly.distance > 2**self.way.bits:
                raise WireError(f"a distance of {slowly.distance}")
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
                if inflater.eof and not self.final:
                    raise WireError("a final block")
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
