# cython: annotation_typing=False
"""HTTP/1.1 heads: where one ends, and which fields stand in it.

Owns the one use of httptools and everything its parser (llhttp) lets through that
both sides refuse: heads of any size, any number of fields. Refuses to know what a
WebSocket is, and never sees a byte that follows a head.
"""

from __future__ import annotations

import re

from httptools import (
    HttpParserError,
    HttpParserUpgrade,
    HttpRequestParser,
    HttpResponseParser,
)

from trio_fastws._protocol.errors import HandshakeError

from .headers import Headers

# 64 KiB: single sign-on cookies pass 8 KiB a line; nginx allows 32 KiB by default.
MAX_HEAD = 65536

# A browser sends 12 to 20 fields; a chain of proxies adds a few more each.
MAX_FIELDS = 128

# RFC 9112 2.2: a recipient MAY take a single LF for the end of a line. Whoever stands
# in between may not, and see another request.
_LF_ALONE = "a line ends with LF alone, not with CR LF"
BARE_LF = f"malformed request: {_LF_ALONE}"
_BARE_LF = re.compile(rb"(?<!\r)\n")
_NONE: frozenset[bytes] = frozenset()


class Fields:
    """The fields of a head before they are decoded; httptools calls it back.

    Attributes:
        pairs: Name and value as received, in order.
        index: Value by lower-case name, without white space around it; the lines of
            one name are joined by commas when the head is complete.
        repeated: Names that occur on several lines.
        complete: Whether httptools has understood the whole head.
    """

    __slots__ = ("complete", "index", "pairs", "repeated")

    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, bytes]] = []
        self.index: dict[bytes, bytes] = {}
        self.repeated: frozenset[bytes] = _NONE
        self.complete: bool = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field from httptools."""
        self.pairs.append((name, value))
        # llhttp drops white space before a value but leaves it after one
        if value and (value[0] <= 0x20 or value[-1] <= 0x20):
            value = value.strip(b" \t")
        self.index[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Called by httptools when all are there: join the lines of each name."""
        self.complete = True
        if len(self.index) == len(self.pairs):
            return
        # RFC 9110 5.3: repeated lines mean the same as one line joined by commas
        lines: dict[bytes, list[bytes]] = {}
        for name, value in self.pairs:
            lines.setdefault(name.lower(), []).append(value.strip(b" \t"))
        self.repeated = frozenset([n for n, some in lines.items() if len(some) > 1])
        self.index = {name: b",".join(some) for name, some in lines.items()}

    def check_single(self, names: tuple[bytes, ...]) -> None:
        """Refuse fields that must not be repeated, and are.

        Args:
            names: Lower-case field names.

        Raises:
            HandshakeError: 400, a field is there more than once. Two readers of
                such a head may each believe another one, which is how requests
                are smuggled.
        """
        for name in names:
            if name in self.repeated:
                raise HandshakeError(400, f"{display(name)} header is repeated")

    def headers(self) -> Headers:
        """Decode every field."""
        # RFC 9110 5.5: historically ISO-8859-1; it maps every byte, so nothing is lost
        return Headers(
            (name.decode("ascii"), value.strip(b" \t").decode("latin-1"))
            for name, value in self.pairs
        )


def display(name: bytes) -> str:
    """Return a lower-case field name as people write it."""
    return name.decode("ascii").title().replace("Websocket", "WebSocket")


def find_head_end(data: bytes | bytearray, start: int = 0) -> int:
    """Return the index just after the blank line that ends a head, or -1.

    Args:
        data: What was received so far.
        start: Where to look from. When more data came, pass three bytes less than
            was searched before: the blank line may be split between two reads.
    """
    end = data.find(b"\r\n\r\n", start)
    return end if end < 0 else end + 4


def check_head(head: bytes, max_fields: int, max_size: int, cut: bool = False) -> None:
    """Refuse, before any parser sees it, a head that is too large or not just one.

    Args:
        head: What to check.
        max_fields: Largest number of header fields.
        max_size: Largest size of the head in bytes.
        cut: It was cut at its first blank line: do not look for that again.

    Raises:
        HandshakeError: 431 for size or number of fields, 400 for anything but
            exactly one head.
    """
    # RFC 6585 5: 431 for fields that are, one by one or together, too large
    if len(head) > max_size:
        raise HandshakeError(
            431, f"head of {len(head)} bytes is over the limit of {max_size}"
        )
    if not cut and head.find(b"\r\n\r\n") != len(head) - 4:
        raise HandshakeError(400, "head does not end with its first blank line")
    # One line end after the start line, one for the blank line. A bare LF counts
    # too, and llhttp will refuse it; one character is counted twice as fast as two.
    fields = head.count(b"\n") - 2
    if fields > max_fields:
        raise HandshakeError(
            431, f"{fields} header fields are over the limit of {max_fields}"
        )


def parse_request_fields(head: bytes) -> Fields:
    """Return the fields of a checked request head.

    Raises:
        HttpParserError: llhttp refuses the head.
    """
    fields = Fields()
    try:
        HttpRequestParser(fields).feed_data(head)
    except HttpParserUpgrade:
        return fields  # how httptools says that HTTP ends with this head
    return fields


def explain_malformed(
    error: Exception, data: bytes, what: str = "request"
) -> HandshakeError:
    """Return the refusal of ``data``, of which llhttp says ``error``."""
    reason = _LF_ALONE if _BARE_LF.search(data) is not None else str(error)
    return HandshakeError(400, f"malformed {what}: {reason}")


class SyntaxCheck:
    """What llhttp says to a head that comes in pieces, field by field."""

    __slots__ = ("_last", "_parser", "_what")

    def __init__(self, what: str = "request") -> None:
        """Begin with nothing; ``what`` is "request" or "response"."""
        # Nobody listens: what it reads is kept nowhere.
        kind = HttpRequestParser if what == "request" else HttpResponseParser
        self._parser = kind(object())
        self._what = what
        self._last = b""

    def feed(self, piece: bytes) -> None:
        """Check what came, which does not end the head.

        Raises:
            HandshakeError: 400, no head goes on so.
        """
        data = self._last + piece
        try:
            self._parser.feed_data(piece)
        except HttpParserError as error:
            raise explain_malformed(error, data, self._what) from None
        # A line end is two bytes.
        self._last = data[-2:]


def parse_response_fields(head: bytes) -> tuple[Fields, str]:
    """Return the fields of a response head, and what is wrong with it, if anything.

    If something is, the fields are those that llhttp had read before it.
    """
    fields = Fields()
    try:
        HttpResponseParser(fields).feed_data(head)
    except (HttpParserError, HttpParserUpgrade) as error:
        # An upgrade, or a 101 without an Upgrade field, stops llhttp after the
        # head; the head itself was good, and what it lacks is said elsewhere.
        if not fields.complete:
            return fields, explain_malformed(error, head, "response").reason
    return fields, ""
