"""Where a head ends, and the limits that come before any parsing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.handshake.http_head import find_head_end
from trio_fastws._protocol.handshake.request import parse_request
from trio_fastws._protocol.handshake.response import parse_response

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_end_of_a_head(kind: type[bytes | bytearray]) -> None:
    assert find_head_end(kind(HEAD)) == len(HEAD)
    assert find_head_end(kind(HEAD + b"\x81\x00\r\n\r\n")) == len(HEAD)
    assert find_head_end(kind(b"before" + HEAD), 6) == 6 + len(HEAD)


def test_end_of_a_head_that_comes_byte_by_byte() -> None:
    data = bytearray()
    for count, byte in enumerate(HEAD, 1):
        start = max(0, len(data) - 3)
        data.append(byte)
        expected = len(HEAD) if count == len(HEAD) else -1
        assert find_head_end(data, start) == expected


def request_head(fields: int) -> bytes:
    lines = [b"GET / HTTP/1.1", b"Host: a", *[b"X: y"] * (fields - 1), b"", b""]
    return b"\r\n".join(lines)


def response_head(fields: int) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *[b"X: y"] * fields, b"", b""])


PARSERS = pytest.mark.parametrize(
    ("parse", "make"),
    [(parse_request, request_head), (parse_response, response_head)],
)


@PARSERS
def test_number_of_fields_is_exact(
    parse: Callable[..., object], make: Callable[[int], bytes]
) -> None:
    parse(make(128))
    parse(make(3), 3)
    with pytest.raises(HandshakeError, match="129 header fields are over") as caught:
        parse(make(129))
    assert caught.value.status == 431
    with pytest.raises(HandshakeError, match="limit of 3"):
        parse(make(4), 3)


@PARSERS
def test_size_is_exact(
    parse: Callable[..., object], make: Callable[[int], bytes]
) -> None:
    head = make(2)
    parse(head, max_size=len(head))
    with pytest.raises(HandshakeError, match="over the limit of") as caught:
        parse(head, max_size=len(head) - 1)
    assert caught.value.status == 431


@pytest.mark.parametrize(
    "head",
    [HEAD[:-2], HEAD[:-1], HEAD + b"x", HEAD + HEAD, b"", b"\r\n", HEAD[:-2] + b"\n"],
)
def test_exactly_one_head(head: bytes) -> None:
    with pytest.raises(HandshakeError, match="first blank line") as caught:
        parse_request(head)
    assert caught.value.status == 400
    with pytest.raises(HandshakeError, match="first blank line") as caught:
        parse_response(head)
    assert caught.value.status == 502
