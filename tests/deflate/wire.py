"""A peer made by hand that compresses: RFC 7692 with plain zlib, a second time.

On purpose: nothing of the library under test is used to judge what the library
has written, or to make what it reads. It speaks for either side.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import zlib
from typing import Any, NamedTuple

import trio

from tests.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    REQUEST,
    TEXT,
    masked,
)

OFFER = "permessage-deflate; client_max_window_bits"
TAIL = b"\0\0\xff\xff"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Frame(NamedTuple):
    opcode: int
    payload: bytes
    fin: bool = True
    rsv1: bool = False


class Message(NamedTuple):
    """What was put together from frames."""

    opcode: int
    payload: bytes
    compressed: bool
    # The sizes of its payloads on the wire.
    sizes: list[int]


def unmask(key: bytes, payload: bytes) -> bytes:
    size = len(payload)
    repeated = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return mixed.to_bytes(size, "big")


def parse(data: bytearray, from_client: bool) -> Frame | None:
    """Take one frame from the front of ``data``; None if it is not whole."""
    if len(data) < 2:
        return None
    first, size = data[0], data[1] & 127
    assert first & 0x30 == 0, "RSV2 or RSV3 is set"
    assert data[1] >> 7 == from_client, "only a client masks, and always"
    start = 2
    if size >= 126:
        start = 4 if size == 126 else 10
        if len(data) < start:
            return None
        size = int.from_bytes(data[2:start], "big")
    stop = start + 4 * from_client + size
    if len(data) < stop:
        return None
    payload = bytes(data[stop - size : stop])
    if from_client:
        payload = unmask(bytes(data[start : start + 4]), payload)
    del data[:stop]
    return Frame(first & 15, payload, first >= 0x80, bool(first & 0x40))


def agreed(extensions: str) -> dict[str, int]:
    """Read the parameters of an agreement; 1 for those without a value."""
    name, *rest = [part.strip() for part in extensions.split(";")]
    assert name == "permessage-deflate"
    pairs = [part.partition("=") for part in rest]
    return {key.strip(): int(value) if value else 1 for key, _, value in pairs}


class Wire:
    """A raw end of a connection: frames, and messages inflated by zlib."""

    def __init__(self, stream: Any, *, client: bool = True) -> None:
        self.stream = stream
        self.client = client
        self.buffer = bytearray()
        self.frames: list[Frame] = []
        self.extensions: str | None = None
        # None: nothing may be compressed.
        self.inflate_bits: int | None = None
        self.deflate_bits = 15
        self.keeps = {"in": True, "out": True}
        self._inflate: Any = None
        self._deflate: Any = None

    # --- the opening handshake ----------------------------------------------

    def _agree(self, extensions: str | None) -> None:
        self.extensions = extensions
        if extensions is None:
            return
        found = agreed(extensions)
        ours, theirs = ("client", "server") if self.client else ("server", "client")
        self.inflate_bits = found.get(f"{theirs}_max_window_bits", 15)
        self.deflate_bits = found.get(f"{ours}_max_window_bits", 15)
        self.keeps = {
            "in": f"{theirs}_no_context_takeover" not in found,
            "out": f"{ours}_no_context_takeover" not in found,
        }

    async def _read_head(self) -> bytes:
        while b"\r\n\r\n" not in self.buffer:
            data = await self.stream.receive_some()
            assert data, "closed in the handshake"
            self.buffer += data
        size = self.buffer.index(b"\r\n\r\n") + 4
        head = bytes(self.buffer[:size])
        del self.buffer[:size]
        return head

    async def shake(self, offer: str | None = OFFER) -> None:
        """Shake hands as a client."""
        line = b"" if offer is None else extensions_line(offer)
        await self.stream.send_all(REQUEST[:-2] + line + b"\r\n")
        await self.welcomed()

    async def welcomed(self) -> None:
        """Read the server's answer to a request."""
        head = await self._read_head()
        assert head.startswith(b"HTTP/1.1 101 "), head
        self._agree(find_extensions(head))

    async def welcome(self) -> None:
        """Shake hands as a server that agrees to the first offer."""
        head = await self._read_head()
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
        assert key is not None
        digest = hashlib.sha1(key[1] + GUID).digest()
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
            + base64.b64encode(digest)
            + b"\r\n"
        )
        offers = find_extensions(head)
        if offers is not None:
            # A parameter without a value leaves the choice to us: the widest.
            parts = [part.strip() for part in offers.partition(",")[0].split(";")]
            parts = [part for part in parts if not part.endswith("_window_bits")]
            answer += extensions_line("; ".join(parts))
            self._agree("; ".join(parts))
        await self.stream.send_all(answer + b"\r\n")

    # --- reading ------------------------------------------------------------

    async def frame(self) -> Frame | None:
        """Return the next frame; None at the end of the stream."""
        while (frame := parse(self.buffer, not self.client)) is None:
            try:
                data = await self.stream.receive_some(65536)
            except trio.BrokenResourceError:
                data = b""
            if not data:
                assert not self.buffer, f"torn frame: {bytes(self.buffer)[:40]!r}"
                return None
            self.buffer += data
        if frame.rsv1:
            assert self.inflate_bits is not None, "nothing was agreed"
            assert frame.opcode in (TEXT, BINARY), "RSV1 is for the first fragment"
        return frame

    def assemble(self, frame: Frame) -> Message | None:
        """Take a data frame; return the message that it completes."""
        assert (frame.opcode == CONTINUATION) == bool(self.frames), "out of order"
        self.frames.append(frame)
        if not frame.fin:
            return None
        frames, self.frames = self.frames, []
        payload = b"".join(part.payload for part in frames)
        first = frames[0]
        if first.rsv1:
            payload = self.inflate(payload)
        return Message(
            first.opcode, payload, first.rsv1, [len(part.payload) for part in frames]
        )

    def inflate(self, payload: bytes) -> bytes:
        if self._inflate is None or not self.keeps["in"]:
            assert self.inflate_bits is not None
            self._inflate = zlib.decompressobj(-self.inflate_bits)
        data: bytes = self._inflate.decompress(payload + TAIL)
        assert not self._inflate.eof, "a final block needs a window of its own"
        return data

    async def message(self) -> Message:
        """Return the next message; nothing else may come before it."""
        while True:
            frame = await self.frame()
            assert frame is not None, "the stream ended"
            assert frame.opcode <= BINARY, frame
            message = self.assemble(frame)
            if message is not None:
                return message

    async def payloads(self, count: int) -> list[bytes]:
        """Return what the next messages say."""
        return [(await self.message()).payload for _ in range(count)]

    async def close_code(self) -> tuple[int, str]:
        """Read up to the Close; return its code and reason."""
        while (frame := await self.frame()) is not None:
            if frame.opcode == CLOSE:
                return int.from_bytes(frame.payload[:2]), frame.payload[2:].decode()
        raise AssertionError("ended without a Close")

    async def fence(self) -> list[Message]:
        """Ping; return the messages up to its Pong."""
        await self.write(PING, b"fence")
        messages = []
        while (frame := await self.frame()) is not None:
            if frame == Frame(PONG, b"fence"):
                return messages
            message = self.assemble(frame)
            if message is not None:
                messages.append(message)
        raise AssertionError("ended without a Pong")

    # --- writing ------------------------------------------------------------

    def deflate(self, payload: bytes) -> bytes:
        if self._deflate is None or not self.keeps["out"]:
            self._deflate = zlib.compressobj(6, zlib.DEFLATED, -self.deflate_bits)
        data = self._deflate.compress(payload) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(TAIL)
        return data[:-4]

    def encode(
        self, opcode: int, payload: bytes, fin: bool = True, rsv1: bool = False
    ) -> bytes:
        """Return a frame of this side, its payload as it is."""
        data = masked(opcode, payload, fin)
        if not self.client:
            head = {126: 4, 127: 10}.get(data[1] & 127, 2)
            data = bytes([data[0], data[1] & 127]) + data[2:head] + payload
        return bytes([data[0] | rsv1 << 6]) + data[1:]

    async def write(
        self, opcode: int, payload: bytes = b"", fin: bool = True, rsv1: bool = False
    ) -> None:
        await self.stream.send_all(self.encode(opcode, payload, fin, rsv1))

    def pack(self, opcode: int, payload: bytes, size: int | None = None) -> list[bytes]:
        """Return the frames of a compressed message, of at most ``size`` bytes."""
        data = self.deflate(payload)
        parts = cut_up(data, size or max(len(data), 1))
        return [
            self.encode(
                CONTINUATION if index else opcode,
                part,
                index == len(parts) - 1,
                index == 0,
            )
            for index, part in enumerate(parts)
        ]

    async def send(self, opcode: int, payload: bytes, size: int | None = None) -> None:
        """Send a compressed message, in fragments if they have a size."""
        await self.stream.send_all(b"".join(self.pack(opcode, payload, size)))

    async def write_close(self, code: int = 1000) -> None:
        await self.write(CLOSE, code.to_bytes(2))

    async def finish(self, code: int = 1000) -> list[Frame]:
        """Answer a Close and end; return what still came."""
        await self.write_close(code)
        if not self.client:
            # The server closes TCP first (RFC 6455 7.1.1).
            await self.stream.send_eof()
        return await self.rest()

    async def rest(self) -> list[Frame]:
        """Return every frame until the end of the stream."""
        frames = []
        while (frame := await self.frame()) is not None:
            frames.append(frame)
        return frames

    def reset(self) -> None:
        """Close with a TCP reset instead of a FIN."""
        sock = self.stream.socket
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()


def cut_up(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)] or [b""]


def extensions_line(value: str) -> bytes:
    return f"Sec-WebSocket-Extensions: {value}\r\n".encode()


def find_extensions(head: bytes) -> str | None:
    found = re.search(rb"(?i)\r\nSec-WebSocket-Extensions: *(.*)\r\n", head)
    return None if found is None else found[1].decode()
