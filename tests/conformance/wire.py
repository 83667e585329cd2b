"""The wire format of RFC 6455 in the hand of a tester: it can also be wrong.

Both ways round, unlike `tests.serving`: a tester that is the client masks, one that
is the server does not. Nothing of the library under test is used here.
"""

from __future__ import annotations

import select
import socket
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha1

import trio

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"
HEADS_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame; everything behind ``payload`` is there to be wrong.

    Attributes:
        length: What the header says, if it is not what comes.
        form: How long the length field is, in bits, if not as short as can be.
        mask: Whether it is masked, if not as the role demands.
    """

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    length: int | None = None
    form: int | None = None
    mask: bool | None = None


def text(value: str | bytes, fin: bool = True) -> Frame:
    return Frame(TEXT, value.encode() if isinstance(value, str) else value, fin)


def binary(value: bytes, fin: bool = True) -> Frame:
    return Frame(BINARY, value, fin)


def more(value: str | bytes, fin: bool = True) -> Frame:
    return Frame(0, value.encode() if isinstance(value, str) else value, fin)


def ping(payload: bytes = b"") -> Frame:
    return Frame(PING, payload)


def pong(payload: bytes = b"") -> Frame:
    return Frame(PONG, payload)


def close(code: int | None = 1000, reason: str | bytes = b"") -> Frame:
    if code is None:
        return Frame(CLOSE)
    tail = reason.encode() if isinstance(reason, str) else reason
    return Frame(CLOSE, code.to_bytes(2, "big") + tail)


def xor(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    repeated = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return mixed.to_bytes(size, "big")


def encode(frame: Frame, mask: bool) -> bytes:
    """Return the bytes of a frame, masked if ``mask``, unless it says otherwise."""
    mask = mask if frame.mask is None else frame.mask
    length = len(frame.payload) if frame.length is None else frame.length
    form = frame.form or (7 if length < 126 else 16 if length < 65536 else 64)
    head = bytearray([frame.fin << 7 | frame.rsv << 4 | frame.opcode])
    if form == 7:
        head.append(mask << 7 | length)
    else:
        head.append(mask << 7 | (126 if form == 16 else 127))
        head += length.to_bytes(form // 8, "big")
    return bytes(head) + (KEY + xor(frame.payload, KEY) if mask else frame.payload)


class RawPeer:
    """One raw TCP connection, its opening handshake done."""

    def __init__(self, sock, is_client: bool, octets: bool) -> None:
        self._socket = sock
        self._is_client = is_client
        self._octets = octets
        self._data = bytearray()
        self.stream = sock if sock is None else trio.SocketStream(sock)

    @classmethod
    def over(cls, stream: trio.abc.Stream, is_client: bool) -> RawPeer:
        tester = cls(None, is_client, False)
        tester.stream = stream
        return tester

    async def shake_hands(self, ours: bytes) -> None:
        if self._is_client:
            await self.stream.send_all(ours)
        while HEADS_END not in self._data:
            self._data += await self.stream.receive_some() or b"\0" + HEADS_END
        end = self._data.index(HEADS_END) + 4
        head = bytes(self._data[:end])
        del self._data[:end]
        if self._is_client:
            assert head.startswith(b"HTTP/1.1 101 "), head
        else:
            await self.stream.send_all(ours.replace(b"KEY", accept(head)))

    async def say(self, *frames: Frame) -> None:
        """Write frames: in one go, or in pieces that are read one by one."""
        data = b"".join(encode(frame, self._is_client) for frame in frames)
        if not self._octets:
            await self.stream.send_all(data)
            return
        # Byte by byte as far as that is bearable.
        size = 1 if len(data) < 2048 else 997
        for at in range(0, len(data), size):
            try:
                await self.stream.send_all(data[at : at + size])
            except trio.BrokenResourceError:
                return  # it has failed us already; what it said is in our buffer
            for _ in range(2):
                await trio.lowlevel.checkpoint()

    async def hear(self) -> Frame | None:
        """Return the next frame; None at the end of the stream.

        Raises:
            trio.BrokenResourceError: The connection was reset.
        """
        while (frame := self._parse()) is None:
            data = await self.stream.receive_some(65536)
            if not data:
                assert not self._data, f"torn frame: {bytes(self._data)[:40]!r}"
                return None
            self._data += data
        return frame

    async def hear_last(self) -> Frame | None:
        """Return the last frame before the end of the stream."""
        last = None
        while (frame := await self.hear()) is not None:
            last = frame
        return last

    def _parse(self) -> Frame | None:
        data = self._data
        if len(data) < 2:
            return None
        masked, size, start = data[1] >= 128, data[1] & 127, 2
        assert masked != self._is_client, "masked by the wrong side"
        if size >= 126:
            start = 4 if size == 126 else 10
            least = 126 if size == 126 else 65536
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
            assert size >= least, "length is not minimal"
        key = bytes(data[start : start + 4]) if masked else b"\0\0\0\0"
        start += 4 * masked
        if len(data) < start + size:
            return None
        payload = xor(bytes(data[start : start + size]), key)
        first = data[0]
        del data[: start + size]
        return Frame(first & 15, payload, first >= 128, first >> 4 & 7)

    def is_open(self) -> bool:
        """Return whether the other side has neither closed nor reset, just now."""
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    def close_sending(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)


def accept(head: bytes) -> bytes:
    """Return what answers the key in a request's head."""
    key = next(
        line.partition(b":")[2].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    return b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
