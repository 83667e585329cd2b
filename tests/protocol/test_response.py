"""Responses: plain HTTP written, and the head of a server's answer read."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, strategies as st

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.handshake.headers import Headers
from trio_fastws._protocol.handshake.response import (
    Response,
    encode_response,
    make_received,
    parse_response,
    refuse,
)


@pytest.mark.parametrize(
    ("response", "data"),
    [
        (
            Response(200, {"X": "y"}, b"hello"),
            b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n"
            b"Connection: close\r\n\r\nhello",
        ),
        (
            Response(404, body="gr\xfc\xdfe"),
            b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: 7\r\nConnection: close\r\n\r\ngr\xc3\xbc\xc3\x9fe",
        ),
        (
            Response(200, {"content-type": "text/html"}, "<p>"),
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n"
            b"Content-Length: 3\r\nConnection: close\r\n\r\n<p>",
        ),
        (
            Response(503, body=""),
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
            b"Connection: close\r\n\r\n",
        ),
        # RFC 9110 8.6: MUST NOT send Content-Length with 204
        (Response(204), b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
        (Response(304), b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"),
        # RFC 9110 7.8: a sender of Upgrade MUST also send the connection option
        (
            Response(426, {"Upgrade": "websocket"}),
            b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n"
            b"Content-Length: 0\r\nConnection: Upgrade, close\r\n\r\n",
        ),
        (
            Response(599, reason="Mine"),
            b"HTTP/1.1 599 Mine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        (
            Response(299),
            b"HTTP/1.1 299 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
    ],
)
def test_written_and_read(response: Response, data: bytes) -> None:
    assert encode_response(response) == data
    head, _, body = data.partition(b"\r\n\r\n")
    # RFC 9110 9.3.2: HEAD gets the same fields and no body
    assert encode_response(response, head_only=True) == head + b"\r\n\r\n"
    read = parse_response(head + b"\r\n\r\n")
    assert (read.status, read.reason) == (response.status, response.reason)
    assert read.headers.items()[: len(response.headers)] == response.headers.items()
    # how a client adds the body it reads afterwards
    read = make_received(read.status, read.headers, body, read.reason)
    assert read.body == response.body


def test_a_response_is_frozen_and_compares() -> None:
    response = Response(200, [("A", "b")], "x")
    assert response == Response(200, response.headers, b"x")
    assert isinstance(response.headers, Headers)
    with pytest.raises(dataclasses.FrozenInstanceError):
        response.status = 201


@pytest.mark.parametrize("status", [-1, 0, 99, 600, 1000])
def test_status_out_of_range(status: int) -> None:
    with pytest.raises(ValueError, match=f"status {status} is not in 100 to 599"):
        Response(status)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_status_without_body(status: int) -> None:
    assert encode_response(Response(status, body=""))
    with pytest.raises(ValueError, match=f"status {status} has no body"):
        Response(status, body=b"x")
    # one that was received may be held, and not be passed on
    response = make_received(status, Headers(), b"x", "")
    with pytest.raises(ValueError, match=f"status {status} has no body"):
        encode_response(response)


@pytest.mark.parametrize("name", ["Connection", "content-length", "Transfer-Encoding"])
def test_framing_is_ours(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is written by the library"):
        Response(200, {name: "1"})
    received = make_received(200, Headers({name: "1"}), b"", "")
    with pytest.raises(ValueError, match=f"'{name}' is written by the library"):
        encode_response(received)


def test_no_prelude_is_an_answer() -> None:
    with pytest.raises(ValueError, match="status 101 does not end a request"):
        Response(101)
    with pytest.raises(ValueError, match="status 101 does not end a request"):
        encode_response(make_received(101, Headers(), b"", ""))


@pytest.mark.parametrize("body", ["not found", b"not found"])
def test_a_body_in_place_of_the_headers(body: str | bytes) -> None:
    words = "headers must be pairs of name and value, not .*; a body goes by body="
    with pytest.raises(TypeError, match=words):
        Response(404, body)  # type: ignore[arg-type]


def test_a_refusal_can_be_read_by_a_person() -> None:
    error = HandshakeError(426, "it rains", (("Upgrade", "websocket"),))
    response = refuse(error)
    assert response.status == 426
    assert response.headers["Upgrade"] == "websocket"
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.body == b"Upgrade Required: it rains.\n"


def test_a_101() -> None:
    response = parse_response(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nX: \xe9 \r\nX:\r\n\r\n"
    )
    assert (response.status, response.reason) == (101, "Switching Protocols")
    assert response.headers.get_all("X") == ("\xe9", "")


def test_a_101_that_upgrades_to_nothing_is_still_read() -> None:
    response = parse_response(b"HTTP/1.1 101 Switching\r\nX: y\r\n\r\n")
    assert (response.status, response.headers["X"]) == (101, "y")


def test_a_103_is_a_head_of_its_own() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert parse_response(early).status == 103
    with pytest.raises(HandshakeError, match="first blank line"):
        parse_response(early + b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"HTTP/1.1 200", "OK"),
        (b"HTTP/1.1 200 ", "OK"),
        (b"HTTP/1.1 200 Gr\xfc\xdfe", "Gr\xfc\xdfe"),
        (b"HTTP/1.1 200 a\x1b[2Jb", "a?[2Jb"),
        (b"HTTP/1.1 200 Very good indeed", "Very good indeed"),
        # RFC 9110 15: a client SHOULD process what is out of range as a 5xx
        (b"HTTP/1.1 600 Odd", "Odd"),
        (b"HTTP/1.1 999", ""),
        (b"HTTP/1.0 503 Busy", "Busy"),
    ],
)
def test_reason_phrases(line: bytes, reason: str) -> None:
    assert parse_response(line + b"\r\nX: y\r\n\r\n").reason == reason


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        (b"HTTP/1.0 101 Switching", 101, r"it came over HTTP/1\.0"),
        (b"HTTP/2.0 200 OK", 502, "status line"),
        (b"HTTP/1.1 099 Odd", 502, "status line"),
        (b"HTTP/1.1 2000 OK", 502, "status line"),
        (b"HTTP/1.1  200 OK", 502, "status line"),
        (b"\r\nHTTP/1.1 200 OK", 502, "status line"),
        (b"GET / HTTP/1.1", 502, "status line"),
        (b"SSH-2.0-OpenSSH_9.6", 502, "status line"),
        (b"HTTP/1.1 200 OK\nX: y", 502, "a line ends with LF alone"),
    ],
)
def test_status_lines(line: bytes, status: int, reason: str) -> None:
    with pytest.raises(HandshakeError, match=reason) as caught:
        parse_response(line + b"\r\nX: y\r\n\r\n")
    assert caught.value.status == status


@pytest.mark.parametrize(
    "field",
    [b" folded", b"X : y", b"X", b": y", b"X: a\x00b", b"X: a\nY: b", b"X: a\rb"],
)
def test_malformed_fields(field: bytes) -> None:
    with pytest.raises(HandshakeError, match="malformed response") as caught:
        parse_response(b"HTTP/1.1 101 OK\r\nX: y\r\n" + field + b"\r\n\r\n")
    assert caught.value.status == 502


RESPONSE_BYTES = st.lists(
    st.sampled_from(
        [
            b"HTTP/1.1",
            b" ",
            b"200",
            b"101",
            b"OK",
            b"\r\n",
            b"\n",
            b"\r",
            b"X",
            b":",
            b"a",
            b"\t",
            b"\x00",
            b"\xff",
            b"0",
            b"Content-Length",
            b"Upgrade",
            b"Transfer-Encoding",
            b"Connection",
            b"\x1b",
        ]
    )
).map(b"".join)


@given(
    st.one_of(st.binary(), RESPONSE_BYTES),
    st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 101 OK\r\n", b"HTTP/1.1 200 "]),
    st.booleans(),
)
def test_any_bytes_are_a_response_or_are_refused(
    data: bytes, start: bytes, end: bool
) -> None:
    data = start + data + b"\r\n\r\n" * end
    error = None
    try:
        response = parse_response(data)
    except HandshakeError as caught:
        error = caught
    if error is not None:
        assert 100 <= error.status <= 599
        assert error.reason
        return
    assert 100 <= response.status <= 999
    assert response.reason.isprintable()
