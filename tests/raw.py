"""A peer made by hand: what it writes and reads is bytes, checked one by one.

Knows the wire format of RFC 6455 a second time, on purpose: nothing of the
library under test is used to judge what the library has written.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass

import trio
import trio.testing

from trio_fastws import Timeouts, serve_websocket

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION = 0
KEY = b"\x37\xfa\x21\x3d"
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Frame:
    opcode: int
    payload: bytes
    fin: bool = True


def text(value: str) -> Frame:
    return Frame(TEXT, value.encode())


def binary(value: bytes) -> Frame:
    return Frame(BINARY, value)


def close(code: int, reason: str = "") -> Frame:
    return Frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


def masked(opcode: int, payload: bytes = b"", fin: bool = True) -> bytes:
    """Return a client's frame."""
    size = len(payload)
    head = bytearray([opcode | (0x80 if fin else 0)])
    if size < 126:
        head.append(0x80 | size)
    elif size < 65536:
        head.append(0x80 | 126)
        head += size.to_bytes(2, "big")
    else:
        head.append(0x80 | 127)
        head += size.to_bytes(8, "big")
    repeated = KEY * (size // 4 + 1)
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[:size], "big")
    return bytes(head) + KEY + mixed.to_bytes(size, "big")


def masked_close(code: int | None = 1000, reason: str = "") -> bytes:
    payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
    return masked(CLOSE, payload)


def parse(data: bytearray) -> Frame | None:
    """Take one server frame from the front of ``data``; None if it is not whole."""
    if len(data) < 2:
        return None
    first, size = data[0], data[1]
    assert first & 0x70 == 0, "RSV bits are set"
    assert size < 128, "a server must not mask"
    start = 2
    if size >= 126:
        start = 4 if size == 126 else 10
        if len(data) < start:
            return None
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        return None
    payload = bytes(data[start : start + size])
    del data[: start + size]
    return Frame(first & 15, payload, first >= 0x80)


class Peer:
    """A raw client, its handshake done."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = bytearray()

    async def shake_hands(self, early: bytes = b"") -> None:
        await self.stream.send_all(REQUEST + early)
        while b"\r\n\r\n" not in self.buffer:
            data = await self.stream.receive_some()
            assert data, "closed in the handshake"
            self.buffer += data
        assert self.buffer.startswith(b"HTTP/1.1 101 "), bytes(self.buffer)
        del self.buffer[: self.buffer.index(b"\r\n\r\n") + 4]

    async def write(self, *frames: bytes) -> None:
        await self.stream.send_all(b"".join(frames))

    async def read(self) -> Frame | None:
        """Return the next frame; None at the end of the stream."""
        while (frame := parse(self.buffer)) is None:
            try:
                data = await self.stream.receive_some(65536)
            except trio.BrokenResourceError:
                data = b""
            if not data:
                assert not self.buffer, f"torn frame: {bytes(self.buffer)[:40]!r}"
                return None
            self.buffer += data
        return frame

    async def read_some(self, count: int) -> list[Frame]:
        frames = []
        for _ in range(count):
            frame = await self.read()
            assert frame is not None, f"ended after {frames}"
            frames.append(frame)
        return frames

    async def read_all(self) -> list[Frame]:
        """Return every frame until the end of the stream."""
        frames = []
        while (frame := await self.read()) is not None:
            frames.append(frame)
        return frames

    async def read_torn(self) -> list[Frame]:
        """Like `read_all`, for a stream that was aborted: its tail may be torn."""
        frames = []
        with contextlib.suppress(AssertionError):
            while (frame := await self.read()) is not None:
                frames.append(frame)
        return frames

    async def fence(self) -> list[Frame]:
        """Ping; return the frames up to its Pong."""
        await self.write(masked(PING, b"fence"))
        frames = []
        while (frame := await self.read()) != Frame(PONG, b"fence"):
            assert frame is not None
            frames.append(frame)
        return frames

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self.stream)

    def reset(self) -> None:
        """Close with a TCP reset instead of a FIN."""
        sock = self.stream.socket
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()


class Site:
    """A running server, and raw clients of it."""

    def __init__(self, server, rcvbuf) -> None:
        self.server = server
        self.rcvbuf = rcvbuf
        self.peers: list[Peer] = []

    async def connect(self) -> Peer:
        """Return a client that is connected, but has not shaken hands."""
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self.rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.rcvbuf)
        await sock.connect(("127.0.0.1", self.server.port))
        peer = Peer(trio.SocketStream(sock))
        self.peers.append(peer)
        return peer

    async def dial(self, early: bytes = b"") -> Peer:
        peer = await self.connect()
        await peer.shake_hands(early)
        return peer


@contextlib.asynccontextmanager
async def serving(handler, *, small=False, **options):
    """Serve ``handler``; with ``small``, over buffers that are soon full."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if small:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    sock.bind(("127.0.0.1", 0))
    sock.listen(64)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    options.setdefault("timeouts", Timeouts(ping_interval=None))
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            lambda task_status: serve_websocket(
                handler, listeners=[listener], task_status=task_status, **options
            )
        )
        site = Site(server, 16 * 1024 if small else None)
        try:
            yield site
        finally:
            for peer in site.peers:
                await trio.aclose_forcefully(peer.stream)
            nursery.cancel_scope.cancel()


class Keeper:
    """A handler that hands its WebSockets out, and keeps them open."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel(100)
        self.release = trio.Event()

    async def __call__(self, ws) -> None:
        self._send.send_nowait(ws)
        await self.release.wait()

    async def next(self):
        return await self._receive.receive()


@contextlib.asynccontextmanager
async def pair(**options):
    """A server's WebSocket and its raw client."""
    keeper = Keeper()
    async with serving(keeper, **options) as site:
        peer = await site.dial()
        yield await keeper.next(), peer


async def fill(ws, payload: bytes) -> list[Frame]:
    """Send until nobody takes any more; returns what was queued."""
    frames = []
    while True:
        before = len(frames)
        with contextlib.suppress(trio.WouldBlock):
            while True:
                ws.send_nowait(payload)
                frames.append(binary(payload))
        if len(frames) == before:
            return frames
        await trio.testing.wait_all_tasks_blocked(0.001)


class Writes:
    """How many writes reached a raw peer, whatever it has read of them.

    Without delay, each small write is a segment of its own, and loopback delivers
    it before the call returns.
    """

    def __init__(self) -> None:
        self._socket = None
        self._before = 0

    def _segments(self) -> int:
        # tcpi_data_segs_in of linux/tcp.h
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
        return struct.unpack_from("I", info, 152)[0]

    def watch(self, peer) -> None:
        """Count from now on."""
        self._socket = peer.stream.socket
        self._before = self._segments()

    @property
    def count(self) -> int:
        """How many came since."""
        return self._segments() - self._before


def socket_pair(
    tcp: bool,
    send_buffer: int | None = 64 * 1024,
    receive_buffer: int | None = 16 * 1024,
) -> tuple[trio.SocketStream, trio.SocketStream]:
    """Return both ends of a connection.

    From the first to the second its buffers are small; None: as the system has them.
    """
    if tcp:
        with socket.socket() as listener:
            if receive_buffer is not None:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
    else:
        ours, theirs = socket.socketpair()
    if send_buffer is not None:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    streams = []
    for sock in (ours, theirs):
        sock.setblocking(False)
        streams.append(trio.SocketStream(trio.socket.from_stdlib_socket(sock)))
    return streams[0], streams[1]
