"""UTF-8 that is checked as it arrives (RFC 6455 8.1).

Wraps the standard library's incremental decoder, which fails at the first bad byte
except for one case: after the first two bytes of a surrogate (``ED A0`` to ``ED BF``)
it waits for the third.
"""

from __future__ import annotations

import codecs
from io import BytesIO

from .masking import skip_characters, text_size

# Parts are joined when there are so many: a str of a few characters takes 60 bytes.
JOIN_PARTS = 256

_new_decoder = codecs.getincrementaldecoder("utf-8")


def check_part(chunk: bytes, begun: bytes, final: bool) -> bytes:
    """Check a part of a text, without decoding it if it can be helped.

    Args:
        chunk: The part.
        begun: What this returned for the part before; ``b""`` for the first.
        final: Whether the text ends here.

    Returns:
        The bytes of a last character that is not complete yet.

    Raises:
        UnicodeDecodeError: A byte is wrong, or ``final`` comes too early. Its object
            is both, together.
    """
    data = begun + chunk if begun else chunk
    at = skip_characters(data)
    if at == len(data):
        return b""
    try:
        at += codecs.utf_8_decode(data[at:], "strict", final)[1]
        waiting = data[at:]
        refuse_surrogate(waiting)
    except UnicodeDecodeError as error:
        start, end = at + error.start, at + error.end
        raise UnicodeDecodeError("utf-8", data, start, end, error.reason) from None
    return waiting


def refuse_surrogate(waiting: bytes) -> None:
    """Fail if a character that is not complete can only be a surrogate."""
    if len(waiting) == 2 and waiting[0] == 0xED and waiting[1] >= 0xA0:
        # RFC 3629 3: UTF-8 prohibits characters U+D800 to U+DFFF
        raise UnicodeDecodeError("utf-8", waiting, 0, 2, "surrogate")


class TextDecoder:
    """Decodes one message, however it is split, and holds its text.

    Attributes:
        size: Bytes of memory that the text takes.
    """

    __slots__ = ("_decoder", "_joined", "_joined_size", "_parts", "size")

    def __init__(self) -> None:
        self._decoder = _new_decoder()
        self._parts: list[str] = []
        self._joined: list[str] = []
        self.size = 0
        self._joined_size = 0

    def decode(self, chunk: bytes | bytearray, final: bool) -> str:
        """Return the text of ``chunk``, as far as its characters are complete.

        Raises:
            UnicodeDecodeError: A byte is wrong, or ``final`` comes too early.
        """
        text = self._decoder.decode(chunk, final)
        refuse_surrogate(self._decoder.getstate()[0])
        return text

    def hold(self, text: str) -> None:
        """Append ``text`` to what is held."""
        self._parts.append(text)
        self.size += text_size(text)
        if len(self._parts) == JOIN_PARTS:
            joined = "".join(self._parts)
            self._parts.clear()
            self._joined.append(joined)
            self._joined_size += text_size(joined)
            self.size = self._joined_size

    def holds_text(self) -> bool:
        """Return whether `take` would return any text."""
        return bool(self._parts or self._joined)

    def take(self) -> str:
        """Return what is held, and drop it."""
        text = "".join(self._joined + self._parts)
        self._parts.clear()
        self._joined.clear()
        self.size = self._joined_size = 0
        return text

    def as_bytes(self) -> TextChecker:
        """Return what goes on in its place, and holds all that was not taken."""
        begun = self._decoder.getstate()[0]
        checker = TextChecker(begun)
        checker.hold(self.take().encode() + begun)
        return checker


class TextChecker:
    """Checks one message, however it is split, and holds its bytes.

    Where text is received as bytes, it stands where a `TextDecoder` would.

    Attributes:
        size: Bytes that are held.
    """

    __slots__ = ("_begun", "_held", "size")

    def __init__(self, begun: bytes = b"") -> None:
        self._begun = begun
        self._held = BytesIO()
        self.size = 0

    def decode(self, chunk: bytes | bytearray, final: bool) -> bytes:
        """Return ``chunk``, checked; as `TextDecoder.decode`."""
        data = bytes(chunk)
        self._begun = check_part(data, self._begun, final)
        return data

    def hold(self, data: bytes) -> None:
        """Append ``data`` to what is held."""
        self.size += self._held.write(data)

    def holds_text(self) -> bool:
        """Return whether `take` would return anything."""
        return self.size > 0

    def take(self) -> bytes:
        """Return what is held, and drop it."""
        data = self._held.getvalue()
        self._held = BytesIO()
        self.size = 0
        return data

    def as_bytes(self) -> TextChecker:
        """Return itself."""
        return self
