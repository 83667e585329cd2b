"""Heads in pieces: whole at any cut, refused as soon as they cannot become one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.handshake.accepting import PartialHead
from trio_fastws._protocol.handshake.request import parse_request, read_request

HEAD = (
    b"GET /chat?room=1 HTTP/1.1\r\nHost: a:1\r\nConnection: keep-alive, Upgrade\r\n"
    b"Upgrade: websocket\r\nX-Empty:\r\nCookie: b=\xe9\t\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12)


def feed(*pieces: bytes, max_fields: int = 128, max_size: int = 65536) -> int:
    """Feed pieces until one says something; return how many were taken."""
    head = PartialHead(max_fields, max_size)
    for count, piece in enumerate(pieces, 1):
        if head.feed(piece) >= 0:
            return count
    return 0


def one_by_one(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


@pytest.mark.parametrize(
    "data",
    [
        HEAD,
        b"OPTIONS * HTTP/1.0\r\n\r\n",
        b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 60_000),
    ],
)
def test_a_good_head_is_whole_with_its_last_byte(data: bytes) -> None:
    head = PartialHead(128, 65536)
    for byte in one_by_one(data[:-1]):
        assert head.feed(byte) == -1
    assert head.feed(data[-1:] + b"behind") == 1
    assert parse_request(head.take()).raw == data


@given(st.lists(st.integers(1, len(HEAD) - 1)))
def test_a_good_head_is_whole_at_any_cut(cuts: list[int]) -> None:
    head = PartialHead(128, 65536)
    places = [0, *sorted(set(cuts)), len(HEAD)]
    pieces = [HEAD[a:b] for a, b in pairwise(places)]
    ends = [head.feed(piece) for piece in pieces]
    assert ends == [-1] * (len(pieces) - 1) + [len(pieces[-1])]
    assert head.take() == HEAD


BAD = [
    # What came, which of its bytes says that it is none, status and words.
    (b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\n", 400, "LF alone"),
    (b"GET / HTTP/1.1\r\nHost: a\n\n", b"GET / HTTP/1.1\r\nHost: a\n", 400, "LF alone"),
    (b"\nGET / HTTP/1.1\n\n", b"\n", 400, "LF alone"),
    (b"\r\nGET / HTTP/1.1", b"\r", 400, "request line is empty"),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", b"PROXY ", 400, "PROXY protocol"),
    (b"PROXY UNKNOWN\r\n", b"PROXY ", 400, "PROXY protocol"),
    (b"PROXY\r\n", b"PROXY\r", 400, None),
    (b"\x16\x03\x01\x02\x00\x01", b"\x16", 400, "not an HTTP request but TLS"),
    (b"\x00\x00", b"\x00", 400, "not an HTTP request"),
    (b"\xff\xfb\x01", b"\xff", 400, "not an HTTP request"),
    (b"SSH-2.0-scan", b"S", 501, "not known"),
    (b"get / HTTP/1.1", b"g", 501, "not known"),
    (b"GETS / HTTP/1.1", b"GETS", 501, "not known"),
    (b"GE / HTTP/1.1", b"GE ", 501, "not known"),
    (b" GET / HTTP/1.1", b" ", 400, "not an HTTP request"),
    (b"GET /\x00", b"GET /\x00", 400, "request line"),
    (b"GET /\xc3\xa9", b"GET /\xc3", 400, "request line"),
    (b"GET /\tx", b"GET /\t", 400, "request line"),
    (b"GET /\rx", b"GET /\rx", 400, "request line"),
    (b"GET /\r\nHost: a", b"GET /\r\n", 400, "request line is not"),
    (b"GET / x HTTP/1.1\r\n", b"GET / x HTTP/1.1\r\n", 400, "request line is not"),
    (b"POST / HTTP/1.1\r\nHost: a", b"POST / HTTP/1.1\r\n", 405, "not allowed"),
    (b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n", 505, "only HTTP/1.1"),
    (b"GET / HTTP/1.1\r\nX y", b"GET / HTTP/1.1\r\nX ", 400, "malformed request"),
    (b"GET / HTTP/1.1\r\n x", b"GET / HTTP/1.1\r\n ", 400, "malformed request"),
    (b"GET / HTTP/1.1\r\nX: \x00", b"GET / HTTP/1.1\r\nX: \x00", 400, "malformed"),
    (b"GET / HTTP/1.1\r\nX: a\r\n b", b"GET / HTTP/1.1\r\nX: a\r\n ", 400, "malformed"),
]


@pytest.mark.parametrize(("data", "certain", "status", "words"), BAD)
def test_no_head_begins_so(
    data: bytes, certain: bytes, status: int, words: str | None
) -> None:
    assert feed(*one_by_one(certain[:-1])) == 0
    with pytest.raises(HandshakeError) as caught:
        feed(*one_by_one(certain))
    assert caught.value.status == status
    assert words is None or words in caught.value.reason
    # More is known of what comes at once: SSH's line is no request line at all.
    for size in (2, 5, len(data)):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        with pytest.raises(HandshakeError) as caught:
            feed(*pieces)
        assert caught.value.status in (status, 400)


def test_the_binary_proxy_protocol_is_named_where_it_can_be_known() -> None:
    with pytest.raises(HandshakeError, match="PROXY protocol") as caught:
        feed(V2)
    assert caught.value.status == 400
    with pytest.raises(HandshakeError, match="request line is empty"):
        feed(*one_by_one(V2))


def test_a_proxy_line_in_front_of_a_request_is_named() -> None:
    with pytest.raises(HandshakeError, match="PROXY protocol") as caught:
        parse_request(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + HEAD)
    assert caught.value.status == 400


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_limits_hold_before_the_head_is_whole(size: int) -> None:
    data = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert feed(*pieces, max_fields=9) == 0
    with pytest.raises(HandshakeError, match="9 header fields are over the limit of 8"):
        feed(*pieces, max_fields=8)
    assert feed(*pieces, max_size=len(data)) == 0
    with pytest.raises(HandshakeError, match="over the limit of 69 bytes") as caught:
        feed(*pieces, max_size=len(data) - 1)
    assert caught.value.status == 431


PARTS = st.lists(
    st.sampled_from(
        b"GET | |/|HTTP/1.1|\r\n|\n|\r|Host|:|a|\x00|\xff|0|#|PROXY|OPTIONS".split(b"|")
    )
).map(b"".join)


@given(st.one_of(st.binary(), PARTS), st.booleans(), st.integers(1, 9))
def test_what_is_refused_early_would_be_refused_whole(
    data: bytes, start: bool, size: int
) -> None:
    if start:
        data = b"GET / HTTP/1.1\r\nHost: a\r\n" + data
    head = PartialHead(128, 65536)
    try:
        for at in range(0, len(data), size):
            if head.feed(data[at : at + size]) >= 0:
                return
    except HandshakeError:
        # Whatever may follow: nothing makes a request of it.
        for more in (b"", b"\r\n", b" / HTTP/1.1\r\nHost: a", b": a", b"\nHost: a"):
            with pytest.raises(HandshakeError):
                read_request(data + more + b"\r\n\r\n")
