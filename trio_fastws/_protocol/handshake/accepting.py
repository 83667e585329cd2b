"""A request head that comes in pieces, refused as soon as it cannot become one.

Owns the bytes until the head is whole. What is wrong with a part of it is said with
the same words as for a whole one wherever that is known already. Refuses to know how
long anybody waits for the rest.
"""

from __future__ import annotations

import re

from trio_fastws._protocol.errors import HandshakeError

from .headers import is_token
from .http_head import BARE_LF, SyntaxCheck, find_head_end
from .request import FIRST_WORDS, PROXY_LINE, check_request_line

# Of the PROXY protocol's version 2, which is binary (its specification, 2.2). It begins
# as an empty line does; version 1 begins with the word PROXY.
_PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"

# Longer than any of FIRST_WORDS with the space behind it.
_WORD = 16

# What no request line holds: anything but visible ASCII and spaces, up to its CR LF.
_NOT_IN_LINE = re.compile(rb"[^ -~\r]|\r[^\n]")


class PartialHead:
    """The beginning of a request head.

    Each byte is looked at once: a peer that sends them one by one makes no more work
    than they are worth.
    """

    __slots__ = ("_check", "_data", "_lines", "_max_fields", "_max_size")

    def __init__(self, max_fields: int, max_size: int) -> None:
        """Begin with nothing.

        Args:
            max_fields: Largest number of header fields.
            max_size: Largest size of the head in bytes.
        """
        self._data = bytearray()
        self._max_fields = max_fields
        self._max_size = max_size
        # How many lines are complete.
        self._lines = 0
        # Of the fields; None until the request line is complete.
        self._check: SyntaxCheck | None = None

    def feed(self, piece: bytes) -> int:
        """Take what came.

        Args:
            piece: The next bytes; never empty.

        Returns:
            How many of them belong to the head, if it is whole now; else -1. A whole
            head is not checked: `parse_request` does that.

        Raises:
            HandshakeError: No head begins so; 400, 405, 431, 501 or 505, with a reason
                for the client.
        """
        data = self._data
        before = len(data)
        data += piece
        if before == 0:
            _check_first_byte(piece)
        end = find_head_end(data, max(0, before - 3))
        if end >= 0:
            del data[end:]
            return end - before
        if len(data) > self._max_size:
            reason = f"request head is over the limit of {self._max_size} bytes"
            raise HandshakeError(431, reason)
        if self._check is not None:
            self._check.feed(piece)
        elif b"\n" in piece:
            check_request_line(bytes(data[: data.index(b"\n") + 1]))
            self._check = SyntaxCheck()
            self._check.feed(bytes(data))
        else:
            self._check_line_so_far(before)
        self._lines += piece.count(b"\n")
        fields = self._lines - 1
        if fields > self._max_fields:
            reason = f"{fields} header fields are over the limit of {self._max_fields}"
            raise HandshakeError(431, reason)
        return -1

    def take(self) -> bytes:
        """Return the head, which is whole."""
        return bytes(self._data)

    def _check_line_so_far(self, before: int) -> None:
        data = self._data
        if before < _WORD:
            word, space, _ = bytes(data[:_WORD]).partition(b" ")
            if space and word == b"PROXY":
                raise HandshakeError(400, PROXY_LINE)
            known = word in FIRST_WORDS
            if not known and not space:
                known = any(other.startswith(word) for other in FIRST_WORDS)
            if not known:
                raise _not_known(word)
        # One byte again: it may be a CR.
        if _NOT_IN_LINE.search(data, max(0, before - 1)) is not None:
            raise HandshakeError(400, "request line holds what is no visible ASCII")


def _check_first_byte(piece: bytes) -> None:
    if piece.startswith(_PROXY_V2):
        raise HandshakeError(400, PROXY_LINE)
    if piece[0] in b"\r\n":
        # See `check_request_line`; no need to wait for what follows.
        bare = piece[0] == 0x0A
        raise HandshakeError(400, BARE_LF if bare else "request line is empty")


def _not_known(word: bytes) -> HandshakeError:
    if is_token(word.decode("latin-1")):
        return HandshakeError(501, "request method is not known")
    # RFC 8446 5.1: 22 is a handshake record, which a ClientHello is
    what = "TLS" if word.startswith(b"\x16") else "something else"
    return HandshakeError(400, f"this is not an HTTP request but {what}")
