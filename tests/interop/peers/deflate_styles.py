"""The ways in which peers compress, and the strict reading of what we compress.

``go``: as gorilla/websocket and its kin do. Neither side ever takes its window over,
whatever the other would like; a message is read by a new inflater that must see the
end of its stream. ``final``: every message ends with a final block and the empty
block that RFC 7692 7.2.3.5 wants behind it, as zlibs without a sync flush do it.
``any``: whatever RFC 7692 7.2 lets a peer do, by turns.
"""

import random
import re
import zlib

TAIL = b"\x00\x00\xff\xff"
# Behind the tail: an empty block that is the last one.
LAST = b"\x01\x00\x00\xff\xff"
STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE)
# With zlib a distance over the window's size goes unnoticed inside of one call.
STEP = 64


def read_parameters(extension):
    """Return the parameters in a field of one extension."""
    found = dict(re.findall(r"; ?(\w+)(?:=(\d+))?", extension))
    parameters = {}
    for side in ("server", "client"):
        name = f"{side}_max_window_bits"
        parameters[name] = int(found.pop(name, 0) or 15)
        name = f"{side}_no_context_takeover"
        parameters[name] = found.pop(name, None) is not None
    assert not found, extension
    return parameters


def make(style, agreed, server):
    """Return what compresses a message and what inflates one."""
    own, peer = ("server", "client") if server else ("client", "server")
    if style == "go":
        assert agreed["server_no_context_takeover"]
        assert agreed["client_no_context_takeover"]
        return deflate_fresh, inflate_fresh
    inflater = Inflater(
        agreed[f"{peer}_max_window_bits"], agreed[f"{peer}_no_context_takeover"]
    )
    bits = agreed[f"{own}_max_window_bits"]
    if style == "final":
        return lambda message: deflate_final(message, bits), inflater
    return Deflater(bits, agreed[f"{own}_no_context_takeover"]), inflater


def deflate_fresh(message):
    compressor = zlib.compressobj(1, zlib.DEFLATED, -15)
    data = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert data.endswith(TAIL)
    return data[:-4]


def inflate_fresh(payload, bits=15):
    inflater = zlib.decompressobj(-bits)
    message = read_strictly(inflater, payload + TAIL + LAST)
    assert inflater.eof, "the message is not whole"
    assert not inflater.unused_data, "something behind a final block"
    return message


def deflate_final(message, bits):
    compressor = zlib.compressobj(6, zlib.DEFLATED, -bits)
    return compressor.compress(message) + compressor.flush(zlib.Z_FINISH) + b"\x00"


def read_strictly(inflater, data):
    """Inflate; fails if anything lies farther back than the window reaches."""
    parts = []
    for start in range(0, len(data), 1024):
        rest = data[start : start + 1024]
        while True:
            part = inflater.decompress(rest, STEP)
            parts.append(part)
            rest = inflater.unconsumed_tail
            if not rest and len(part) < STEP:
                break
    return b"".join(parts)


class Inflater:
    """Reads messages with the agreed window and not a byte more."""

    def __init__(self, bits, fresh):
        self.bits = bits
        self.fresh = fresh
        self.inflater = zlib.decompressobj(-bits)

    def __call__(self, payload):
        if self.fresh:
            return inflate_fresh(payload, self.bits)
        message = read_strictly(self.inflater, payload + TAIL)
        assert not self.inflater.eof, "we end no message with a final block"
        return message


class Deflater:
    """Compresses by turns in all ways that there are."""

    def __init__(self, bits, fresh):
        self.bits = bits
        self.fresh = fresh
        self.random = random.Random(bits + 100 * fresh)
        self.window = b""
        self.compressor = None

    def __call__(self, message):
        if self.fresh:
            self.window, self.compressor = b"", None
        data = self.part(message)
        return data[:-4] if data.endswith(TAIL) else data + b"\x00"

    def part(self, message):
        """Return blocks: some up to a sync flush, others with a final one last."""
        chance = self.random.random()
        if chance < 0.2:
            # An end in the middle; the window goes on behind it.
            middle = self.random.randrange(len(message) + 1)
            return self.blocks(message[:middle], zlib.Z_FINISH) + self.blocks(
                message[middle:], zlib.Z_SYNC_FLUSH
            )
        if chance < 0.4:
            middle = self.random.randrange(len(message) + 1)
            # Forgets the window, or goes on with it.
            flush = self.random.choice([zlib.Z_FULL_FLUSH, zlib.Z_SYNC_FLUSH])
            return self.blocks(message[:middle], flush) + self.blocks(
                message[middle:], zlib.Z_SYNC_FLUSH
            )
        if chance < 0.6:
            return self.blocks(message, zlib.Z_FINISH)
        if chance < 0.7:
            # Stored, or by a compressor that has only been told of the window.
            self.compressor = None
        return self.blocks(message, zlib.Z_SYNC_FLUSH)

    def blocks(self, message, flush):
        if self.compressor is None:
            self.compressor = zlib.compressobj(
                self.random.choice([0, 1, 6, 9]),
                zlib.DEFLATED,
                -self.bits,
                self.random.choice([1, 8, 9]),
                self.random.choice(STRATEGIES),
                *([self.window] if self.window else []),
            )
        data = self.compressor.compress(message) + self.compressor.flush(flush)
        self.window = (self.window + message)[-(1 << self.bits) :]
        if flush == zlib.Z_FINISH:
            self.compressor = None
        return data
