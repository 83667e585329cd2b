"""A server's opening handshake without I/O: bytes in, a request, an answer out."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, strategies as st

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.handshake.accepting import ServerHandshake
from trio_fastws._protocol.handshake.response import Response

HEAD = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: a, b\r\n"
)
UPGRADE = HEAD + b"\r\n"
PLAIN = b"%b / HTTP/1.1\r\nHost: a\r\n\r\n"
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)


def receive(handshake: ServerHandshake, data: bytes) -> bool:
    """Feed bytes as a link does: somewhere in a buffer that is used again."""
    buffer = bytearray(b"\r\n\r\n" + data + b"\r\n\r\n")
    decide = handshake.receive(buffer, 4, 4 + len(data))
    buffer[:] = bytes(len(buffer))
    return decide


def read(*pieces: bytes, **options: Any) -> ServerHandshake:
    handshake = ServerHandshake(**options)
    for piece in pieces:
        receive(handshake, piece)
    return handshake


def refused(data: bytes, **options: Any) -> tuple[ServerHandshake, HandshakeError]:
    handshake = ServerHandshake(**options)
    with pytest.raises(HandshakeError) as caught:
        receive(handshake, data)
    return handshake, caught.value


@given(st.lists(st.integers(1, len(UPGRADE) + 4)))
def test_a_request_is_there_once_at_any_cut(cuts: list[int]) -> None:
    data = UPGRADE + b"early"
    handshake = ServerHandshake()
    decided = [
        receive(handshake, data[a:b])
        for a, b in pairwise([0, *sorted(set(cuts)), len(data)])
    ]
    assert decided.count(True) == 1
    assert handshake.request is not None
    assert handshake.request.raw == UPGRADE
    assert handshake.upgrade
    # whatever came with the end of the head or later, and in order
    assert handshake.early == b"early"


def test_what_comes_before_a_decision_is_kept() -> None:
    handshake = ServerHandshake()
    assert receive(handshake, UPGRADE + b"1")
    assert not receive(handshake, b"2")
    assert not receive(handshake, b"\r\n\r\n3")
    assert handshake.early == b"12\r\n\r\n3"


def test_a_good_upgrade_gets_a_101() -> None:
    handshake = read(UPGRADE)
    assert handshake.accept() == ACCEPTED + b"\r\n"
    assert handshake.accept("b", "x; y", [("Set-Cookie", "c=1")]) == (
        ACCEPTED + b"Sec-WebSocket-Protocol: b\r\nSec-WebSocket-Extensions: x; y\r\n"
        b"Set-Cookie: c=1\r\n\r\n"
    )


def test_a_plain_request_is_one_to_decide_about() -> None:
    handshake = read(PLAIN % b"GET")
    assert handshake.request is not None
    assert not handshake.upgrade
    assert handshake.answer(Response(200, body="page")).endswith(b"\r\n\r\npage")
    error = handshake.require_upgrade()
    assert error.status == 426
    assert error.reason == "Upgrade header is missing; / is for WebSockets"


def test_a_head_request_is_answered_without_a_body() -> None:
    handshake = read(PLAIN % b"HEAD")
    assert handshake.answer(Response(200, body="page")).endswith(b"\r\n\r\n")
    assert handshake.refuse(HandshakeError(503, "closed")).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"\x16\x03\x01\x02\x00", 400, "this is not an HTTP request but TLS"),
        (b"BREW / HTTP/1.1\r\n", 501, "request method is not known"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Host header is missing"),
        (HEAD + b"Host: b\r\n\r\n", 400, "Host header is repeated"),
        (HEAD + b"Content-Length: 1\r\n\r\n", 400, "request has a body"),
        (UPGRADE.replace(b"1.1", b"1.0"), 426, "a WebSocket needs HTTP/1.1"),
        (UPGRADE.replace(b": 13", b": 8"), 426, "Sec-WebSocket-Version is not 13"),
        (HEAD + b"Sec-WebSocket-Version: 13\r\n\r\n", 400, "is repeated"),
        (HEAD + b"X: " + b"x" * 400 + b"\r\n\r\n", 431, "over the limit of 300"),
        (HEAD + b"A: 1\r\nB: 2\r\nC: 3\r\n\r\n", 431, "over the limit of 8"),
        (HEAD + b"X: " + b"x" * 400, 431, "over the limit of 300"),
    ],
)
def test_a_refusal_is_known_at_once(data: bytes, status: int, words: str) -> None:
    handshake, error = refused(data, max_head=300, max_fields=8)
    assert error.status == status
    assert words in error.reason
    answer = handshake.refuse(error)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.endswith(f"{error.reason}.\n".encode())


def test_an_origin_that_may_not_connect() -> None:
    origins = ["https://a.example", re.compile(r"https://\w+\.test")]
    for origin, allowed in [
        (b"https://a.example", True),
        (b"https://b.test", True),
        (b"https://b.example", False),
    ]:
        data = HEAD + b"Origin: " + origin + b"\r\n\r\n"
        if allowed:
            assert read(data, origins=origins).upgrade
        else:
            assert refused(data, origins=origins)[1].status == 403
    # who asks for a page comes from anywhere
    assert not read(PLAIN % b"GET", origins=origins).upgrade


def test_the_end_of_input_ends_all_but_a_plain_request() -> None:
    assert read().receive_end()
    assert read(UPGRADE[:-2]).receive_end()
    assert read(UPGRADE).receive_end()
    assert not read(PLAIN % b"GET").receive_end()
