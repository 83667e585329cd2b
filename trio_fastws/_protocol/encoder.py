# cython: annotation_typing=False
"""Messages that are sent: from a payload to frames (RFC 6455 5.4, RFC 7692 6.1).

Owns whether a message is compressed, and how it is divided into frames. The layout of a
frame is in `frames`; control frames and the closing handshake are in `endpoint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .codes import FIN, RSV1, Role
from .controls import WaitingControls
from .frames import encode_frames, encode_slice
from .inflating import CompressedParser

if TYPE_CHECKING:
    from .prepared import PreparedMessage

SERVER = int(Role.SERVER)
# Larger than any message.
NO_LIMIT = 2**62


class MessageEncoder(CompressedParser):
    """Encodes messages. `Endpoint` adds control frames and the closing handshake."""

    __slots__ = (
        "bytes_sent",
        "close_received",
        "close_sent",
        "dividing",
        "failed",
        "messages_sent",
    )

    def _init_encoder(self) -> None:
        # How the connection ends, in both directions; see `endpoint`.
        self.close_sent: bool = False
        self.close_received: bool = False
        self.failed: bool = False
        # A compressed message was begun by a fragment, and not ended.
        self.dividing: bool = False
        self.messages_sent: int = 0
        self.bytes_sent: int = 0

    def encode(
        self,
        opcode: int,
        payload: bytes,
        fin: bool,
        parts: list[bytes],
        frame_size: int = NO_LIMIT,
    ) -> int:
        """Encode a whole message, or a part of one.

        Args:
            opcode: TEXT or BINARY, CONTINUATION for all parts but the first.
                With `RSV1` it is compressed if that was agreed upon; pass that
                for all parts or for none. A whole message that gets no smaller
                is sent plain, except with a persistent compressor, whose window
                has it by then.
            payload: Its bytes; kept by reference if they are many.
            fin: Whether the message ends with it.
            parts: Gets what has to be written, in order.
            frame_size: Most bytes of a frame; what has more goes in fragments.

        Returns:
            How many bytes were appended to ``parts``.

        Raises:
            RuntimeError: Our Close was sent before.
        """
        compressed = opcode & RSV1 != 0 and self.deflate is not None
        opcode &= ~RSV1
        if compressed:
            data = self.compress(opcode, payload, fin, True)
            if data is not None:
                return self.encode_compressed(opcode, data, fin, parts, frame_size)
        else:
            self._count(len(payload), fin)
        if fin:
            opcode |= FIN
        return encode_frames(self.role, opcode, payload, frame_size, parts)

    def encode_message(
        self,
        opcode: int,
        payload: bytes,
        prepared: PreparedMessage | None,
        parts: list[bytes],
        frame_size: int,
    ) -> int:
        """Encode a whole message, which may be prepared. As `encode`."""
        if prepared is None:
            return self.encode(opcode, payload, True, parts, frame_size)
        return self.encode_prepared(prepared, opcode & RSV1 != 0, parts, frame_size)

    def _count(self, size: int, fin: bool) -> None:
        if self.close_sent:
            # RFC 6455 5.5.1: MUST NOT send any more data frames after a Close
            raise RuntimeError("a data frame cannot follow our Close")
        if fin:
            self.messages_sent += 1
        self.bytes_sent += size

    def compress(
        self, opcode: int, payload: bytes, fin: bool, flush: bool
    ) -> bytes | None:
        """Compress a part of a message, for `encode_compressed`.

        Args:
            opcode: As for `encode`, without `RSV1`.
            payload: Its bytes.
            fin: Whether the message ends with it.
            flush: See `DeflateContext.compress`.

        Returns:
            None if it is sent plain; see `encode`.
        """
        self._count(len(payload), fin)
        context = self.deflate
        assert context is not None
        # Counted as work of the turn: a hook may send as much as it receives.
        work = 1 + (len(payload) >> 7)
        self.frames: int = (self.frames + work) & 0x3FFFFFFF
        return context.compress(opcode, payload, fin, flush)

    def encode_compressed(
        self, opcode: int, data: bytes, fin: bool, parts: list[bytes], frame_size: int
    ) -> int:
        """Encode what `compress` returned. Otherwise as `encode`."""
        self.dividing = not fin
        # RFC 7692 6.1: only the first fragment of a message has it
        if opcode:
            opcode |= RSV1
        if fin:
            opcode |= FIN
        size = encode_frames(self.role, opcode, data, frame_size, parts)
        if fin:
            postponed = self.take_postponed()
            if postponed:
                parts.append(postponed)
                size += len(postponed)
        return size

    def postpone(self, kind: int, frame: bytes) -> bool:
        """Keep a Ping or a Pong while `dividing`: it leaves behind that message.

        RFC 6455 5.4 lets it stand between the fragments, and RFC 7692 does too; but
        peers that are built on wsproto or Tornado then take the rest of the message
        for garbage, without an error.

        Returns:
            Whether it is the first: whoever calls bounds the wait, for on a slow link
            a peer must not be left without an answer.
        """
        context = self.deflate
        assert context is not None
        first = context.postponed is None
        if context.postponed is None:
            context.postponed = WaitingControls()
        context.postponed.add(kind, frame)
        return first

    def take_postponed(self) -> bytes:
        """Return the control frames that were postponed, which wait no longer."""
        context = self.deflate
        assert context is not None
        postponed = context.postponed
        if postponed is None:
            return b""
        context.postponed = None
        return postponed.join()

    def encode_part(
        self,
        opcode: int,
        payload: bytes,
        start: int,
        stop: int,
        fin: bool,
        parts: list[bytes],
    ) -> int:
        """Encode ``payload[start:stop]`` as a plain fragment. Otherwise as `encode`."""
        self._count(stop - start, fin)
        if fin:
            opcode |= FIN
        return encode_slice(self.role, opcode, payload, start, stop, parts)

    def encode_shared(
        self, frame: tuple[list[bytes], int, int], fin: bool, parts: list[bytes]
    ) -> int:
        """Encode a plain fragment that connections share. Otherwise as `encode`."""
        self._count(frame[2], fin)
        parts += frame[0]
        return frame[1]

    def compresses(self) -> bool:
        """Return whether messages can be compressed."""
        return self.deflate is not None and self.deflate.agreement.compresses

    def in_steps(self, size: int) -> bool:
        """Return whether to compress a payload of so many bytes in steps.

        Steps have `step` bytes at most, so that other connections need not wait.
        """
        return self.compresses() and size > self.step

    @property
    def step(self) -> int:
        """How much of a message to compress at once; see `in_steps`."""
        assert self.deflate is not None
        return self.deflate.agreement.step

    def may_share(self, size: int) -> bool:
        """Return whether a frame may be sent that was compressed for many."""
        if self.deflate is None or self.role != SERVER:
            return False
        agreement = self.deflate.agreement
        return agreement.shares and size <= agreement.share_size

    def encode_prepared(
        self,
        prepared: PreparedMessage,
        compress: bool,
        parts: list[bytes],
        frame_size: int = NO_LIMIT,
    ) -> int:
        """Encode a message that goes to many: with the frame they share, if any.

        Args:
            prepared: The message.
            compress: Whether to compress it, if that was agreed upon.
            parts: As for `encode`; returns and raises as that does.
            frame_size: As for `encode`.
        """
        payload = prepared.payload
        context = self.deflate if compress and payload else None
        if (
            self.role != SERVER
            or self.close_sent
            or (context is not None and not self.may_share(len(payload)))
        ):
            first = prepared.opcode | RSV1 if compress else prepared.opcode
            return self.encode(first, payload, True, parts, frame_size)
        frame = None
        if context is not None:
            frame = prepared._get_compressed(context.agreement, frame_size)
            if frame is not None:
                context.add_shared(payload, frame[2])
        if frame is None:
            if len(payload) > frame_size:
                return self._encode_shared_whole(prepared, parts, frame_size)
            frame = prepared._get_plain()
        self._count(len(payload), True)
        parts += frame[0]
        return frame[1]

    def _encode_shared_whole(
        self, prepared: PreparedMessage, parts: list[bytes], frame_size: int
    ) -> int:
        size = 0
        fragments = prepared._get_fragments(frame_size)
        for number, frame in enumerate(fragments, 1):
            size += self.encode_shared(frame, number == len(fragments), parts)
        return size
