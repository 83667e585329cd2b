"""A client's opening handshake without I/O: bytes in, an outcome out."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, strategies as st

from trio_fastws._protocol.deflate.negotiation import DeflateParameters
from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.handshake.dialling import Accepted, ClientHandshake, Refused
from trio_fastws._protocol.handshake.response import encode_response, parse_response
from trio_fastws._protocol.handshake.url import parse_url

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
URL = parse_url("ws://example.com/chat?x=y")


def begin(**options: Any) -> ClientHandshake:
    return ClientHandshake(URL, **options)


def accept(handshake: ClientHandshake, *lines: str, status: str = "") -> bytes:
    """Return the head that accepts a request, with more lines."""
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", handshake.request)
    assert key is not None
    digest = base64.b64encode(hashlib.sha1(key[1] + GUID).digest()).decode()
    first = status or "HTTP/1.1 101 Switching Protocols"
    fields = ["Upgrade: websocket", "Connection: Upgrade"]
    fields += [f"Sec-WebSocket-Accept: {digest}", *lines, "", ""]
    return "\r\n".join([first, *fields]).encode("latin-1")


def run(
    handshake: ClientHandshake, chunks: Iterable[bytes], end: bool = False
) -> Accepted | Refused | None:
    """Feed chunks until there is an outcome; then the end, if there is one."""
    for chunk in chunks:
        outcome = handshake.receive(chunk)
        if outcome is not None:
            return outcome
    return handshake.receive_end() if end else None


def single(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def refused(data: bytes, *, end: bool = False, **options: Any) -> Refused:
    """Return what is made of a refusal, which is the same byte by byte."""
    whole = run(begin(**options), [data], end)
    assert isinstance(whole, Refused)
    assert run(begin(**options), single(data), end) == whole
    assert whole.message.isprintable()
    return whole


# --- accepted ----------------------------------------------------------------


def test_the_request_asks_for_what_it_was_told_to() -> None:
    handshake = begin(
        origin="https://a",
        subprotocols=["v2"],
        headers=[("Cookie", "c")],
        user_agent="me/1",
        deflate=DeflateParameters(),
    )
    lines = handshake.request.decode().split("\r\n")
    assert lines[0] == "GET /chat?x=y HTTP/1.1"
    for line in (
        "Host: example.com",
        "User-Agent: me/1",
        "Origin: https://a",
        "Sec-WebSocket-Protocol: v2",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "Cookie: c",
    ):
        assert line in lines
    assert begin().request != begin().request  # RFC 6455 4.1: a nonce for each


@pytest.mark.parametrize("preludes", [0, 1, 3])
@pytest.mark.parametrize("rest", [b"", b"\x81\x02hi", b"HTTP/1.1 403 X\r\n\r\n"])
def test_a_101_and_the_frames_behind_it(preludes: int, rest: bytes) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * preludes
    options: dict[str, Any] = {
        "subprotocols": ["v1"],
        "deflate": DeflateParameters(client_max_window_bits=12),
    }
    lines = (
        "Sec-WebSocket-Protocol: v1",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15",
    )
    for split in (False, True):
        handshake = begin(**options)
        head = early + accept(handshake, *lines)
        # Byte by byte nothing of the rest was received with the head's end.
        outcome = run(handshake, single(head) if split else [head + rest])
        assert isinstance(outcome, Accepted)
        assert outcome.response.status == 101
        assert "Link" not in outcome.response.headers
        assert outcome.subprotocol == "v1"
        assert outcome.deflate == (False, False, 15, 12)
        assert outcome.rest == (0 if split else len(rest))


@pytest.mark.parametrize("cut", range(60))
def test_a_head_in_two_reads_wherever_it_is_cut(cut: int) -> None:
    handshake = begin()
    data = b"HTTP/1.1 100 Continue\r\n\r\n" + accept(handshake) + b"\x89\x00"
    at = len(data) - cut
    outcome = run(handshake, [data[:at], data[at:]])
    assert isinstance(outcome, Accepted)
    assert outcome.rest == (2 if cut == 0 or cut > 2 else 2 - cut)
    assert outcome.deflate is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Upgrade: h2c"], "server's Upgrade header is missing or is not 'websocket'"),
        (["Sec-WebSocket-Protocol: v1"], "server's subprotocol 'v1' was not offered"),
        (
            ["Sec-WebSocket-Extensions: permessage-deflate; x"],
            "server's extensions are wrong: permessage-deflate was accepted with the "
            "unknown parameter 'x'",
        ),
    ],
)
def test_a_101_that_is_not_good(lines: list[str], message: str) -> None:
    handshake = begin(deflate=DeflateParameters())
    outcome = run(handshake, [accept(handshake, *lines)])
    assert isinstance(outcome, Refused)
    assert outcome.message == message
    assert outcome.response is not None
    assert outcome.response.status == 101


def test_a_101_over_http_1_0() -> None:
    handshake = begin()
    outcome = run(handshake, [accept(handshake, status="HTTP/1.0 101 Switching")])
    assert isinstance(outcome, Refused)
    assert outcome.message == "server answered 101 Switching; it came over HTTP/1.0"
    assert outcome.response is not None


# --- refused, with a body ----------------------------------------------------

CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nnever", b"never"),
        (b"HTTP/1.0 403 No\r\nContent-Length: 5\r\n\r\nnever", b"never"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 403\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 403 No\r\n" + CHUNKED + b"\r\n5\r\nnever\r\n0\r\n\r\n", b"never"),
        (
            b"HTTP/1.1 403 No\r\n"
            + CHUNKED
            + b"\r\n2;a=b\r\nne\r\n3\r\nver\r\n0\r\nX-Trailer: y\r\n\r\n",
            b"never",
        ),
        (b"HTTP/1.1 403 No\r\n" + CHUNKED + b"\r\n0\r\n\r\n", b""),
        # RFC 9110 15: without content, whatever the fields say
        (b"HTTP/1.1 204 No\r\n\r\n", b""),
        (b"HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\n", b""),
        (b"HTTP/1.1 205 No\r\n\r\n", b""),
        (b"HTTP/1.1 205 No\r\nContent-Length: 5\r\n\r\nnever", b""),
        # malformed chunks: what came before
        (b"HTTP/1.1 403 No\r\n" + CHUNKED + b"\r\n2\r\nne\r\nx", b"ne"),
        (b"HTTP/1.1 403 No\r\n" + CHUNKED + b"\r\nx", b""),
        (b"HTTP/1.1 403 No\r\n" + CHUNKED + b"\r\n2\r\nnever\r\n", b"ne"),
    ],
)
@pytest.mark.parametrize("trailing", [b"", b"x", b"HTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize("preludes", [0, 1])
def test_a_body_that_ends_by_itself(
    data: bytes, body: bytes, trailing: bytes, preludes: int
) -> None:
    data = b"HTTP/1.1 102 Processing\r\n\r\n" * preludes + data + trailing
    response = refused(data).response
    assert response is not None
    assert response.body == body
    assert "X-Trailer" not in response.headers


@pytest.mark.parametrize(
    ("head", "body", "read"),
    [
        (b"", b"some words", b"some words"),
        (b"Content-Length: 20\r\n", b"some words", b"some words"),
        (CHUNKED, b"5\r\nsome \r\n5\r\nwor", b"some wor"),
        (b"Transfer-Encoding: gzip\r\n", b"some words", b"some words"),
    ],
)
def test_a_body_that_has_not_ended(head: bytes, body: bytes, read: bytes) -> None:
    data = b"HTTP/1.1 500 Oops\r\n" + head + b"\r\n" + body
    for chunks in ([data], single(data)):
        handshake = begin()
        assert not handshake.decided
        assert run(handshake, chunks) is None
        assert handshake.decided
        for refusal in (handshake.give_up(), handshake.receive_end()):
            assert refusal is not None
            assert refusal.response is not None
            assert refusal.response.body == read
            assert refusal.message == f"server answered 500 Oops: {read.decode()}"


@pytest.mark.parametrize("head", [b"", b"Content-Length: 200000\r\n"])
def test_of_a_body_64_kib_are_kept(head: bytes) -> None:
    data = b"HTTP/1.1 500 Oops\r\n" + head + b"\r\n"
    for chunks in (
        [data + bytes(200_000)],
        [data, *[bytes(1000)] * 200],
        [data + bytes(65535), b"\0\0"],
    ):
        outcome = run(begin(), chunks)
        assert isinstance(outcome, Refused)
        assert outcome.response is not None
        assert outcome.response.body == bytes(65536)


def test_chunks_are_counted_together() -> None:
    data = b"HTTP/1.1 500 Oops\r\n" + CHUNKED + b"\r\n"
    chunks = [b"8000\r\n" + b"x" * 0x8000 + b"\r\n"] * 3
    for parts in ([data, *chunks], [data + b"".join(chunks)]):
        outcome = run(begin(), parts)
        assert isinstance(outcome, Refused)
        assert outcome.response is not None
        assert outcome.response.body == b"x" * 65536


# --- what a refusal says -----------------------------------------------------


def explained(status: str, *fields: str, body: bytes = b"") -> str:
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return refused("\r\n".join(lines).encode("latin-1") + body).message


TYPE = "Content-Type: "


@pytest.mark.parametrize(
    ("status", "fields", "body", "message"),
    [
        ("400 Bad Request", [], b"token expired\n", "400 Bad Request: token expired"),
        ("400", [], b"token expired", "400 Bad Request: token expired"),
        ("499", [], b"", "499"),
        ("777 Lucky", [], b"", "777 Lucky"),
        ("999", [], b"odd", "999: odd"),
        ("400 No", [TYPE + "text/plain"], b"\r\n\r\n why \r\nmore", "400 No: why"),
        ("400 No", [TYPE + "Text/Plain; charset=utf-8"], b"\xc3\xa4", "400 No: \xe4"),
        ("400 No", [TYPE + "text/plain"], b"a\xffb", "400 No: a\ufffdb"),
        (
            "401 Unauthorized",
            [TYPE + "application/json"],
            b'{"error": "token expired"}',
            '401 Unauthorized: {"error": "token expired"}',
        ),
        (
            "401 No",
            [TYPE + "application/problem+json"],
            b'{\n  "title": "expired"\n}',
            '401 No: "title": "expired"',
        ),
        # what it says already
        ("403 Forbidden", [], b"Forbidden", "403 Forbidden"),
        ("403 Forbidden", [], b"403 forbidden.\n", "403 Forbidden"),
        ("403 Forbidden", [], b"Forbidden: not you.", "403 Forbidden: not you."),
        ("403 Forbidden", [], b"403 - Forbidden", "403 Forbidden"),
        ("404 Not Found", [], b"Not found. Go on.", "404 Not Found: Not found. Go on."),
        ("200 OK", [], b"OKAY", "200 OK: OKAY"),
        # no text, or none for people
        ("403 No", [TYPE + "text/html"], b"<p>no</p>", "403 No"),
        ("403 No", [TYPE + "image/png"], b"PNG", "403 No"),
        ("403 No", [], b"\n<!DOCTYPE html>", "403 No"),
        ("403 No", [], b"\x00\x01binary", "403 No"),
        ("403 No", [], b"\xff\xfebinary", "403 No"),
        ("403 No", ["Content-Encoding: gzip"], b"\x1f\x8b", "403 No"),
        ("403 No", [TYPE + "text/plain"], b"---\n\n***", "403 No"),
        # where to
        (
            "301 Moved Permanently",
            ["Location: https://example.org/x"],
            b"<a href=...>",
            "301 Moved Permanently to https://example.org/x",
        ),
        ("308 Go", ["Location: /\x85x"], b"", "308 Go to /\\x85x"),
        ("302 Found", [], b"nowhere", "302 Found: nowhere"),
        ("302 Found", ["Location:"], b"nowhere", "302 Found: nowhere"),
        ("201 Made", ["Location: /x"], b"", "201 Made"),
        # nothing that could move a cursor, and nothing without end
        ("400 No", [TYPE + "text/plain"], b"a\x1b[2Jb", r"400 No: a\x1b[2Jb"),
        ("400 No", [TYPE + "text/plain"], b"a" * 201, f"400 No: {'a' * 200}..."),
        ("300 No", [f"Location: /{'a' * 200}"], b"", f"300 No to /{'a' * 199}..."),
        (f"400 {'a' * 201}", [], b"", f"400 {'a' * 200}..."),
        # cut in the middle of a character
        ("400 No", [], b"a" * 4095 + "\xe4".encode(), f"400 No: {'a' * 200}..."),
    ],
)
def test_a_refusal_says_why(
    status: str, fields: list[str], body: bytes, message: str
) -> None:
    assert explained(status, *fields, body=body) == f"server answered {message}"


# --- answers that are no good ------------------------------------------------


@pytest.mark.parametrize("end", [False, True])
def test_too_many_fields_are_told_and_those_that_fit_are_kept(end: bool) -> None:
    fields = b"".join(b"X-%d: y\r\n" % number for number in range(203))
    for status in (b"403 Forbidden", b"101 Switching Protocols"):
        data = b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\nbody"
        message, response = refused(data, end=end)
        assert message == (
            f"server answered {status.decode()}; its 203 header fields are over the "
            "limit of 128 (Limits.request_fields)"
        )
        assert response is not None
        assert response.status == int(status[:3])
        assert list(response.headers) == [f"X-{number}" for number in range(128)]


def test_a_head_over_the_limit() -> None:
    data = b"HTTP/1.1 403 Forbidden\r\nX: y\r\nY: " + b"y" * 1000
    for chunks in ([data], single(data)):
        outcome = run(begin(max_head=500), chunks)
        assert isinstance(outcome, Refused)
        assert outcome.message == (
            "server answered 403 Forbidden; its head is over the limit of 500 "
            "(Limits.request_head)"
        )
        assert outcome.response is not None
        assert outcome.response.headers.items() == (("X", "y"),)
    whole = data + b"\r\n\r\n"
    outcome = run(begin(max_head=500), [whole])
    assert isinstance(outcome, Refused)
    assert f"its head of {len(whole)} bytes is over the limit of 500" in outcome.message


def test_preludes_without_end() -> None:
    prelude = b"HTTP/1.1 102 Processing\r\n\r\n"
    outcome = run(begin(max_head=500), [prelude] * 30)
    assert isinstance(outcome, Refused)
    assert outcome == ("server's 1xx answers have no end", None)


@pytest.mark.parametrize(
    ("data", "flaw", "fields"),
    [
        (b"X: y\r\nno field\r\n", "malformed response: Invalid header token", ["X"]),
        (b"X: y\nY: z\r\n", "malformed response: a line ends with LF alone", []),
        (b"X: y\r\nY: z\n\n", "malformed response: a line ends with LF alone", ["X"]),
        (
            b"X: y\r\n folded\r\n\r\n",
            "malformed response: Unexpected whitespace",
            ["X"],
        ),
        (
            b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "malformed response: Transfer-Encoding",
            ["Content-Length"],
        ),
    ],
)
def test_a_malformed_head_is_refused_at_once(
    data: bytes, flaw: str, fields: list[str]
) -> None:
    data = b"HTTP/1.1 403 Forbidden\r\n" + data
    for chunks in ([data], single(data)):
        outcome = run(begin(), chunks)
        assert isinstance(outcome, Refused)
        assert outcome.message.startswith(f"server answered 403 Forbidden; {flaw}")
        assert outcome.response is not None
        assert list(outcome.response.headers)[:1] == fields


def test_a_status_line_that_ends_with_lf_alone() -> None:
    message, response = refused(b"HTTP/1.0 403 Forbidden\nX: y\n\nno")
    assert message == (
        "server answered 403 Forbidden; malformed response: a line ends with LF alone, "
        "not with CR LF"
    )
    assert response is not None
    assert response.status == 403


@pytest.mark.parametrize(
    ("data", "message", "status"),
    [
        (
            b"",
            "server closed the connection without an answer; is it a wss:// port?",
            None,
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\n",
            "server closed the connection without an answer",
            None,
        ),
        (
            b"HTTP/1.1 403 Forb",
            "server answered 403 Forb; it closed the connection in the middle of that",
            403,
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web",
            "server answered 101 Switching Protocols; it closed the connection in the "
            "middle of that",
            101,
        ),
        (
            b"HTTP/1.1 4",
            "server sent 'HTTP/1.1 4'; it closed the connection in the middle of that",
            None,
        ),
    ],
)
def test_an_answer_that_is_cut_off(
    data: bytes, message: str, status: int | None
) -> None:
    got = refused(data, end=True)
    assert got.message == message
    assert (got.response and got.response.status) == status
    handshake = begin()
    assert run(handshake, [data]) is None
    # The question comes last.
    said, question, _ = message.partition("; is it a wss:// port?")
    assert (
        handshake.receive_end("reset by peer").message
        == f"{said}: reset by peer{question}"
    )


def test_what_is_known_when_the_time_is_over() -> None:
    for data in (b"", b"HTTP/1.1 4", b"HTTP/1.1 101 Switching Protocols\r\nUp"):
        handshake = begin()
        assert run(handshake, [data]) is None
        assert not handshake.decided
        assert handshake.give_up() is None
    handshake = begin()
    assert run(handshake, [b"HTTP/1.1 403 Forbidden\r\nX: y\r\nY"]) is None
    refusal = handshake.give_up()
    assert refusal is not None
    assert refusal.message == (
        "server answered 403 Forbidden; the head of that answer had no end in time"
    )
    assert refusal.response is not None
    assert refusal.response.headers.items() == (("X", "y"),)


# --- other protocols ---------------------------------------------------------

NO_HTTP = "which is no HTTP response"
SETTINGS = b"\0\0\x12\x04\0\0\0\0\0" + bytes(18)
GOAWAY = b"\0\0\x08\x07\0\0\0\0\0" + bytes(8)


@pytest.mark.parametrize(
    ("data", "shown", "looks"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "'SSH-2.0-OpenSSH_9.2p1'", "an SSH server"),
        (b"220 mx ESMTP\r\n", "'220 mx ESMTP'", "an SMTP or FTP server"),
        (b"* OK IMAP4rev1\r\n", "'* OK IMAP4rev1'", "an IMAP server"),
        (b"+OK POP3 ready\r\n", "'+OK POP3 ready'", "a POP3 server"),
        (
            b"-ERR wrong number of arguments for 'get' command\r\n",
            "\"-ERR wrong number of arguments for 'get' command\"",
            "a Redis server",
        ),
        (b"RFB 003.008\n", "'RFB 003.008'", "a VNC server"),
        (b"HTTP/2 200\r\n", "'HTTP/2 200'", "HTTP, but not 1.1 with a status of"),
        (b"HTTP/1.1 2000 OK\r\n", "'HTTP/1.1 2000 OK'", "HTTP, but not 1.1"),
        (b"HTTP/1.1 099 OK\r\n", "'HTTP/1.1 099 OK'", "HTTP, but not 1.1"),
        (b"PRI * HTTP/2.0\r\n", "'PRI * HTTP/2.0'", "HTTP/2, and we speak HTTP/1.1"),
        (b"<html>\n", "'<html>'", "a page without a head, as in HTTP/0.9"),
        (b"GET /chat?x=y HTTP/1.1\r\n", "'GET /chat?x=y HTTP/1.1'", "our own request"),
        (b"hello\r\n", "'hello'", ""),
        (b"\r\nHTTP/1.1 200 OK\r\n", r"'\r\nHTTP/1.1 200 OK'", "HTTP, but not 1.1"),
        ("gr\xfc\xdf dich\n".encode(), "'gr\xfc\xdf dich'", ""),
        (b"gr\xfc\xdf dich\n", r"b'gr\xfc\xdf dich'", ""),
        (b"x" * 101, f"'{'x' * 100}'...", ""),
        # binary
        (b"\x15\x03\x01", r"'\x15\x03\x01'", "TLS; use wss://"),
        (b"\x16\x03\x03", r"'\x16\x03\x03'", "TLS; use wss://"),
        (SETTINGS[:9], r"'\x00\x00\x12\x04\x00\x00\x00\x00\x00'", "HTTP/2, and we"),
        (GOAWAY[:9], r"'\x00\x00\x08\x07\x00\x00\x00\x00\x00'", "HTTP/2, and we"),
        (b"\0\0\x08\x07\0\0\0\0\1", r"'\x00\x00\x08\x07\x00\x00\x00\x00\x01'", ""),
        (b"\x15\x04", r"'\x15\x04'", ""),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07\x08", r"'\x00\x01\x02\x03\x04", ""),
        (b"\x81", r"b'\x81'", ""),
    ],
)
def test_another_protocol_is_named(data: bytes, shown: str, looks: str) -> None:
    if data == b"\x81":  # no text: known from its first byte on, but not shorter
        data += b"\n"
    message, response = refused(data)
    assert response is None
    assert message.startswith(f"server sent {shown}")
    hint = f": it looks like {looks}" if looks else ""
    assert f", {NO_HTTP}{hint}" in message
    # What follows is not shown, and more of it changes nothing.
    more = run(begin(), [data + b"and so on\r\n"])
    assert isinstance(more, Refused)
    assert (": it looks like " in more.message) == bool(looks)


@pytest.mark.parametrize(
    "data", [b"J\0\0\0\n8.0.32\0" + bytes(60), b"AMQP\0\0\x09\x01", SETTINGS, GOAWAY]
)
def test_what_comes_whole_is_recognised(data: bytes) -> None:
    outcome = run(begin(), [data])
    assert isinstance(outcome, Refused)
    assert ": it looks like " in outcome.message
    assert outcome.message.isprintable()
    assert len(outcome.message) < 200


def test_tls_within_tls_is_not_told_to_use_tls() -> None:
    handshake = ClientHandshake(parse_url("wss://a/"))
    outcome = run(handshake, [b"\x15\x03\x03\0\2\2\x16"])
    assert isinstance(outcome, Refused)
    assert outcome.message.endswith("it looks like TLS within TLS")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"SSH-2.0", f"server sent 'SSH-2.0', {NO_HTTP}: it looks like an SSH server"),
        (b"\x15", rf"server sent '\x15', {NO_HTTP}"),
        (b"\x15\x03", rf"server sent '\x15\x03', {NO_HTTP}"),
        (b"\0\0\x12", rf"server sent '\x00\x00\x12', {NO_HTTP}"),
        (b"\r\n\r\n", rf"server sent '', {NO_HTTP}"),
        (b"hm", f"server sent 'hm', {NO_HTTP}"),
    ],
)
def test_a_line_that_has_not_ended(data: bytes, message: str) -> None:
    # It is no HTTP, so much is certain; what else it is a few bytes more might say.
    for chunks in ([data], single(data)):
        handshake = begin()
        assert run(handshake, chunks) is None
        assert handshake.decided
        assert handshake.give_up() == (message, None)
        assert handshake.receive_end() == (message, None)


def test_another_protocol_behind_a_prelude() -> None:
    message, response = refused(b"HTTP/1.1 100 Continue\r\n\r\nSSH-2.0-x\r\n")
    assert message.endswith("it looks like an SSH server")
    assert response is None


# --- whatever comes ----------------------------------------------------------

PARTS = st.sampled_from(
    [
        *(
            b"HTTP/1.1 ",
            b"HTTP/1.0 ",
            b"403 ",
            b"101 ",
            b"103 ",
            b"204 ",
            b"999",
            b"OK",
        ),
        *(
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"Content-Length: ",
            b"3",
            CHUNKED,
            b"0\r\n\r\n",
        ),
        *(b"X: y\r\n", b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n"),
        *(b"Location: /x\r\n", b"\0", b"\xff", b"\x15\3\1", b"SSH-", b"\x1b[2J", b"<"),
    ]
)
ANYTHING = st.one_of(
    st.binary(max_size=80),
    st.lists(PARTS, max_size=12).map(b"".join),
    st.lists(PARTS, max_size=8).map(lambda parts: b"HTTP/1.1 " + b"".join(parts)),
)


@given(ANYTHING, st.lists(st.integers(0, 80), max_size=4))
def test_however_it_is_cut_it_ends_in_one_printable_line(
    data: bytes, cuts: list[int]
) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[a:b] for a, b in pairwise(places) if a < b]
    outcome = run(begin(), chunks, end=True)
    assert isinstance(outcome, Refused)
    assert outcome.message.startswith("server")
    assert outcome.message.isprintable()
    assert len(outcome.message) < 900
    whole = run(begin(), [data], end=True)
    assert isinstance(whole, Refused)
    if outcome.response is not None and whole.response is not None:
        assert outcome.response.status == whole.response.status
        assert 100 <= outcome.response.status <= 999
        assert outcome.response.reason.isprintable()


def test_a_received_status_may_be_one_that_is_not_written() -> None:
    response = parse_response(b"HTTP/1.1 999 Odd\r\n\r\n")
    assert (response.status, response.reason) == (999, "Odd")
    with pytest.raises(ValueError, match="status 999 is not in 100 to 599"):
        encode_response(response)
    with pytest.raises(HandshakeError, match=r"over HTTP/1\.0"):
        parse_response(b"HTTP/1.0 101 Switching\r\n\r\n")
