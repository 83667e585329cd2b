# cython: annotation_typing=False
"""Messages: data frames put together (RFC 6455 5.4, 5.6, 8.1).

Owns a message that is not complete, and the limits on it. One that is complete in the
lent buffer becomes its ``str`` or ``bytes`` in one step. Otherwise binary is collected
in a `BinaryStore`, into which the transport can receive directly, and text is decoded,
and so checked, as it arrives; or checked only, if it is received as bytes.

A message for which there is no memory is refused like one over a limit: `MemoryError`
and `OverflowError` are raised here, and translated by `Endpoint.next_event`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .codes import BINARY, CONTINUATION, TEXT
from .errors import ProtocolError
from .events import Piece
from .frames import NOTHING, FrameParser
from .masking import check_text, unmask, unmask_in_place, unmask_text
from .store import DIRECT_FROM as DIRECT_FROM, STAGE as STAGE, BinaryStore
from .utf8 import TextChecker, TextDecoder

if TYPE_CHECKING:
    from trio_fastws._protocol.deflate.context import DeflateContext

    from .codes import Role
    from .events import Working


NO_LIMIT = 2**62
# Every message may have so many fragments; and one for every so many bytes of
# the limit: 4 MiB in fragments of 64 bytes still pass under 16 MiB.
FREE_FRAGMENTS = 1024
BYTES_PER_FRAGMENT = 128


class MessageParser(FrameParser):
    """Assembles messages from frames."""

    __slots__ = (
        "_binary",
        "_deflated",
        "_fragments",
        "_max_fragments",
        "_max_message",
        "_opcode",
        "_size",
        "_text",
        "bytes_received",
        "deflate",
        "messages_received",
        "streaming",
        "text_as_bytes",
        "wants_buffer",
    )

    def _init_messages(
        self,
        role: Role,
        max_message: int | None,
        max_fragments: int | None,
        deflate: DeflateContext | None,
    ) -> None:
        self._init_frames(role)
        self.rsv1_allowed: bool = deflate is not None
        self.deflate: DeflateContext | None = deflate
        self._max_message = NO_LIMIT if max_message is None else max_message
        if max_fragments is not None:
            self._max_fragments = max_fragments
        else:
            self._max_fragments = max(
                FREE_FRAGMENTS, self._max_message // BYTES_PER_FRAGMENT
            )
        # Of the message in progress: its opcode (0: none), fragments and bytes.
        self._opcode = 0
        self._deflated = False
        self._fragments = 0
        self._size: int = 0
        self._binary: BinaryStore | None = None
        self._text: TextDecoder | TextChecker | None = None
        # Whether text is checked, and not decoded.
        self.text_as_bytes: bool = False
        # Whether `get_buffer` has something to give.
        self.wants_buffer: bool = False
        # Whether messages are given away in pieces as they arrive.
        self.streaming: bool = False
        self.messages_received: int = 0
        self.bytes_received: int = 0

    @property
    def buffered(self) -> int:
        """Bytes held of an incomplete message, and of input not parsed yet."""
        held = 0 if self.streaming and not self._holds() else self._size
        if self.deflate is not None:
            held += self.deflate.buffered()
        return held + self._stop - self._position

    def memory_size(self) -> int:
        """Return the bytes of memory taken by what `buffered` counts."""
        held = len(self._data) if self._kept else 0
        if self._binary is not None:
            held += self._binary.room
        if self._text is not None:
            held += self._text.size
        if self.deflate is not None:
            held += self.deflate.memory_size()
        return held

    def _holds(self) -> bool:
        # Whether something of a message was collected and not given away.
        return self._binary is not None or (
            self._text is not None and self._text.holds_text()
        )

    def _begin_data(self) -> None:
        """Check whether the data frame may come now, and the limits on its message."""
        kind = self._kind
        if kind == CONTINUATION:
            if self._opcode == 0:
                raise ProtocolError(1002, "continuation of no message")
            if self._rsv1:
                # RFC 7692 6.1: only the first fragment of a message has it
                raise ProtocolError(1002, "RSV1 is set on a continuation")
        elif self._opcode != 0:
            # RFC 6455 5.4: fragments of one message MUST NOT be interleaved
            # between the fragments of another
            raise ProtocolError(1002, "new message before the last one ended")
        else:
            self._opcode = kind
            # RFC 7692 6.2: RSV1 of the first fragment is for the whole message
            self._deflated = self._rsv1
        # The limit holds on what comes out of a compressed message; see
        # `_read_deflated`. Compared without adding, which could overflow.
        if self._length > self._max_message - self._size and not self._deflated:
            limit = self._max_message
            size = f"{self._size} + {self._length}" if self._size else self._length
            more = "" if self._fin else " or more"
            # It must fit into a Close, whatever the numbers are: 123 bytes.
            raise ProtocolError(
                1009,
                f"message of {size} bytes{more} is over the limit of {limit} "
                "(Limits.message_size)",
            )
        self._fragments += 1
        if self._fragments > self._max_fragments:
            raise too_many(self._max_fragments)

    def _read_data(self) -> str | bytes | Piece | Working | None:
        """Read what is there of a data frame; None if nothing comes of it yet."""
        if self._deflated:
            return self._read_deflated()
        at = self._position
        available = self._stop - at
        if (
            self._fin
            and self._size == 0
            and available >= self._remaining
            and self._remaining == self._length
            and not self.streaming
            and self._binary is None
            and self._text is None
        ):
            return self._read_whole(at, at + self._length)
        take = min(self._remaining, available)
        piece = self._collect(at, at + take)
        self._position = at + take
        self._advance(take)
        self._in_payload = self._remaining > 0
        if self.streaming:
            return self._give_piece(piece)
        if self._in_payload or not self._fin:
            return None
        return self._finish_message()

    def _read_whole(self, start: int, stop: int) -> str | bytes:
        """Read a message that is complete in the lent buffer."""
        data = self._data
        message: str | bytes
        if self._opcode == BINARY:
            message = unmask(data, start, stop, self._key)
        else:
            try:
                if self.text_as_bytes:
                    message = unmask(data, start, stop, self._key)
                    check_text(message)
                else:
                    message = unmask_text(data, start, stop, self._key)
            except UnicodeDecodeError as error:
                raise not_utf8(error) from None
        self._position = stop
        self._in_payload = False
        if stop == self._stop:
            self._data = NOTHING  # it was lent until here
            self.drained: bool = self.deflate is None  # else there may be a window
        self.messages_received += 1
        self.bytes_received += stop - start
        self._opcode = 0
        self._fragments = 0
        return message

    def _read_deflated(self) -> str | bytes | Piece | Working | None:
        """Do the same for a compressed message; see `CompressedParser`."""
        raise NotImplementedError  # pragma: no cover - it is never made alone

    def _end_message(self, size: int) -> None:
        if self._deflated and self.deflate is not None:
            self.deflate.count(size)
        self.messages_received += 1
        self.bytes_received += size
        self._opcode = 0
        self._fragments = 0
        self._size = 0

    def _advance(self, size: int) -> None:
        self._size += size
        self._remaining -= size
        self.wants_buffer = (
            self._remaining >= DIRECT_FROM
            and self._size >= STAGE
            and self._opcode == BINARY
            and not self.streaming
        )

    def _collect(self, start: int, stop: int) -> str | bytes:
        """Process a part of a payload; return it, or b"" if it was stored."""
        phase = (self._length - self._remaining) & 3
        data = self._data
        if self._key:
            unmask_in_place(data, start, stop, self._key, phase)
        if self._opcode == TEXT:
            final = self._fin and stop - start == self._remaining
            return self._decode(data[start:stop], final)
        if self.streaming:
            return bytes(data[start:stop])
        part = memoryview(data)[start:stop]
        self._store().add(part, self._size, self._size + self._remaining)
        return b""

    def _decode(self, chunk: bytearray | bytes, final: bool) -> str | bytes:
        if self._text is None:
            self._text = TextChecker() if self.text_as_bytes else TextDecoder()
        try:
            text: Any = self._text.decode(chunk, final)
        except UnicodeDecodeError as error:
            raise not_utf8(error) from None
        if text and not self.streaming:
            self._text.hold(text)
        return text  # type: ignore[no-any-return]  # it is what the one or other has

    def _store(self) -> BinaryStore:
        """Return where binary is collected."""
        if self._binary is None:
            self._binary = BinaryStore()
        return self._binary

    def get_buffer(self) -> memoryview | None:
        """Return a buffer for the rest of a large payload; None for no large one.

        Write to its start, then call `filled`. It is at most as long as the rest of
        the payload, and the next call of any method that receives may release it.
        """
        if not self.wants_buffer:
            return None
        return self._store().get_buffer(self._size, self._size + self._remaining)

    def filled(self, size: int) -> None:
        """Process ``size`` bytes that were written to the start of that buffer.

        Raises:
            ValueError: It was not that long.
        """
        if self._binary is None:
            raise ValueError(f"there was no room for {size} bytes")
        view = self._binary.get_view(size)
        phase = (self._length - self._remaining) & 3
        if self._key:
            unmask_in_place(view, 0, size, self._key, phase)
        self._binary.take_back()
        self._advance(size)

    def _give_piece(self, piece: str | bytes) -> Piece | None:
        final = self._fin and not self._in_payload
        if final:
            self._end_message(self._size)
            self._text = None
        elif not piece:
            return None
        return Piece(piece, final)

    def _give_collected(self) -> Piece | None:
        """Return what came before `streaming` was set, as a first piece."""
        self.wants_buffer = False
        piece = self._take_collected()
        return Piece(piece, False) if piece else None

    def _finish_message(self) -> str | bytes:
        """Return the message that is complete now."""
        message = self._take_collected()
        self._end_message(self._size)
        self._text = None
        return message

    def _take_collected(self) -> str | bytes:
        if self._text is not None:
            return self._text.take()
        store = self._store()
        self._binary = None
        return store.take(self._size)

    def _drop_message(self) -> None:
        """Drop the message in progress."""
        self._binary = None
        self._text = None
        self._size = 0
        self.wants_buffer = False
        if self.deflate is not None:
            self.deflate.drop_message()


def too_many(limit: int) -> ProtocolError:
    """Return the error for a message of too many fragments."""
    return ProtocolError(
        1009, f"message of more than {limit} fragments (Limits.fragments)"
    )


def not_utf8(error: UnicodeDecodeError) -> ProtocolError:
    """Return the error for a text that is not UTF-8."""
    # RFC 6455 8.1: MUST fail the connection on bytes that are not UTF-8
    return ProtocolError(1007, f"text is not UTF-8: {error.reason}")
