# cython: annotation_typing=False
"""Compressed messages: inflated as they arrive (RFC 7692 6.2, 7.2.2).

In steps of a bounded size, each of which may return an event; the output is collected
as that of plain messages is. The limit on messages counts inflated bytes, and no more
than one byte over it is ever inflated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_fastws._protocol.deflate.context import INPUT_STEP

from .codes import TEXT
from .errors import ProtocolError
from .events import WORKING
from .masking import check_text, unmask, unmask_in_place
from .messages import MessageParser, not_utf8, too_many

if TYPE_CHECKING:
    from .events import Piece, Working


class CompressedParser(MessageParser):
    """Puts messages together, compressed or not."""

    __slots__ = ()

    def _read_deflated(self) -> str | bytes | Piece | Working | None:
        """Inflate a step of what is there of a compressed message's frame."""
        deflate = self.deflate
        assert deflate is not None
        at = self._position
        if not deflate.busy():
            take = min(self._remaining, self._stop - at, INPUT_STEP)
            phase = (self._length - self._remaining) & 3
            self._position = at + take
            self._remaining -= take
            ended = self._fin and self._remaining == 0
            if phase == 0:
                chunk = unmask(self._data, at, at + take, self._key)
            else:
                unmask_in_place(self._data, at, at + take, self._key, phase)
                chunk = bytes(memoryview(self._data)[at : at + take])
            deflate.feed(chunk, ended)
            # Its cost, in frames: the owner reads the clock after 64. Input that
            # inflates to nothing costs as much as any other.
            self.frames = (self.frames + (take >> 6)) & 0x3FFFFFFF
        data = b""
        streams = deflate.streams
        if deflate.busy():
            data = deflate.inflate(self._max_message - self._size + 1)
            if deflate.streams > streams:
                # Each costs as much as a fragment, and there may be thousands.
                self.frames = (self.frames + 8) & 0x3FFFFFFF
                self._fragments += 1
                if self._fragments > self._max_fragments:
                    raise too_many(self._max_fragments)
        return self._take_inflated(data, deflate.busy())

    def _take_inflated(
        self, data: bytes, busy: bool
    ) -> str | bytes | Piece | Working | None:
        # Collect or give away what came of a step.
        size = len(data)
        if size > self._max_message - self._size:
            limit = self._max_message
            raise ProtocolError(
                1009,
                f"message inflates to over the limit of {limit} (Limits.message_size)",
            )
        self.frames: int = (self.frames + (size >> 10)) & 0x3FFFFFFF
        self._in_payload = busy or self._remaining > 0
        final = self._fin and not self._in_payload
        if final and self._size == 0 and self._text is None and not self.streaming:
            # Most messages are inflated in one step.
            message: str | bytes = data
            if self._opcode == TEXT:
                message = _read_text(data, self.text_as_bytes)
            self._end_message(size)
            return message
        piece: str | bytes = data
        if self._opcode == TEXT:
            piece = self._decode(data, final)
        elif data and not self.streaming:
            self._store().add(data, self._size, 0)
        self._size += size
        event: str | bytes | Piece | None = None
        if self.streaming:
            event = self._give_piece(piece)
        elif final:
            event = self._finish_message()
        if event is None and (
            size > 0 or busy or (self._in_payload and self._stop > self._position)
        ):
            return WORKING
        return event


def _read_text(data: bytes, as_bytes: bool) -> str | bytes:
    text: str | bytes = data
    try:
        if as_bytes:
            check_text(data)
        else:
            text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(error) from None
    return text
