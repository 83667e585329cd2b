"""Request heads: what is read, and what llhttp would let through."""

from __future__ import annotations

import pytest
from hypothesis import example, given, strategies as st

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.handshake.headers import Headers
from trio_fastws._protocol.handshake.http_head import find_head_end
from trio_fastws._protocol.handshake.request import Request, parse_request

BROWSER = (
    b"GET /chat?room=1&x=%2F HTTP/1.1\r\n"
    b"Host: server.example.com:8765\r\n"
    b"Connection: keep-alive, Upgrade\r\n"
    b"Upgrade: websocket\r\n"
    b"Origin: https://example.com\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Cookie: a=1 \r\n"
    b"Cookie: b=\xe9\t\r\n"
    b"X-Empty:\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x\r\n"
    b"Sec-WebSocket-Protocol: chat, superchat\r\n"
    b"\r\n"
)


def head(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([start, *lines, b"", b""])


def refused(data: bytes) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        parse_request(data)
    return caught.value


def test_what_a_browser_sends() -> None:
    request = parse_request(BROWSER)
    assert request.method == "GET"
    assert request.target == "/chat?room=1&x=%2F"
    assert request.path == "/chat"
    assert request.query == "room=1&x=%2F"
    assert request.host == "server.example.com:8765"
    assert request.origin == "https://example.com"
    assert request.subprotocols == ("chat", "superchat")
    assert request.extensions == (
        "permessage-deflate; client_max_window_bits",
        "x",
    )
    assert request.raw is BROWSER
    assert repr(request) == "<Request GET /chat?room=1&x=%2F>"
    headers = request.headers
    assert headers is request.headers
    # white space around a value is no part of it; bytes over 127 are Latin-1
    assert headers.get_all("Cookie") == ("a=1", "b=\xe9")
    assert headers["X-Empty"] == ""
    assert next(iter(headers)) == "Host"
    assert len(headers) == 11


@pytest.mark.parametrize("rest", [b"", b"\x81\x80abcd", b"GET / HTTP/1.1\r\n\r\n"])
def test_only_the_head_is_read(rest: bytes) -> None:
    data = BROWSER + rest
    end = find_head_end(data)
    assert data[end:] == rest
    assert parse_request(data[:end]).headers == parse_request(BROWSER).headers


def test_what_little_a_request_needs() -> None:
    request = parse_request(head(b"host: a"))
    assert (request.path, request.query, request.origin) == ("/", "", None)
    assert request.subprotocols == request.extensions == ()
    assert parse_request(head(b"Host: a", start=b"HEAD / HTTP/1.1")).method == "HEAD"


@pytest.mark.parametrize(
    ("target", "host", "path", "query"),
    [
        ("/", "a:1", "/", ""),
        ("/x?y?z", "a:1", "/x", "y?z"),
        ("//b/c", "a:1", "//b/c", ""),
        ("/http://b/c", "a:1", "/http://b/c", ""),
        # RFC 9112 3.2.2: a server MUST accept the absolute-form
        ("http://b:2/c?d", "b:2", "/c", "d"),
        ("https://b", "b", "/", ""),
        ("WSS://[::1]:2?d", "[::1]:2", "/", "d"),
        ("ws://b/", "b", "/", ""),
    ],
)
def test_targets(target: str, host: str, path: str, query: str) -> None:
    line = f"GET {target} HTTP/1.1".encode()
    made = Request("GET", target, {"Host": "a:1"})
    for request in (parse_request(head(b"Host: a:1", start=line)), made):
        assert (request.host, request.path, request.query) == (host, path, query)
        assert request.target == target


@pytest.mark.parametrize(
    "target",
    [
        b"*",
        b"?x",
        b"a:1",
        b"/#",
        b"/a#b",
        b"/a?b#c",
        b"/\xc3\xa9",
        b"/a\tb",
        b"/a\x00b",
        b"http://",
        b"http:///a",
        b"http://u@b/",
        b"http://b/#c",
        b"ftp://b/",
    ],
)
def test_no_targets(target: bytes) -> None:
    error = refused(head(b"Host: a", start=b"GET " + target + b" HTTP/1.1"))
    assert error.status == 400
    with pytest.raises(ValueError, match="target"):
        Request("GET", target.decode("latin-1"))


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        (b"", 400, "request line is empty"),
        (b"GET /", 400, "request line is not"),
        (b"GET  / HTTP/1.1", 400, "request line is not"),
        (b" GET / HTTP/1.1", 400, "request line is not"),
        (b"GET / HTTP/1.1 ", 400, "request line is not"),
        (b"GET / ICE/1.0", 400, "request line is not"),
        (b"HTTP/1.1 200 OK", 400, "request line is not"),
        (b"\x16\x03\x01\x02", 400, "request line is not"),
        (b"GET / HTTP/1.2", 505, "only HTTP/1.1 and 1.0 are spoken here"),
        (b"GET / http/1.1", 400, "request line is not"),
        (b"PRI * HTTP/2.0", 505, "only HTTP/1.1 and 1.0 are spoken here"),
        (b"get / HTTP/1.1", 501, "request method is not known"),
        (b"BREW / HTTP/1.1", 501, "request method is not known"),
        (b"POST / HTTP/1.1", 405, "POST is not allowed"),
        (b"CONNECT a:1 HTTP/1.1", 405, "CONNECT is not allowed"),
        (b"POST / HTTP/1.0", 405, "POST is not allowed"),
        (b"GET * HTTP/1.1", 400, "request target is not"),
        (b"OPTIONS a:1 HTTP/1.1", 400, "malformed request: "),
    ],
)
def test_request_lines(line: bytes, status: int, reason: str) -> None:
    error = refused(b"\r\n".join([line, b"Host: a", b"", b""]))
    assert error.status == status
    assert error.reason.startswith(reason)
    # RFC 9110 15.5.6: 405 MUST come with Allow
    allow = (("Allow", "GET, HEAD, OPTIONS"),) if status == 405 else ()
    assert error.headers == allow


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_methods_and_versions(method: str, version: str) -> None:
    line = f"{method} /a HTTP/{version}".encode()
    request = parse_request(head(b"Host: a", start=line))
    assert (request.method, request.path, request.http_version) == (
        method,
        "/a",
        version,
    )
    made = Request(method, "/a", {"Host": "a"}, http_version=version)
    assert made.raw == request.raw


