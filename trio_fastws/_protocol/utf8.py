"""UTF-8 that is checked as it arrives (RFC 6455 8.1).

A wrapper of the standard library's incremental decoder, which fails at the first
bad byte in every case but one: it lets the first two bytes of a surrogate
(``ED A0`` to ``ED BF``) wait for their third.
"""

from __future__ import annotations

import codecs

_new_decoder = codecs.getincrementaldecoder("utf-8")


class TextDecoder:
    """Decodes one message, however it was split."""

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = _new_decoder()

    def decode(self, chunk: bytes | bytearray, final: bool) -> str:
        """Return the text of ``chunk``, as far as its characters are complete.

        Raises:
            UnicodeDecodeError: A byte is wrong, or ``final`` comes too early.
        """
        text = self._decoder.decode(chunk, final)
        waiting = self._decoder.getstate()[0]
        if len(waiting) == 2 and waiting[0] == 0xED and waiting[1] >= 0xA0:
            # RFC 3629 3: UTF-8 prohibits characters U+D800 to U+DFFF
            raise UnicodeDecodeError("utf-8", waiting, 0, 2, "surrogate")
        return text
