"""A bare stream, read and written by hand, for what goes on around frames.

Independent of the package on purpose, so that both cannot err alike.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, Self

import trio

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
# RFC 6455 1.3: what a server makes of that key.
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# struct linger, on and 0 s: what makes the kernel reset a connection.
RESET = b"\1\0\0\0\0\0\0\0"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def head(
    *fields: str,
    target: str = "/",
    method: str = "GET",
    version: str = "HTTP/1.1",
    without: tuple[str, ...] = (),
) -> bytes:
    """Return the head of a good upgrade request, changed as told."""
    lines = [
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
    ]
    kept = [line for line in lines if line.partition(":")[0] not in without]
    first = f"{method} {target} {version}"
    return "\r\n".join([first, *kept, *fields, "", ""]).encode("latin-1")


def plain(target: str = "/", method: str = "GET") -> bytes:
    """Return the head of a plain HTTP request."""
    return f"{method} {target} HTTP/1.1\r\nHost: example.com\r\n\r\n".encode()


def answer(*fields: str, accept: str = ACCEPT) -> bytes:
    """Return the head of a good 101."""
    return "\r\n".join(
        [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
            *fields,
            "",
            "",
        ]
    ).encode("latin-1")


def frame(
    opcode: int, payload: bytes = b"", *, masked: bool = True, fin: bool = True
) -> bytes:
    """Return a frame; a masked one has a key of zeros."""
    size = len(payload)
    if size < 126:
        length = bytes([size | masked << 7])
    elif size < 2**16:
        length = bytes([126 | masked << 7]) + size.to_bytes(2)
    else:
        length = bytes([127 | masked << 7]) + size.to_bytes(8)
    return bytes([opcode | fin << 7]) + length + bytes(4 * masked) + payload


def close(code: int, reason: str = "", *, masked: bool = True) -> bytes:
    """Return a Close frame."""
    return frame(CLOSE, code.to_bytes(2) + reason.encode(), masked=masked)


class Peer:
    """A stream, read by heads and by frames."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream: Any = stream
        self.data = bytearray()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await trio.aclose_forcefully(self.stream)

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        await self.stream.send_all(data)

    async def exactly(self, size: int) -> bytes:
        """Receive so many bytes."""
        while len(self.data) < size:
            more = await self.stream.receive_some(65536)
            assert more, f"the stream ended after {self.data!r}"
            self.data += more
        taken = bytes(self.data[:size])
        del self.data[:size]
        return taken

    async def rest(self) -> bytes:
        """Receive until the end of the stream; a reset is an error."""
        while more := await self.stream.receive_some(65536):
            self.data += more
        taken = bytes(self.data)
        self.data.clear()
        return taken

    async def read_head(self) -> bytes:
        """Receive a head, up to its blank line."""
        taken = b""
        while not taken.endswith(b"\r\n\r\n"):
            taken += await self.exactly(1)
        return taken

    async def read_frame(self) -> tuple[int, bytes]:
        """Receive a frame: its opcode and its payload, unmasked."""
        first, second = await self.exactly(2)
        size = second & 127
        if size > 125:
            size = int.from_bytes(await self.exactly(2 if size == 126 else 8))
        key = await self.exactly(4) if second & 128 else b""
        payload = await self.exactly(size)
        if not key:
            return first & 15, payload
        return first & 15, bytes(b ^ key[i & 3] for i, b in enumerate(payload))

    async def read_message(self) -> tuple[int, bytes]:
        """Receive a message, in one frame or in several: its opcode and its payload."""
        opcode, payload = 0, b""
        while True:
            first = (await self.exactly(1))[0]
            self.data[:0] = bytes([first])
            _, part = await self.read_frame()
            opcode, payload = opcode or first & 15, payload + part
            if first & 128:
                return opcode, payload

    async def read_close(self) -> tuple[int, str]:
        """Receive frames up to a Close: its code and reason."""
        while True:
            opcode, payload = await self.read_frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2]), payload[2:].decode()

    async def shake(self, *fields: str, target: str = "/", early: bytes = b"") -> bytes:
        """Shake hands as a client; return the server's head."""
        await self.send(head(*fields, target=target) + early)
        return await self.read_head()

    async def welcome(self, *fields: str, behind: bytes = b"") -> bytes:
        """Shake hands as a server; return the client's head."""
        request = await self.read_head()
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
        assert key is not None
        digest = hashlib.sha1(key[1] + GUID).digest()
        accept = base64.b64encode(digest).decode()
        await self.send(answer(*fields, accept=accept) + behind)
        return request

    async def reset(self) -> None:
        """Reset the connection, by the kernel."""
        self.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, RESET)
        await self.stream.aclose()


async def dial(port: int, rcvbuf: int | None = None) -> Peer:
    """Connect to a server on this machine, with a receive buffer of that size."""
    if rcvbuf is None:
        return Peer(await trio.open_tcp_stream("127.0.0.1", port))
    sock = trio.socket.socket()
    try:
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, rcvbuf)
        await sock.connect(("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return Peer(trio.SocketStream(sock))
