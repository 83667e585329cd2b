"""A raw end of a WebSocket connection, over any of trio's streams."""

from __future__ import annotations

import ssl
from os import PathLike
from typing import Any, Self

import trio

from tests.wire import http, streams
from tests.wire.deflate import Deflater, Inflater, read_agreement
from tests.wire.frames import (
    BINARY,
    CLOSE,
    MASKING_KEY,
    PONG,
    RSV1,
    Frame,
    TornError,
    WireError,
    close,
    fragments,
    ping,
    split,
)
from tests.wire.messages import Message, MessageReader

READ_SIZE = 65536


class Peer:
    """One end of a connection, written and read by hand.

    It speaks for either side: a client unless told otherwise, or a server once it
    has done the handshake of one (`welcome`). What it reads is judged as RFC 6455
    and 7692 have it (`WireError`); what it writes is whatever the test wants. It
    answers nothing by itself.

    Args:
        stream: Any stream of trio's: TCP, TLS, a Unix socket, memory.
        client: Whether it is the client of the connection.
    """

    def __init__(self, stream: trio.abc.Stream, *, client: bool = True) -> None:
        self.stream: Any = stream
        self._messages = MessageReader()
        self._deflater: Deflater | None = None
        # The extensions agreed on in the handshake, as the server named them.
        self.extensions: str | None = None
        self.client = client

    @property
    def client(self) -> bool:
        """Whether it is the client: whether it masks, and its other side must not."""
        return self._client

    @client.setter
    def client(self, client: bool) -> None:
        self._client = client
        self._messages.frames.masked = not client

    @property
    def buffer(self) -> bytearray:
        """What was received and not read yet."""
        return self._messages.frames.buffer

    @property
    def within_message(self) -> bool:
        """Whether a message was read in part."""
        return bool(self._messages.frames.within_message)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # --- bytes ----------------------------------------------------------------

    def encode(self, *items: Frame | bytes) -> bytes:
        """Return frames as this side sends them; bytes stay what they are."""
        key = MASKING_KEY if self._client else None
        return b"".join(
            item.encode(key) if isinstance(item, Frame) else item for item in items
        )

    async def send(self, *items: Frame | bytes) -> None:
        """Send frames, or bytes as they are, in one write."""
        await self.stream.send_all(self.encode(*items))

    async def send_slowly(self, *items: Frame | bytes, size: int = 1) -> None:
        """Send frames in writes of ``size`` bytes, each of which can be read alone."""
        for part in split(self.encode(*items), size):
            await self.stream.send_all(part)
            for _ in range(2):
                await trio.lowlevel.checkpoint()

    async def _receive(self) -> bool:
        """Receive some more; return False at the end of the stream."""
        data = await self.stream.receive_some(READ_SIZE)
        self.buffer.extend(data)
        return bool(data)

    async def read_exactly(self, size: int) -> bytes:
        """Read so many bytes."""
        while len(self.buffer) < size:
            if not await self._receive():
                raise WireError(f"the stream ended after {bytes(self.buffer)!r}")
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    async def read_rest(self) -> bytes:
        """Read bytes until the end of the stream.

        Raises:
            trio.BrokenResourceError: The connection was reset.
        """
        while await self._receive():
            pass
        return self._take(len(self.buffer))

    async def read_head(self) -> bytes:
        """Read the head of a request or a response, up to its blank line."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if not await self._receive():
                raise WireError(f"the stream ended after {bytes(self.buffer)!r}")
        return self._take(end + 4)

    # --- the opening handshake --------------------------------------------------

    async def shake(
        self, *fields: str, target: str = "/", early: Frame | bytes = b""
    ) -> bytes:
        """Shake hands as a client; return the server's head, a 101 or another.

        Args:
            fields: Lines to add to the request, each ``Name: value``.
            target: The request target.
            early: What to send in the same write, before there is an answer.
        """
        await self.send(http.upgrade_request(*fields, target=target), early)
        return await self.read_response()

    async def read_response(self) -> bytes:
        """Read the head of a response; a 101 is checked, and taken at its word."""
        head = await self.read_head()
        if head.startswith(b"HTTP/1.1 101 "):
            if http.field(head, "Sec-WebSocket-Accept") != http.WEBSOCKET_ACCEPT:
                raise WireError(f"another Sec-WebSocket-Accept: {head!r}")
            self._agree(http.field(head, "Sec-WebSocket-Extensions"))
        return head

    async def welcome(
        self, *fields: str, behind: Frame | bytes = b"", deflate: str | bool = False
    ) -> bytes:
        """Shake hands as a server, and be one; return the client's head.

        Args:
            fields: Lines to add to the 101, each ``Name: value``.
            behind: What to send in the same write.
            deflate: The compression to agree to, as the field's value; or whether to
                agree to what is offered first, if anything is. The windows that
                this leaves to us are the widest.
        """
        self.client = False
        request = await self.read_head()
        key = http.field(request, "Sec-WebSocket-Key")
        if key is None:
            raise WireError(f"no Sec-WebSocket-Key: {request!r}")
        offers = http.field(request, "Sec-WebSocket-Extensions")
        if deflate is True and offers is not None:
            parts = [part.strip() for part in offers.partition(",")[0].split(";")]
            deflate = "; ".join(
                part for part in parts if not part.endswith("_window_bits")
            )
        if isinstance(deflate, str):
            fields = (*fields, f"Sec-WebSocket-Extensions: {deflate}")
            self._agree(deflate)
        head = http.upgrade_response(*fields, accept=http.accept_value(key))
        await self.send(head, behind)
        return request

    def _agree(self, extensions: str | None) -> None:
        self.extensions = extensions
        if extensions is None:
            return
        client, server = read_agreement(extensions)
        ours, theirs = (client, server) if self._client else (server, client)
        self._deflater = Deflater(ours)
        self._messages.inflater = Inflater(theirs, final=False)

    # --- frames -----------------------------------------------------------------

    async def read_frame(self) -> Frame | None:
        """Read the next frame; None at the end of the stream.

        Raises:
            WireError: The frame breaks an RFC.
            TornError: The stream ends within it.
            trio.BrokenResourceError: The connection was reset.
        """
        frames = self._messages.frames
        while (frame := frames.next_frame()) is None:
            if not await self._receive():
                frames.end()
                return None
        return frame

    async def read_frames(self, count: int | None = None) -> list[Frame]:
        """Read so many frames, or all until the end of the stream."""
        frames: list[Frame] = []
        while len(frames) != count:
            frame = await self.read_frame()
            if frame is None:
                if count is None:
                    break
                raise WireError(f"ended after {frames}")
            frames.append(frame)
        return frames

    async def read_broken(self) -> list[Frame]:
        """Read all frames of a stream that was aborted: its tail may be torn."""
        frames: list[Frame] = []
        try:
            while (frame := await self.read_frame()) is not None:
                frames.append(frame)
        except (trio.BrokenResourceError, TornError):
            pass
        return frames

    async def read_close(self) -> tuple[int, str]:
        """Read frames up to a Close; return its code and reason.

        A Close that has no code counts as one with 1005 (RFC 6455 7.1.5).
        """
        while (frame := await self.read_frame()) is not None:
            if frame.opcode == CLOSE:
                code = int.from_bytes(frame.payload[:2], "big") or 1005
                return code, frame.payload[2:].decode()
        raise WireError("ended without a Close")

    async def fence(self) -> list[Frame]:
        """Ping; return the frames up to the Pong."""
        await self.send(ping(b"fence"))
        frames: list[Frame] = []
        while (frame := await self.read_frame()) != Frame(PONG, b"fence"):
            if frame is None:
                raise WireError(f"ended without a Pong, after {frames}")
            frames.append(frame)
        return frames

    # --- messages ---------------------------------------------------------------

    def assemble(self, frame: Frame) -> Message | None:
        """Take a frame that was read; return the message that it completes."""
        return self._messages.take(frame)

    async def read_message(self) -> Message:
        """Read the next message; no control frame may come before its end."""
        while True:
            frame = await self.read_frame()
            if frame is None or frame.opcode > BINARY:
                raise WireError(f"{frame} instead of a message")
            message = self.assemble(frame)
            if message is not None:
                return message

    async def read_payloads(self, count: int) -> list[bytes]:
        """Read so many messages; return what they say."""
        return [(await self.read_message()).payload for _ in range(count)]

    def deflate(self, payload: bytes, style: str = "sync") -> bytes:
        """Compress the payload of the next message to be sent."""
        if self._deflater is None:
            raise RuntimeError("no compression was agreed")
        return self._deflater.compress(payload, style)

    def pack(self, opcode: int, payload: bytes, size: int | None = None) -> list[Frame]:
        """Return a compressed message, in frames of at most ``size`` bytes."""
        data = self.deflate(payload)
        return fragments(opcode, split(data, size or len(data) or 1), RSV1)

    async def send_message(
        self, opcode: int, payload: bytes, size: int | None = None
    ) -> None:
        """Send a compressed message, in frames of at most ``size`` bytes."""
        await self.send(*self.pack(opcode, payload, size))

    # --- the end ------------------------------------------------------------------

    async def send_eof(self) -> None:
        """Close the sending side (FIN); what comes can still be read."""
        await self.stream.send_eof()

    async def finish(self, code: int = 1000) -> list[Frame]:
        """Send a Close and end in good order; return what still comes."""
        await self.send(close(code))
        if not self._client:
            # RFC 6455 7.1.1: the server closes TCP first
            await self.send_eof()
        return await self.read_frames()

    def is_open(self) -> bool:
        """Return whether the other side has neither sent, closed nor reset by now."""
        return streams.is_open(self.stream)

    def reset(self) -> None:
        """Close by a TCP reset instead of a FIN."""
        streams.reset(self.stream)

    async def aclose(self) -> None:
        """Close the stream, with no goodbye of TLS."""
        await trio.aclose_forcefully(self.stream)


async def dial(
    port: int,
    receive_buffer: int | None = None,
    *,
    tls: ssl.SSLContext | None = None,
) -> Peer:
    """Connect to a server on this machine; the handshake is still to be done.

    Args:
        port: Its port.
        receive_buffer: The size of our receive buffer, in bytes; None: the system's.
        tls: The context of a client; None: no TLS.
    """
    stream: trio.abc.Stream = await streams.open_tcp(port, receive_buffer)
    if tls is not None:
        stream = trio.SSLStream(stream, tls, server_hostname="127.0.0.1")
    return Peer(stream)


async def dial_unix(path: str | PathLike[str]) -> Peer:
    """Connect to a server at a Unix socket."""
    return Peer(await trio.open_unix_socket(str(path)))


async def accept(listener: trio.abc.Listener[Any]) -> Peer:
    """Wait for the next client of a listener; be its server."""
    return Peer(await listener.accept(), client=False)