def test_only_1_1_needs_a_host() -> None:
    # RFC 9112 3.2: MUST respond 400 to any HTTP/1.1 request that lacks one
    assert parse_request(head(start=b"OPTIONS / HTTP/1.0")).host == ""
    assert refused(head(start=b"OPTIONS / HTTP/1.1")).status == 400
    line = b"GET / HTTP/1.0"
    for hosts in ((b"Host: a", b"Host: a"), (b"Host: a b",), (b"Host:",)):
        assert refused(head(*hosts, start=line)).status == 400


def test_options_may_ask_for_no_path() -> None:
    # RFC 9112 3.2.4
    request = parse_request(head(b"Host: a", start=b"OPTIONS * HTTP/1.1"))
    assert (request.target, request.path, request.query) == ("*", "*", "")
    assert Request("OPTIONS", "*").path == "*"


def test_versions_by_hand() -> None:
    with pytest.raises(ValueError, match=r"http_version is '2'; it must be '1\.1'"):
        Request("GET", "/", http_version="2")


@pytest.mark.parametrize(
    "lines",
    [
        (b"Host: a", b"X: y", b" folded"),
        (b"Host: a", b" X: y"),
        (b"Host: a", b"X : y"),
        (b"Host: a", b"X\ty: z"),
        (b"Host: a", b"X y: z"),
        (b"Host: a", b"X"),
        (b"Host: a", b": y"),
        (b"Host: a", b"X: a\x00b"),
        (b"Host: a", b"X: a\x01b"),
        (b"Host: a", b"X: a\x7fb"),
        (b"Host: a", b"X: a\nY: b"),
        (b"Host: a", b"X: a\rY: b"),
        (b"Host: a", b"X\xe9: a"),
        (b"Host: a", b"Content-Length: x"),
        (b"Host: a", b"Content-Length: 3", b"Transfer-Encoding: chunked"),
    ],
)
def test_malformed_fields(lines: tuple[bytes, ...]) -> None:
    error = refused(head(*lines))
    assert error.status == 400
    assert error.reason.startswith("malformed request: ")


