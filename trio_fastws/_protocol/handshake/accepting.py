# cython: annotation_typing=False
"""The server's side of an opening handshake, without I/O (RFC 6455 4.2).

Bytes in; a request to decide about, or a refusal; then the bytes of the 101 or of an
answer out. Owns the order in which a request is judged, and what came behind its head
before it was decided. Refuses to know sockets and clocks, how long anybody waits, and
how many may come in.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.tokens import is_token

from .http_head import (
    BARE_LF,
    MAX_FIELDS,
    MAX_HEAD,
    SyntaxCheck,
    find_head_end,
)
from .request import FIRST_WORDS, PROXY_LINE, check_request_line, read_request
from .response import encode_response, refuse
from .server import (
    UPGRADE_REQUIRED,
    build_accept,
    check_origin,
    check_upgrade,
    is_upgrade,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .headers import HeaderSource
    from .request import Request
    from .response import Response

# Of the PROXY protocol's version 2, which is binary (its specification, 2.2). It begins
# as an empty line does; version 1 begins with the word PROXY.
_PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"

# Longer than any of FIRST_WORDS with the space behind it.
_WORD = 16

# What no request line holds: anything but visible ASCII and spaces, up to its CR LF.
_NOT_IN_LINE = re.compile(rb"[^ -~\r]|\r[^\n]")


class ServerHandshake:
    """One opening handshake of a server, upgrade or plain HTTP.

    Attributes:
        request: What to decide about, as soon as its head is complete; also if what
            it asks for is then refused.
        upgrade: Whether it asks for a WebSocket, well or badly.
        early: What came behind the head: a WebSocket's first frames. Whoever has yet
            to decide should stop reading once there is any.
    """

    __slots__ = (
        "_max_fields",
        "_max_head",
        "_origins",
        "_partial",
        "early",
        "request",
        "upgrade",
    )

    def __init__(
        self,
        max_head: int = MAX_HEAD,
        max_fields: int = MAX_FIELDS,
        origins: Sequence[str | re.Pattern[str] | None] | None = None,
    ) -> None:
        """Begin with nothing.

        Args:
            max_head: Largest size of the request's head in bytes.
            max_fields: Largest number of its fields.
            origins: As for `check_origin`; None lets in all.
        """
        self._max_head = max_head
        self._max_fields = max_fields
        self._origins = origins
        # What came of a head that is not complete.
        self._partial: PartialHead | None = None
        self.request: Request | None = None
        self.upgrade: bool = False
        self.early: bytes = b""

    def receive(self, data: bytearray, start: int, stop: int) -> bool:
        """Take ``data[start:stop]``, which is copied.

        Returns:
            Whether there is something to decide about now. Once: what comes later
            is only kept.

        Raises:
            HandshakeError: To be refused: what came is no request, none that is
                answered here, or no good upgrade. Nothing may follow but `refuse`.
        """
        if self.request is not None:
            self.early += data[start:stop]
            return False
        if self._partial is None:
            end = data.find(b"\r\n\r\n", start, stop) + 4
            if end > start + 4:
                self.early = bytes(data[end:stop])
                self._judge(bytes(data[start:end]))
                return True
            self._partial = PartialHead(self._max_fields, self._max_head)
        end = self._partial.feed(bytes(data[start:stop]))
        if end < 0:
            return False
        self.early = bytes(data[start + end : stop])
        head = self._partial.take()
        self._partial = None
        self._judge(head)
        return True

    def receive_end(self) -> bool:
        """Return whether the end of what the peer sends is the end of it all.

        Not behind a plain request: TCP's FIN only says that no other follows it, and
        who waits for a page still reads.
        """
        return self.request is None or self.upgrade

    def _judge(self, head: bytes) -> None:
        request = read_request(head, self._max_fields, self._max_head)
        self.request = request
        if is_upgrade(request):
            self.upgrade = True
            check_upgrade(request)
            if self._origins is not None:
                check_origin(request, self._origins)

    # --- what was decided ---------------------------------------------------

    def accept(
        self,
        subprotocol: str | None = None,
        extensions: str | None = None,
        headers: HeaderSource = (),
    ) -> bytes:
        """Return the 101; see `build_accept`. Only of an upgrade."""
        request = self.request
        assert request is not None
        return build_accept(request, subprotocol, extensions, headers)

    def require_upgrade(self) -> HandshakeError:
        """Return the refusal of a plain request where an upgrade would do: 426."""
        request = self.request
        assert request is not None
        there = b"upgrade" in request._fields.index
        wrong = "is not 'websocket'" if there else "is missing"
        reason = f"Upgrade header {wrong}; {request.path} is for WebSockets"
        return HandshakeError(426, reason, UPGRADE_REQUIRED)

    def answer(self, response: Response) -> bytes:
        """Return an answer, behind which the connection ends; see `encode_response`."""
        request = self.request
        head_only = request is not None and request.method == "HEAD"
        return encode_response(response, head_only=head_only)

    def refuse(self, error: HandshakeError) -> bytes:
        """Return the answer that tells a client why it is refused."""
        return self.answer(refuse(error))


class PartialHead:
    """The beginning of a request head, refused as soon as it cannot become one.

    What is wrong with a part is said with the same words as of a whole one wherever
    that is known already. Each byte is looked at once: a peer that sends them one by
    one makes no more work than they are worth.
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
