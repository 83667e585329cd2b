"""Responses: plain HTTP answers to write, and the head of a server's answer.

Owns the framing fields of an answer (``Connection``, ``Content-Length``) and the
body a client reads when refused. Refuses to know the WebSocket rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus

from trio_fastws._protocol.buffers import Buffer, copy_buffer
from trio_fastws._protocol.errors import HandshakeError

from .headers import Headers, HeaderSource, check_field, check_str, check_text
from .http_head import (
    MAX_FIELDS,
    MAX_HEAD,
    SyntaxCheck,
    check_head,
    find_head_end,
    parse_response_fields,
)

# What `encode_response` writes itself; two of them would frame the body twice.
_OWNED = frozenset({"connection", "content-length", "transfer-encoding"})

# RFC 9110 15.4.5, 15.3.5 and 15.3.6: these have no content
_NO_BODY = frozenset({204, 205, 304})

# RFC 9112 4: status-line = HTTP-version SP status-code SP [ reason-phrase ]. The
# space after the code may be missing, as in llhttp. RFC 9110 15: values outside 100
# to 599 are invalid, but a client SHOULD process them as if they were 5xx.
_STATUS_LINE = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([^\r\n]*))?(?=[\r\n]|\Z)"
)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response: to refuse an upgrade, to answer plain HTTP, or received.

    Attributes:
        status: 200 to 599; 100 to 999 in one that was received.
        headers: Given as pairs, a mapping or `Headers`; held as `Headers`.
        body: ``str`` is sent as UTF-8 text, anything bytes-like as it is. Held as
            ``bytes``.
        reason: Phrase beside the status; the usual one if not given.

    Raises:
        ValueError: The status is out of range, or allows no body and there is one; a
            header or the reason would end its line early; or a header is one that is
            written for you: Connection, Content-Length or Transfer-Encoding. The
            message says which.
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
        body: str | Buffer = b"",
        reason: str = "",
    ) -> None:
        _check_int("status", status)
        if isinstance(headers, str | bytes):
            msg = (
                f"headers must be pairs of name and value, not {headers!r}; "
                "a body goes by body="
            )
            raise TypeError(msg)
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
        try:
            data = copy_buffer(body)
        except TypeError:
            msg = f"body must be str or bytes-like, not {body!r}"
            raise TypeError(msg) from None
        _check_answer(status, headers, data)
        _fill(self, status, headers, data, reason)


def _check_int(what: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{what} must be an int, not {value!r}"
        raise TypeError(msg)


def _check_answer(status: int, headers: Headers, body: bytes) -> None:
    """Raise ValueError unless that may be written as the answer to a request."""
    if not 100 <= status <= 599:
        msg = f"status {status} is not in 100 to 599 (RFC 9110 15)"
        raise ValueError(msg)
    if status < 200:
        msg = f"status {status} does not end a request (RFC 9110 15.2)"
        raise ValueError(msg)
    if body and status in _NO_BODY:
        msg = f"a response of status {status} has no body (RFC 9110 15)"
        raise ValueError(msg)
    for name in headers:
        if name.lower() in _OWNED:
            msg = f"header {name!r} is written by the library; leave it out"
            raise ValueError(msg)


def _fill(
    response: Response, status: int, headers: Headers, body: bytes, reason: str
) -> Response:
    # The class is frozen, its constructors are not.
    put = object.__setattr__
    put(response, "status", status)
    put(response, "headers", headers)
    put(response, "body", body)
    put(response, "reason", reason or _phrase(status))
    return response


def make_received(status: int, headers: Headers, body: bytes, reason: str) -> Response:
    """Return a response as it came: nothing of it is checked.

    It may be one that nobody should write, with a status of up to 999.
    """
    return _fill(object.__new__(Response), status, headers, body, reason)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def parse_response(
    head: bytes, max_fields: int = MAX_FIELDS, max_size: int = MAX_HEAD
) -> Response:
    """Parse the head of an HTTP/1 response.

    A 1xx other than 101 is only a prelude (RFC 9110 15.2: a client MUST be able to
    parse one or more of them): drop it and parse the head that follows.

    Args:
        head: One whole head, up to `find_head_end`.
        max_fields: Largest number of header fields.
        max_size: Largest size of the head in bytes.

    Raises:
        HandshakeError: 431 if a limit is passed; 101 if that came over HTTP/1.0;
            502 if this is no HTTP response at all. What can be read of it all the
            same, `salvage_response` returns.
    """
    try:
        check_head(head, max_fields, max_size)
    except HandshakeError as error:
        if error.status != 431:
            raise HandshakeError(502, f"its {error.reason}") from None
        option = "request_head" if len(head) > max_size else "request_fields"
        raise HandshakeError(431, f"its {error.reason} (Limits.{option})") from None
    match = _STATUS_LINE.match(head)
    if match is None:
        reason = "status line is not HTTP/1.1 with a status of three digits"
        raise HandshakeError(502, reason)
    fields, wrong = parse_response_fields(head)
    if wrong:
        raise HandshakeError(502, wrong)
    if match[1] == b"0" and match[2] == b"101":
        # RFC 9110 15.2: a server MUST NOT send a 1xx response to an HTTP/1.0 client,
        # and what speaks 1.0 knows no upgrade
        raise HandshakeError(101, "it came over HTTP/1.0")
    return _received(match, fields.headers())


def salvage_response(data: bytes, max_fields: int) -> Response | None:
    """Return what can be read of a head that is cut off, malformed or too large.

    That is its status, and the first fields up to what is wrong, ``max_fields`` at
    most; None if there is not even a status.
    """
    match = _STATUS_LINE.match(data)
    if match is None:
        return None
    end = find_head_end(data)
    if end >= 0:
        data = data[: end - 2]
    # The status line and the fields; what is behind the last line end is not whole.
    lines = data.split(b"\r\n", max_fields + 1)[:-1]
    good = _count_good(lines)
    fields, _ = parse_response_fields(b"\r\n".join([*lines[:good], b"", b""]))
    return _received(match, fields.headers())


def _count_good(lines: list[bytes]) -> int:
    syntax = SyntaxCheck("response")
    for number, line in enumerate(lines):
        try:
            syntax.feed(line + b"\r\n")
        except HandshakeError:
            return number
    return len(lines)


def _received(line: re.Match[bytes], headers: Headers) -> Response:
    # llhttp took a phrase with controls in it
    reason = (line[3] or b"").decode("latin-1")
    reason = "".join(c if c.isprintable() else "?" for c in reason)
    return make_received(int(line[2]), headers, b"", reason)


def encode_response(response: Response, *, head_only: bool = False) -> bytes:
    """Return a response that ends its connection, as bytes.

    Args:
        response: What to say.
        head_only: The request was HEAD: the same head, and no body.

    Raises:
        ValueError: It is one that was received, and nobody should write: see
            `Response`.
    """
    status, headers, body = response.status, response.headers, response.body
    # One that was received is checked here only, when it is passed on.
    _check_answer(status, headers, body)
    lines = [f"HTTP/1.1 {status} {response.reason}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
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