def test_bare_line_feeds_end_nothing() -> None:
    error = refused(b"GET / HTTP/1.1\nHost: a\r\n\r\n")
    assert error.status == 400


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((), "Host header is missing"),
        ((b"X: y",), "Host header is missing"),
        ((b"Host: a", b"host: b"), "Host header is repeated"),
        ((b"Host: a", b"Host: a"), "Host header is repeated"),
        ((b"Host:",), "Host header is not a host name with a port"),
        ((b"Host: a b",), "Host header is not a host name with a port"),
        ((b"Host: a/b",), "Host header is not a host name with a port"),
        ((b"Host: u@a",), "Host header is not a host name with a port"),
        ((b"Host: a:b",), "Host header is not a host name with a port"),
        ((b"Host: a, b:1:2",), "Host header is not a host name with a port"),
        ((b"Host: \xe9",), "Host header is not a host name with a port"),
        ((b"Host: a", b"Content-Length: 1"), "request has a body"),
        ((b"Host: a", b"Transfer-Encoding: chunked"), "request has a body"),
    ],
)
def test_fields_every_request_owes(lines: tuple[bytes, ...], reason: str) -> None:
    error = refused(head(*lines))
    assert (error.status, error.reason) == (400, reason)


@pytest.mark.parametrize(
    "host", [b"a", b"a.b:80", b"a:", b"127.0.0.1:1", b"[::1]", b"[::1]:1", b"a_b"]
)
def test_hosts(host: bytes) -> None:
    assert parse_request(head(b"Host: " + host)).host == host.decode()


def test_a_body_of_no_bytes_is_none() -> None:
    parse_request(head(b"Host: a", b"Content-Length: 0 "))


def test_a_length_is_not_repeated() -> None:
    assert refused(head(b"Host: a", b"Content-Length: 0", b"Content-Length: 0"))


def test_a_request_made_by_hand_reads_as_if_received() -> None:
    fields = [("Host", "a"), ("Cookie", "b=\xe9"), ("Cookie", "c")]
    made = Request("GET", "/x?y", fields)
    assert made.headers == Headers(fields)
    assert (
        made.raw
        == b"GET /x?y HTTP/1.1\r\nHost: a\r\nCookie: b=\xe9\r\nCookie: c\r\n\r\n"
    )
    read = parse_request(made.raw)
    assert (read.method, read.target, read.headers) == ("GET", "/x?y", made.headers)
    assert Request("POST", "/").host == ""


@pytest.mark.parametrize("method", ["", "G T", "GET\r\n", "GÉT"])
def test_methods_by_hand(method: str) -> None:
    with pytest.raises(ValueError, match="is not a token"):
        Request(method, "/")


HEAD_BYTES = st.lists(
    st.sampled_from(
        [
            b"GET",
            b"HEAD",
            b" ",
            b"/",
            b"http://a",
            b"?",
            b"#",
            b"HTTP/1.1",
            b"HTTP/1.0",
            b"OPTIONS",
            b"*",
            b"\r\n",
            b"\n",
            b"\r",
            b"Host",
            b":",
            b"a",
            b",",
            b"\t",
            b"\x00",
            b"\xff",
            b"0",
            b"Content-Length",
            b"Upgrade",
            b"websocket",
            b"Connection",
            b"\r\n\r\n",
        ]
    )
).map(b"".join)


@given(st.one_of(st.binary(), HEAD_BYTES), st.booleans(), st.booleans())
@example(b"", False, False)
def test_any_bytes_are_a_request_or_are_refused(
    data: bytes, start: bool, end: bool
) -> None:
    if start:
        data = b"GET / HTTP/1.1\r\nHost: a\r\n" + data
    if end:
        data += b"\r\n\r\n"
    error = None
    try:
        request = parse_request(data)
    except HandshakeError as caught:
        error = caught
    if error is not None:
        assert 400 <= error.status <= 599
        assert error.reason
        return
    # whatever was let in can be read, and says the same when written again
    again = Request(
        request.method,
        request.target,
        request.headers,
        http_version=request.http_version,
    )
    assert again.headers == request.headers
    assert (again.path, again.query) == (request.path, request.query)
    assert again.host == request.host
    assert parse_request(again.raw).headers == request.headers
