"""The body of a server's answer: what a person may want to read of a refusal.

Owns where a body ends, by whichever of HTTP's ways, and how much of it is kept. Refuses
to know what it says, and how long anybody waits for the rest.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpResponseParser

# Of the body of a refusal so much is kept: pages of errors are smaller.
MAX_BODY = 64 * 1024


class BodyReader:
    """The body behind one response head; httptools calls it back.

    Attributes:
        complete: Whether no more is wanted: it has ended (RFC 9112 6.3: by its length,
            by its last chunk, or because there is none), as much came as is kept, or
            what came is malformed. Otherwise the connection's end is its end.
    """

    __slots__ = ("_body", "_parser", "complete")

    def __init__(self, head: bytes) -> None:
        """Begin behind a head.

        Args:
            head: That `parse_response` has parsed; not of a 1xx.
        """
        self._body = bytearray()
        self.complete: bool = False
        self._parser = HttpResponseParser(self)
        self.feed(head)

    @property
    def body(self) -> bytes:
        """What came of the body so far, chunks put together."""
        return bytes(self._body)

    def feed(self, data: bytes) -> None:
        """Take what came behind the head; what follows the body is ignored."""
        if self.complete:
            return
        try:
            self._parser.feed_data(data)
        except HttpParserError:
            # In the framing, or behind the end: what came before that stands.
            self.complete = True

    def on_headers_complete(self) -> None:
        """Called by httptools behind the head: the framing is known."""
        # RFC 9110 15.3.6: a server MUST NOT generate content in a 205 response, so
        # one without a length has none. Others without content llhttp knows.
        if self._parser.get_status_code() == 205:
            self.complete = True

    def on_body(self, data: bytes) -> None:
        """Called by httptools with a part of the body."""
        if not self.complete:
            self._body += data[: MAX_BODY - len(self._body)]
            self.complete = len(self._body) == MAX_BODY

    def on_message_complete(self) -> None:
        """Called by httptools at the end of the body."""
        self.complete = True
