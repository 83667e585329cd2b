"""The client's half of the opening handshake, and both halves together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.handshake.accept_key import accept_key, generate_key
from trio_fastws._protocol.handshake.client import build_request, check_accept
from trio_fastws._protocol.handshake.headers import Headers
from trio_fastws._protocol.handshake.request import parse_request
from trio_fastws._protocol.handshake.response import (
    Response,
    make_received,
    parse_response,
)
from trio_fastws._protocol.handshake.server import (
    build_accept,
    check_upgrade,
    choose_subprotocol,
)
from trio_fastws._protocol.tokens import MAX_ELEMENTS

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Accept": accept_key(KEY),
}
TOKENS = st.text("abcXYZ019-._~!", min_size=1)


def answer(*more: tuple[str, str], without: str = "") -> Response:
    fields = [pair for pair in ACCEPT.items() if pair[0] != without]
    return make_received(101, Headers([*fields, *more]), b"", "")


def test_the_least_request() -> None:
    assert build_request("a:1", "/x?y", KEY) == (
        b"GET /x?y HTTP/1.1\r\nHost: a:1\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\n\r\n"
    )


def test_all_that_a_request_may_carry() -> None:
    head = build_request(
        "a",
        "/",
        KEY,
        origin="https://b",
        subprotocols=["v2", "v1"],
        extensions="permessage-deflate; client_max_window_bits",
        headers=[("Cookie", "a"), ("host", "c:1"), ("Cookie", "\xe9")],
    )
    request = parse_request(head)
    check_upgrade(request)
    assert request.host == "c:1"
    assert request.origin == "https://b"
    assert request.subprotocols == ("v2", "v1")
    assert request.extensions == ("permessage-deflate; client_max_window_bits",)
    assert request.headers.get_all("Cookie") == ("a", "\xe9")
    assert b"Origin: c\r\n" in build_request("a", "/", KEY, headers={"Origin": "c"})


@pytest.mark.parametrize(
    ("default", "headers", "sent"),
    [
        (None, [], []),
        ("ours/1", [], ["ours/1"]),
        ("ours/1", [("user-agent", "mine/2 (x)")], ["mine/2 (x)"]),
        (None, [("User-Agent", "mine/2")], ["mine/2"]),
        # an empty one sends none
        ("ours/1", [("User-Agent", "")], []),
        (None, [("User-Agent", "")], []),
    ],
)
def test_user_agent(
    default: str | None, headers: list[tuple[str, str]], sent: list[str]
) -> None:
    head = build_request("a", "/", KEY, headers=headers, user_agent=default)
    assert list(parse_request(head).headers.get_all("User-Agent")) == sent


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"headers": [("User-Agent", "a"), ("USER-AGENT", "")]},
            "'User-Agent' is given more than once",
        ),
        ({"headers": {"User-Agent": "a\nb"}}, "value of header 'User-Agent'"),
        ({"headers": [("Host", "a"), ("HOST", "b")]}, "'Host' is given more than once"),
        ({"origin": "a", "headers": {"origin": "b"}}, "'Origin' is given beside"),
        ({"headers": {"Sec-WebSocket-Key": KEY}}, "is written by the library"),
        ({"headers": {"Upgrade": "h2c"}}, "is written by the library"),
        ({"headers": {"transfer-encoding": "chunked"}}, "is written by the library"),
        ({"headers": {"Content-Length": "0"}}, "is written by the library"),
        ({"headers": {"X Y": "z"}}, "is not a token"),
        ({"headers": {"Host": "a\r\nb"}}, "value of header 'Host'"),
        ({"subprotocols": "chat"}, "is not a list of tokens"),
        ({"subprotocols": ["a b"]}, "is not a list of tokens"),
        ({"subprotocols": [""]}, "is not a list of tokens"),
        ({"subprotocols": ["a", "b", "a"]}, "repeats a name"),
    ],
)
def test_what_a_request_may_not_carry(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_request("a", "/", KEY, **arguments)


@pytest.mark.parametrize("name", ["User-Agent", "Host", "X"])
def test_a_header_is_a_string(name: str) -> None:
    headers: Any = [(name, None)]
    with pytest.raises(TypeError, match=f"value of header '{name}' must be a str"):
        build_request("a", "/", KEY, headers=headers, user_agent="ours/1")


@pytest.mark.parametrize(
    ("response", "chosen"),
    [
        (answer(), None),
        (answer(("Upgrade", "WebSocket"), without="Upgrade"), None),
        (answer(("Connection", "keep-alive"), ("X", "y")), None),
        (answer(("Connection", "close, UPGRADE"), without="Connection"), None),
        (answer(("Sec-WebSocket-Protocol", "v2")), "v2"),
        (answer(("Sec-WebSocket-Extensions", "x; y=1")), None),
        (answer(("Sec-WebSocket-Extensions", "x, z")), None),
    ],
)
def test_answers_that_accept(response: Response, chosen: str | None) -> None:
    assert check_accept(response, KEY, ["v1", "v2"], "x; y, z") == chosen


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (answer(without="Upgrade"), "server's Upgrade header"),
        (answer(("Upgrade", "h2c"), without="Upgrade"), "server's Upgrade header"),
        (answer(("Upgrade", "websocket")), "server's Upgrade header"),
        (answer(without="Connection"), "server's Connection header lacks 'Upgrade'"),
        (
            answer(("Connection", "close"), without="Connection"),
            "server's Connection header lacks 'Upgrade'",
        ),
        (
            answer(without="Sec-WebSocket-Accept"),
            "server's Sec-WebSocket-Accept header",
        ),
        (
            answer(("Sec-WebSocket-Accept", ACCEPT["Sec-WebSocket-Accept"])),
            "server's Sec-WebSocket-Accept header",
        ),
        (
            answer(("Sec-WebSocket-Accept", KEY), without="Sec-WebSocket-Accept"),
            "server's Sec-WebSocket-Accept header",
        ),
        (
            answer(("Sec-WebSocket-Protocol", "v3")),
            "server's subprotocol 'v3' was not offered",
        ),
        (
            answer(("Sec-WebSocket-Protocol", "V2")),
            "server's subprotocol 'V2' was not offered",
        ),
        (
            answer(("Sec-WebSocket-Protocol", "v1, v2")),
            "server's subprotocol 'v1, v2' was not offered",
        ),
        (
            answer(("Sec-WebSocket-Protocol", "v1"), ("Sec-WebSocket-Protocol", "v1")),
            "server's Sec-WebSocket-Protocol header is repeated",
        ),
        (
            answer(("Sec-WebSocket-Extensions", "x, w")),
            "server's extension 'w' was not offered",
        ),
        (
            answer(("Sec-WebSocket-Extensions", ", ".join(["x"] * 33))),
            "server's Sec-WebSocket-Extensions has more than 32 elements",
        ),
        (
            answer(("Sec-WebSocket-Extensions", "x" * 60_000)),
            "server's Sec-WebSocket-Extensions has 60000 bytes, which is over",
        ),
        (
            answer(("Sec-WebSocket-Extensions", "x;")),
            "server's Sec-WebSocket-Extensions does not follow RFC 6455 9.1",
        ),
        (
            answer(("Sec-WebSocket-Extensions", "")),
            "server's Sec-WebSocket-Extensions does not follow RFC 6455 9.1",
        ),
    ],
)
def test_answers_that_do_not_keep_the_rules(response: Response, reason: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        check_accept(response, KEY, ["v1", "v2"], "x; y, z")
    assert caught.value.status == 101
    assert caught.value.reason.startswith(reason)
    assert caught.value.headers == response.headers.items()


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Response(403, {"X": "y"}), "server answered 403 Forbidden"),
        (make_received(200, Headers(ACCEPT), b"", "OK"), "server answered 200 OK"),
        (Response(302, {"Location": "/"}), "server answered 302 Found"),
        (Response(299), "server answered 299"),
    ],
)
def test_answers_that_refuse(response: Response, reason: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        check_accept(response, KEY)
    assert (caught.value.status, caught.value.reason) == (response.status, reason)
    assert caught.value.headers == response.headers.items()


@given(
    # A server looks at so many.
    st.lists(TOKENS, unique=True, max_size=MAX_ELEMENTS),
    st.lists(TOKENS),
    st.dictionaries(TOKENS.map("X{}".format), TOKENS),
)
def test_both_halves_agree(
    offered: list[str], supported: list[str], headers: dict[str, str]
) -> None:
    key = generate_key()
    request = parse_request(
        build_request("a", "/", key, subprotocols=offered, headers=headers)
    )
    check_upgrade(request)
    chosen = choose_subprotocol(request, supported)
    assert chosen == next((name for name in supported if name in offered), None)
    response = parse_response(build_accept(request, chosen, headers=headers))
    assert check_accept(response, key, offered) == chosen
    for name, value in headers.items():
        assert value in request.headers.get_all(name)
        assert value in response.headers.get_all(name)
