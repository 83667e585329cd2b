"""Streams for a test: pairs with small buffers, listeners in memory, resets."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from typing import Any

import trio
import trio.testing

# struct linger, on and 0 s: what makes the kernel reset a connection.
RESET = struct.pack("ii", 1, 0)


def socket_of(stream: Any) -> Any:
    """Return the socket below a stream, through TLS too."""
    while hasattr(stream, "transport_stream"):
        stream = stream.transport_stream
    return getattr(stream, "socket", stream)


def reset(stream: Any) -> None:
    """Close a TCP socket, or the one below a stream, by a reset instead of a FIN."""
    sock = socket_of(stream)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def is_open(stream: Any) -> bool:
    """Return whether nothing can be read just now: no byte, no FIN and no reset."""
    poll = select.poll()
    poll.register(socket_of(stream).fileno(), select.POLLIN)
    return not poll.poll(0)


def read_now(sock: socket.socket) -> bytes:
    """Return what a non-blocking socket holds now."""
    data = bytearray()
    while True:
        try:
            piece = sock.recv(1 << 20)
        except BlockingIOError:
            return bytes(data)
        if not piece:
            return bytes(data)
        data += piece


async def open_tcp(port: int, receive_buffer: int | None = None) -> trio.SocketStream:
    """Connect to a server on this machine.

    Args:
        port: Its port.
        receive_buffer: The size of our receive buffer, in bytes; None: the system's.
    """
    if receive_buffer is None:
        return await trio.open_tcp_stream("127.0.0.1", port)
    sock = trio.socket.socket()
    try:
        # Before it connects: afterwards the window of TCP is what it is.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.connect(("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


def tcp_listener(send_buffer: int | None = None) -> trio.SocketListener:
    """Return a listener on a free port of this machine.

    Args:
        send_buffer: The size of the send buffers of what it accepts, in bytes.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if send_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    sock.bind(("127.0.0.1", 0))
    sock.listen(64)
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def port_of(listener: trio.SocketListener) -> int:
    """Return the port of a listener of TCP."""
    port: int = listener.socket.getsockname()[1]
    return port


def socket_pair(
    tcp: bool,
    send_buffer: int | None = 64 * 1024,
    receive_buffer: int | None = 16 * 1024,
) -> tuple[trio.SocketStream, trio.SocketStream]:
    """Return both ends of a connection, of TCP or of a Unix socket pair.

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
    first, second = (
        trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        for sock in (ours, theirs)
    )
    return first, second


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """A listener whose connections need neither a kernel nor a real clock."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](1000)
        self.closed = False

    def connect(
        self, make_pair: Callable[[], Any] = trio.testing.memory_stream_pair
    ) -> Any:
        """Return the client's end of a new connection."""
        client, server = make_pair()
        self._send.send_nowait(server)
        return client

    def waiting(self) -> int:
        """Return how many connections have not been accepted."""
        return self._receive.statistics().current_buffer_used

    async def accept(self) -> trio.abc.Stream:
        """Wait for the next connection; return the server's end."""
        return await self._receive.receive()

    async def aclose(self) -> None:
        """Stop listening."""
        self.closed = True
        self._send.close()
        self._receive.close()
        await trio.lowlevel.checkpoint()


class Writes:
    """How many writes reached a TCP socket, whatever was read of them.

    Without delay, each small write is a segment of its own, and loopback delivers
    it before the call returns.
    """

    def __init__(self) -> None:
        self._socket: Any = None
        self._before = 0

    def _segments(self) -> int:
        # tcpi_data_segs_in of linux/tcp.h
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
        count: int = struct.unpack_from("I", info, 152)[0]
        return count

    def watch(self, stream: Any) -> None:
        """Count from now on."""
        self._socket = socket_of(stream)
        self._before = self._segments()

    @property
    def count(self) -> int:
        """How many came since."""
        return self._segments() - self._before
