"""WebSocket URLs: what is dialled, what is asked for, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from trio_fastws._protocol.handshake.accept_key import generate_key
from trio_fastws._protocol.handshake.client import build_request
from trio_fastws._protocol.handshake.request import Request
from trio_fastws._protocol.handshake.url import URL, InvalidURL, parse_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("ws://a", URL(False, "a", 80, "/", "a")),
        ("wss://a", URL(True, "a", 443, "/", "a")),
        ("WSS://A.Example/B", URL(True, "a.example", 443, "/B", "a.example")),
        ("ws://a:80/", URL(False, "a", 80, "/", "a")),
        ("ws://a:/", URL(False, "a", 80, "/", "a")),
        ("ws://a:443/", URL(False, "a", 443, "/", "a:443")),
        ("wss://a:80/", URL(True, "a", 80, "/", "a:80")),
        ("wss://a:0443/", URL(True, "a", 443, "/", "a")),
        ("ws://a?b=c", URL(False, "a", 80, "/?b=c", "a")),
        ("ws://a/b?", URL(False, "a", 80, "/b?", "a")),
        ("ws://a//b/../c?d/?e", URL(False, "a", 80, "//b/../c?d/?e", "a")),
        ("ws://127.0.0.1:1/", URL(False, "127.0.0.1", 1, "/", "127.0.0.1:1")),
        ("ws://[::1]/", URL(False, "::1", 80, "/", "[::1]")),
        ("wss://[::1]:65535", URL(True, "::1", 65535, "/", "[::1]:65535")),
        # RFC 6874: the zone goes to the system, not to the peer
        ("ws://[fe80::1%25lo]:1/", URL(False, "fe80::1%lo", 1, "/", "[fe80::1]:1")),
        (
            "ws://b\xfccher.de",
            URL(False, "xn--bcher-kva.de", 80, "/", "xn--bcher-kva.de"),
        ),
        ("ws://a/\xe9?\u20ac", URL(False, "a", 80, "/%C3%A9?%E2%82%AC", "a")),
        ("ws://a/%2F%C3%A9?[x]{y}|'", URL(False, "a", 80, "/%2F%C3%A9?[x]{y}|'", "a")),
    ],
)
def test_urls(text: str, url: URL) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not of the form"),
        ("a:80", "is not of the form"),
        ("//a/", "is not of the form"),
        ("ws:/a", "is not of the form"),
        ("ws:a", "is not of the form"),
        ("http://a/", "scheme of URL 'http://a/' is 'http', expected 'ws' or 'wss'"),
        (" ws://a/", "scheme"),
        ("ws://a/#", "fragment"),
        ("ws://a/b#c", "fragment"),
        ("ws://a#c", "fragment"),
        ("ws:///b", "host of URL .* is ''"),
        ("ws://:80/b", "host of URL .* is ''"),
        ("ws://a b/", "host"),
        ("ws://a\n/", "host"),
        ("ws://a\\b/", "host"),
        ("ws://[::1", "host"),
        ("ws://[::1]x/", "host"),
        ("ws://::1/", "host"),
        ("ws://[a]/", "not an IPv6 address"),
        ("ws://[]/", "not an IPv6 address"),
        ("ws://[127.0.0.1]/", "not an IPv6 address"),
        ("ws://a:b/", "host"),
        ("ws://a:-1/", "host"),
        ("ws://a:\u0661/", "host"),
        ("ws://a:0/", "port of URL .* is 0, expected 1 to 65535"),
        ("ws://a:65536/", "port of URL .* is 65536, expected 1 to 65535"),
        ("ws://a/b c", "path or query of URL .* holds ' '; percent-encode it"),
        ("ws://a/b\r\nX: y", r"holds '\\r'"),
        ("ws://a/b?\t", r"holds '\\t'"),
        ("ws://a/\x00", "path or query"),
        ("ws://a/\ud800", "surrogate"),
        ("ws://\xfc..a/", "IDNA"),
        ("ws://" + "\xfc" * 70 + "/", "IDNA"),
    ],
)
def test_no_urls(text: str, message: str) -> None:
    with pytest.raises(InvalidURL, match=message):
        parse_url(text)


@pytest.mark.parametrize("rest", ["a/", "a:0/", "a/#b", ""])
@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_password_is_not_repeated_in_the_message(scheme: str, rest: str) -> None:
    with pytest.raises(InvalidURL, match="Authorization header") as caught:
        parse_url(f"{scheme}://user:secret@{rest}")
    assert "secret" not in str(caught.value)


def test_a_port_of_many_digits() -> None:
    with pytest.raises(InvalidURL, match="port"):
        parse_url("ws://a:" + "9" * 5000)


@given(st.text(), st.sampled_from(["", "ws://", "ws://a/", "ws://a:1/?", "wss://["]))
def test_any_text_is_a_url_that_can_be_asked_for_or_is_refused(
    text: str, start: str
) -> None:
    try:
        url = parse_url(start + text)
    except InvalidURL:
        return
    assert url.host
    assert 0 < url.port < 65536
    assert Request("GET", url.resource, {"Host": url.host_header}).raw
    assert build_request(url.host_header, url.resource, generate_key())
