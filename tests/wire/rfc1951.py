"""DEFLATE read by hand (RFC 1951), as the reference of the tests of compression.

Slow and short. It tells what zlib does not: how far references reach, of what
kind the blocks are, and whether the data ends exactly where a block ends.
"""

from __future__ import annotations

from typing import NamedTuple

STORED, FIXED, DYNAMIC = range(3)
# RFC 1951 3.2.5: what the codes 257 to 285 and the distance codes stand for.
LENGTHS = [*range(3, 11), 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83]
LENGTHS.extend([99, 115, 131, 163, 195, 227, 258])
LENGTH_BITS = [0] * 8 + [i // 4 for i in range(4, 24)] + [0]
DISTANCES = [1, 2, 3, 4]
for _bits in range(1, 14):
    DISTANCES.extend([1 + (2 << _bits), 1 + (3 << _bits)])
# RFC 1951 3.2.7: the order in which the lengths of the lengths' codes come.
ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]


class BadDeflateError(ValueError):
    """The data breaks RFC 1951, or ends too early."""


class Block(NamedTuple):
    """One block: its BFINAL and BTYPE, and how many bytes came out of it."""

    final: bool
    kind: int
    size: int


class Inflated(NamedTuple):
    """What came out, of which blocks, and the longest distance used."""

    output: bytes
    blocks: list[Block]
    distance: int


class _Bits:
    """Reads bits as RFC 1951 3.1.1 packs them: least significant first."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.end = 8 * len(data)

    def bit(self) -> int:
        at = self.at
        if at >= self.end:
            raise BadDeflateError("the data ends within a block")
        self.at = at + 1
        return self.data[at >> 3] >> (at & 7) & 1

    def number(self, bits: int) -> int:
        return sum(self.bit() << i for i in range(bits))

    def align(self) -> None:
        self.at = -(-self.at // 8) * 8

    def symbol(self, codes: dict[int, int]) -> int:
        code = 1  # a first bit that tells 01 from 1
        for _ in range(15):
            code = code << 1 | self.bit()
            if code in codes:
                return codes[code]
        raise BadDeflateError("a code that stands for nothing")


def _codes(lengths: list[int], least: int = 2) -> dict[int, int]:
    """Return the canonical codes of these lengths (RFC 1951 3.2.2).

    Args:
        lengths: The length of each symbol's code; 0: it has none.
        least: Codes that leave room for more are refused if they are so long:
            one alone takes a bit (RFC 1951 3.2.7), and igzip does not care.
    """
    codes: dict[int, int] = {}
    code = 0
    for size in range(1, 16):
        for symbol, length in enumerate(lengths):
            if length == size:
                if code >> size:
                    raise BadDeflateError("more codes than there is room for")
                codes[1 << size | code] = symbol
                code += 1
        code <<= 1
    if code != 1 << 16 and max(lengths) >= least:
        raise BadDeflateError("fewer codes than there is room for")
    return codes


FIXED_CODES = _codes([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8)
FIXED_DISTANCES = _codes([5] * 32)


def _dynamic(bits: _Bits, complete: bool) -> tuple[dict[int, int], dict[int, int]]:
    literals = bits.number(5) + 257
    distances = bits.number(5) + 1
    if literals > 286 or distances > 30:
        raise BadDeflateError("codes that are reserved")
    lengths = [0] * 19
    for symbol in ORDER[: bits.number(4) + 4]:
        lengths[symbol] = bits.number(3)
    codes = _codes(lengths, least=1 if complete else 16)
    found: list[int] = []
    while len(found) < literals + distances:
        symbol = bits.symbol(codes)
        if symbol < 16:
            found.append(symbol)
        elif symbol == 16:
            if not found:
                raise BadDeflateError("nothing to repeat")
            found += found[-1:] * (3 + bits.number(2))
        elif symbol == 17:
            found += [0] * (3 + bits.number(3))
        else:
            found += [0] * (11 + bits.number(7))
    if len(found) > literals + distances:
        raise BadDeflateError("a repetition goes too far")
    if not found[256]:
        raise BadDeflateError("no code for the end of the block")
    least = 2 if complete else 16
    return _codes(found[:literals], least), _codes(found[literals:], least)


def _stored(bits: _Bits, out: bytearray) -> None:
    bits.align()
    size, inverse = bits.number(16), bits.number(16)
    if size ^ inverse != 0xFFFF:
        raise BadDeflateError("LEN and NLEN do not match")
    at = bits.at // 8
    if at + size > len(bits.data):
        raise BadDeflateError("the data ends within a stored block")
    out += bits.data[at : at + size]
    bits.at += 8 * size


def _coded(
    bits: _Bits, out: bytearray, codes: dict[int, int], distances: dict[int, int]
) -> int:
    longest = 0
    while (symbol := bits.symbol(codes)) != 256:
        if symbol < 256:
            out.append(symbol)
            continue
        if symbol > 285:
            raise BadDeflateError("a length that is reserved")
        length = LENGTHS[symbol - 257] + bits.number(LENGTH_BITS[symbol - 257])
        code = bits.symbol(distances)
        if code > 29:
            raise BadDeflateError("a distance that is reserved")
        distance = DISTANCES[code] + bits.number(max(0, code // 2 - 1))
        if distance > len(out):
            raise BadDeflateError("a distance too far back")
        longest = max(longest, distance)
        for _ in range(length):
            out.append(out[-distance])
    return longest


def inflate(data: bytes, window: bytes = b"", *, complete: bool = True) -> Inflated:
    """Inflate all of ``data``, which must end where a block ends.

    What follows a block with BFINAL begins with the next byte: RFC 7692 7.2.3.4.

    Args:
        data: Any number of blocks, final or not.
        window: What came before, as far as it may be referred to.
        complete: Whether to refuse codes that leave room for more, as zlib does.
    """
    bits = _Bits(data)
    out = bytearray(window)
    blocks: list[Block] = []
    longest = 0
    while bits.at < bits.end:
        start = len(out)
        final, kind = bool(bits.bit()), bits.number(2)
        if kind == STORED:
            _stored(bits, out)
        elif kind == FIXED:
            reach = _coded(bits, out, FIXED_CODES, FIXED_DISTANCES)
            longest = max(longest, reach)
        elif kind == DYNAMIC:
            longest = max(longest, _coded(bits, out, *_dynamic(bits, complete)))
        else:
            raise BadDeflateError("a block type that is reserved")
        if final:
            bits.align()
        blocks.append(Block(final, kind, len(out) - start))
    return Inflated(bytes(out[len(window) :]), blocks, longest)
