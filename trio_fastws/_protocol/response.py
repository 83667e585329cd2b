"""Responses: plain HTTP answers to write, and the head of a server's answer.

Owns the framing fields of an answer (``Connection``, ``Content-Length``) and the
text a person reads when refused. Refuses to know the WebSocket rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus

from httptools import HttpParserError

from .errors import HandshakeError
from .head import MAX_FIELDS, MAX_HEAD, check_head, parse_response_fields
from .headers import Headers, HeaderSource, check_field, check_str, check_text

# What `encode_response` writes itself; two of them would frame the body twice.
_OWNED = frozenset({"connection", "content-length", "transfer-encoding"})

# RFC 9110 15.4.5, 15.3.5 and 15.3.6: these have no content
_NO_BODY = frozenset({204, 205, 304})

# RFC 9112 4: status-line = HTTP-version SP status-code SP [ reason-phrase ]. The
# space after the code may be missing, as in llhttp.
_STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-5][0-9][0-9])(?: ([^\r\n]*))?\r\n")


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response: to refuse an upgrade, to answer plain HTTP, or received.

    Attributes:
        status: 100 to 599; `encode_response` takes no 1xx.
        headers: Given as pairs, a mapping or `Headers`; held as `Headers`.
        body: ``str`` is sent as UTF-8 text, anything bytes-like as it is. Held as
            ``bytes``.
        reason: Phrase beside the status; the usual one if not given.

    Raises:
        ValueError: The status is out of range, or a header or the reason would end
            its line early. The message says which.
        TypeError: One of them, or the body, is of another type.
    """

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    reason: str = ""

    def __init__(
        self,
        status: int,
        headers: HeaderSource = (),
        body: bytes | bytearray | memoryview | str = b"",
        reason: str = "",
    ) -> None:
        if isinstance(status, bool) or not isinstance(status, int):
            msg = f"status must be an int, not {status!r}"
            raise TypeError(msg)
        if not 100 <= status <= 599:
            msg = f"status {status} is not in 100 to 599 (RFC 9110 15)"
            raise ValueError(msg)
        headers = Headers(headers)
        for name, value in headers.items():
            check_field(name, value)
        check_str("reason", reason)
        check_text("reason", reason)
        if isinstance(body, str):
            if body and "Content-Type" not in headers:
                kind = ("Content-Type", "text/plain; charset=utf-8")
                headers = Headers((*headers.items(), kind))
            body = body.encode()
        elif not isinstance(body, bytes | bytearray | memoryview):
            msg = f"body must be str or bytes-like, not {body!r}"
            raise TypeError(msg)
        # the class is frozen, its constructor is not
        put = object.__setattr__
        put(self, "status", status)
        put(self, "headers", headers)
        put(self, "body", bytes(body))
        put(self, "reason", reason or _phrase(status))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def parse_response(
    head: bytes, max_fields: int = MAX_FIELDS, max_size: int = MAX_HEAD
) -> Response:
    """Parse the head of an HTTP/1.1 response.

    A 1xx other than 101 is only a prelude (RFC 9110 15.2: a client MUST be able to
    parse one or more of them): drop it and parse the head that follows.

    Args:
        head: One whole head, up to `find_head_end`.
        max_fields: Largest number of header fields.
        max_size: Largest size of the head in bytes.

    Raises:
        HandshakeError: 431 if a limit is passed; the status received if it came
            over HTTP/1.0; 502 if this is no HTTP response at all.
    """
    try:
        check_head(head, max_fields, max_size)
    except HandshakeError as error:
        status = 431 if error.status == 431 else 502
        raise HandshakeError(status, f"server sent a {error.reason}") from None
    match = _STATUS_LINE.match(head)
    if match is None:
        reason = "server's status line is not HTTP/1.1 with a status of 100 to 599"
        raise HandshakeError(502, reason)
    status = int(match[2])
    if match[1] != b"1.1":
        raise HandshakeError(status, f"server answered {status} over HTTP/1.0")
    try:
        fields = parse_response_fields(head)
    except HttpParserError as error:
        raise HandshakeError(502, f"malformed response: {error}") from None
    # llhttp took a phrase with controls in it
    reason = (match[3] or b"").decode("latin-1")
    reason = "".join(c if c.isprintable() else "?" for c in reason)
    return Response(status, fields.headers(), reason=reason)


def encode_response(response: Response, *, head_only: bool = False) -> bytes:
    """Return a response that ends its connection, as bytes.

    Args:
        response: What to say.
        head_only: The request was HEAD: the same head, and no body.

    Raises:
        ValueError: The status is a 1xx, or allows no body and there is one; or the
            response holds a header that is written here: Connection, Content-Length
            or Transfer-Encoding.
    """
    status, headers, body = response.status, response.headers, response.body
    if status < 200:
        msg = f"status {status} does not end a request (RFC 9110 15.2)"
        raise ValueError(msg)
    if body and status in _NO_BODY:
        # here, not in the class: a peer may well send this
        msg = f"a response of status {status} has no body (RFC 9110 15)"
        raise ValueError(msg)
    lines = [f"HTTP/1.1 {status} {response.reason}"]
    for name, value in headers.items():
        if name.lower() in _OWNED:
            msg = f"header {name!r} is written by the library; leave it out"
            raise ValueError(msg)
        lines.append(f"{name}: {value}")
    # RFC 9110 8.6: MUST NOT send Content-Length with 204; a 304 would describe a 200
    if status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    # RFC 9110 7.8: a sender of Upgrade MUST also send an "Upgrade" connection option
    option = "Upgrade, close" if "Upgrade" in headers else "close"
    lines += [f"Connection: {option}", "", ""]
    head = "\r\n".join(lines).encode("latin-1")
    return head if head_only else head + body


def refuse(error: HandshakeError) -> Response:
    """Return the response that tells a client why its handshake failed."""
    phrase = _phrase(error.status)
    return Response(error.status, error.headers, f"{phrase}: {error.reason}.\n")
