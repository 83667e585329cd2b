"""The server's half of the opening handshake."""

from __future__ import annotations

import re

import pytest

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.handshake.request import Request, parse_request
from trio_fastws._protocol.handshake.response import (
    encode_response,
    parse_response,
    refuse,
)
from trio_fastws._protocol.handshake.server import (
    build_accept,
    check_origin,
    check_upgrade,
    choose_subprotocol,
    is_upgrade,
)

VALID = {
    "Host": "a",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)


def make(*more: tuple[str, str], without: str = "", method: str = "GET") -> Request:
    fields = [pair for pair in VALID.items() if pair[0] != without]
    return Request(method, "/chat", [*fields, *more])


def refused(request: Request) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        check_upgrade(request)
    # every refusal can be put on the wire
    assert parse_response(
        encode_response(refuse(caught.value), head_only=True)
    ).headers.get_list("Connection")[-1:] == ("close",)
    return caught.value


def test_a_handshake_made_by_hand_or_read_is_accepted() -> None:
    for request in (make(), parse_request(make().raw)):
        assert is_upgrade(request)
        check_upgrade(request)
        assert build_accept(request) == ACCEPTED + b"\r\n"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Upgrade", ["WebSocket"]),
        ("Upgrade", ["h2c, WEBSOCKET"]),
        ("Upgrade", ["h2c", "websocket"]),
        ("Connection", ["keep-alive, Upgrade"]),
        ("Connection", ["keep-alive,upgrade"]),
        ("Connection", ["keep-alive ,\tUPGRADE , x"]),
        ("Connection", ["keep-alive", "Upgrade"]),
        ("Connection", [", Upgrade,"]),
        ("Content-Length", ["0"]),
        ("Sec-WebSocket-Protocol", ["chat"]),
        ("Sec-WebSocket-Protocol", ["chat, v2"]),
        ("Sec-WebSocket-Protocol", ["chat", "v2,Chat,"]),
        ("Sec-WebSocket-Extensions", ["permessage-deflate; client_max_window_bits"]),
        ("Sec-WebSocket-Extensions", ["a", 'b; c="d"']),
    ],
)
def test_liberties_a_client_has(name: str, values: list[str]) -> None:
    request = make(*((name, value) for value in values), without=name)
    assert is_upgrade(request)
    check_upgrade(parse_request(request.raw))


EXTENSIONS, PROTOCOL = "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"
DEFLATE = "permessage-deflate; client_max_window_bits"
NAMES = [f"v{number}" for number in range(32)]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (EXTENSIONS, [", ".join([DEFLATE] * 32)]),
        (EXTENSIONS, [DEFLATE] * 32),
        (EXTENSIONS, ["x" + "; y=1" * 64]),
        (EXTENSIONS, [", ".join(["x; y; z=1"] * 32)]),
        (EXTENSIONS, ["x" * 8192]),
        (PROTOCOL, [", ".join(NAMES)]),
        (PROTOCOL, NAMES),
        # with a token to log in with
        (PROTOCOL, ["v1, " + "x" * 8188]),
        ("Connection", ["a," * 31 + "Upgrade"]),
        ("Connection", [*["a"] * 31, "Upgrade"]),
        ("Upgrade", ["a," * 31 + "websocket"]),
        ("Upgrade", ["websocket" + ",a" * 20_000]),
    ],
)
def test_the_most_that_is_looked_at(name: str, values: list[str]) -> None:
    request = make(*((name, value) for value in values), without=name)
    check_upgrade(request)
    check_upgrade(parse_request(request.raw))


BYTES = "has 8193 bytes, which is over the limit of 8192"


@pytest.mark.parametrize(
    ("name", "values", "status", "reason"),
    [
        (EXTENSIONS, [", ".join([DEFLATE] * 33)], 431, "has more than 32 elements"),
        (EXTENSIONS, [DEFLATE] * 33, 431, "has more than 32 elements"),
        (EXTENSIONS, ["x" + ", " * 32 + "y"], 431, "has more than 32 elements"),
        (EXTENSIONS, ["x" + "; y=1" * 65], 431, "has more than 64 parameters"),
        (EXTENSIONS, ["x; y; z", *["x; y; z"] * 31, "x; y"], 431, "32 elements"),
        (EXTENSIONS, ["x; y; z" + ", x; y; z" * 31 + "; a"], 431, "64 parameters"),
        (EXTENSIONS, ["x" * 8193], 431, BYTES),
        (EXTENSIONS, ["x" * 4096, "y" * 4096], 431, BYTES),
        (EXTENSIONS, ["x" + " " * 8191 + "y"], 431, BYTES),
        # counted before the grammar is looked at, which is what costs
        (EXTENSIONS, ["=" * 60_000], 431, "has 60000 bytes"),
        (EXTENSIONS, ["," * 100], 431, "has more than 32 elements"),
        (PROTOCOL, [", ".join([*NAMES, "one more"])], 431, "has more than 32 elements"),
        (PROTOCOL, [*NAMES, "one-more"], 431, "has more than 32 elements"),
        (PROTOCOL, ["x" * 8193], 431, BYTES),
        ("Connection", ["a," * 32 + "Upgrade"], 400, "Connection header lacks"),
        ("Upgrade", ["a," * 32 + "websocket"], 426, "Upgrade header is missing"),
    ],
)
def test_what_is_over_that_is_refused(
    name: str, values: list[str], status: int, reason: str
) -> None:
    for request in (
        make(*((name, value) for value in values), without=name),
        parse_request(make(*((name, value) for value in values), without=name).raw),
    ):
        error = refused(request)
        assert error.status == status
        assert error.reason.startswith(name if status == 431 else reason)
        assert reason in error.reason


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        (make(method="HEAD"), 405, "a WebSocket needs GET"),
        (make(method="POST"), 405, "a WebSocket needs GET"),
        (make(without="Host"), 400, "Host header is missing"),
        (make(("host", "b")), 400, "Host header is repeated"),
        (make(("Content-Length", "1")), 400, "request has a body"),
        (make(("Content-Length", "")), 400, "request has a body"),
        (make(("Transfer-Encoding", "chunked")), 400, "request has a body"),
        (
            make(without="Upgrade"),
            426,
            "Upgrade header is missing or is not 'websocket'; "
            "a proxy may have removed it",
        ),
        (make(("Upgrade", "websockets"), without="Upgrade"), 426, "Upgrade header"),
        (make(("Upgrade", ""), without="Upgrade"), 426, "Upgrade header"),
        (make(without="Connection"), 400, "Connection header lacks 'Upgrade'"),
        (
            make(("Connection", "keep-alive"), without="Connection"),
            400,
            "Connection header lacks 'Upgrade'",
        ),
        (make(without="Sec-WebSocket-Version"), 426, "Sec-WebSocket-Version is not 13"),
        (
            make(("Sec-WebSocket-Version", "8"), without="Sec-WebSocket-Version"),
            426,
            "Sec-WebSocket-Version is not 13",
        ),
        (
            make(("Sec-WebSocket-Version", "13, 8"), without="Sec-WebSocket-Version"),
            426,
            "Sec-WebSocket-Version is not 13",
        ),
        (
            make(("Sec-WebSocket-Version", "13")),
            400,
            "Sec-WebSocket-Version header is repeated",
        ),
        (
            make(without="Sec-WebSocket-Key"),
            400,
            "Sec-WebSocket-Key header is missing",
        ),
        (
            make(("Sec-WebSocket-Key", VALID["Sec-WebSocket-Key"])),
            400,
            "Sec-WebSocket-Key header is repeated",
        ),
        (
            make(("Sec-WebSocket-Key", "c2hvcnQ="), without="Sec-WebSocket-Key"),
            400,
            "Sec-WebSocket-Key is not base64 of 16 bytes",
        ),
        (
            make(("Origin", "https://a"), ("Origin", "https://b")),
            400,
            "Origin header is repeated",
        ),
        *[
            (
                make(("Sec-WebSocket-Protocol", value)),
                400,
                "Sec-WebSocket-Protocol is not a list of tokens",
            )
            for value in ("", ",", "a b", '"a"', "a/b", "a, b c")
        ],
        (
            make(("Sec-WebSocket-Protocol", "a, b, a")),
            400,
            "Sec-WebSocket-Protocol repeats a subprotocol",
        ),
        (
            make(("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "a")),
            400,
            "Sec-WebSocket-Protocol repeats a subprotocol",
        ),
        *[
            (
                make(("Sec-WebSocket-Extensions", value)),
                400,
                "Sec-WebSocket-Extensions does not follow RFC 6455 9.1",
            )
            for value in ("", "a;", "a b", "a; b=", 'a; b="c')
        ],
    ],
)
def test_refusals(request_: Request, status: int, reason: str) -> None:
    error = refused(request_)
    assert error.status == status
    assert error.reason.startswith(reason)
    if status == 426:
        # RFC 6455 4.4, RFC 9110 15.5.22
        assert error.headers == (
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
        )
    if status == 405:
        assert error.headers == (("Allow", "GET"),)


def test_plain_http_is_no_upgrade() -> None:
    request = Request("GET", "/", {"Host": "a", "Connection": "keep-alive"})
    assert not is_upgrade(request)
    assert refused(request).reason == "Upgrade header is missing or is not 'websocket'"
    assert not is_upgrade(Request("GET", "/", {"Host": "a", "Upgrade": "h2c"}))


def test_an_upgrade_needs_1_1() -> None:
    # RFC 6455 4.2.1: an HTTP/1.1 or higher GET request
    made = Request("GET", "/chat", VALID, http_version="1.0")
    for request in (made, parse_request(made.raw)):
        assert is_upgrade(request)
        error = refused(request)
        assert error.status == 426
        assert error.reason.startswith("a WebSocket needs HTTP/1.1")
        assert "proxy_http_version" in error.reason
        assert ("Upgrade", "websocket") in error.headers
    # Nobody has asked for a WebSocket here, and no proxy has changed it.
    page = refused(Request("GET", "/chat", {"Host": "a"}, http_version="1.0"))
    assert (page.status, "proxy" in page.reason) == (426, False)


def test_an_upgrade_that_lost_its_header_on_the_way_is_one() -> None:
    assert is_upgrade(make(without="Upgrade"))
    assert is_upgrade(make(without="Sec-WebSocket-Key"))


@pytest.mark.parametrize(
    ("supported", "chosen"),
    [
        ([], None),
        (["x"], None),
        (["Chat"], None),
        (["v2", "chat"], "v2"),
        (["chat", "v2"], "chat"),
        (["x", "v2"], "v2"),
    ],
)
def test_the_server_orders_subprotocols(
    supported: list[str], chosen: str | None
) -> None:
    request = make(("Sec-WebSocket-Protocol", "chat, v2"))
    assert choose_subprotocol(request, supported) == chosen
    assert choose_subprotocol(make(), supported) is None


ORIGIN = "https://example.com"


@pytest.mark.parametrize(
    ("origin", "origins", "reason"),
    [
        (ORIGIN, [ORIGIN], None),
        (ORIGIN, ["https://a", re.compile(r"https://.*\.com")], None),
        (None, [ORIGIN, None], None),
        (ORIGIN, [], "Origin is not allowed"),
        (ORIGIN, [None], "Origin is not allowed"),
        (ORIGIN, ["http://example.com", "example.com"], "Origin is not allowed"),
        # a pattern matches a whole origin
        (ORIGIN + ".evil", [re.compile(ORIGIN)], "Origin is not allowed"),
        ("null", [None], "Origin is not allowed"),
        (None, [ORIGIN], "Origin is missing"),
        (None, [re.compile(".*")], "Origin is missing"),
    ],
)
def test_origins(
    origin: str | None,
    origins: list[str | re.Pattern[str] | None],
    reason: str | None,
) -> None:
    request = make(("Origin", origin)) if origin else make()
    if reason is None:
        check_origin(request, origins)
        return
    with pytest.raises(HandshakeError) as caught:
        check_origin(request, origins)
    assert (caught.value.status, caught.value.reason) == (403, reason)


def test_an_origin_cannot_hide_behind_another() -> None:
    request = make(("Origin", "https://evil"), ("Origin", ORIGIN))
    with pytest.raises(HandshakeError, match="Origin header is repeated"):
        check_origin(request, [ORIGIN])


def test_what_a_101_may_carry() -> None:
    request = make(("Sec-WebSocket-Protocol", "chat, v2"))
    assert build_accept(request, "v2") == (
        ACCEPTED + b"Sec-WebSocket-Protocol: v2\r\n\r\n"
    )
    cookies = [("Set-Cookie", "a=\xe9"), ("Set-Cookie", "b")]
    assert build_accept(request, None, "x; y", cookies) == (
        ACCEPTED + b"Sec-WebSocket-Extensions: x; y\r\n"
        b"Set-Cookie: a=\xe9\r\nSet-Cookie: b\r\n\r\n"
    )


def test_what_a_101_may_not_carry() -> None:
    request = make(("Sec-WebSocket-Protocol", "chat"))
    with pytest.raises(ValueError, match="'v2' was not offered"):
        build_accept(request, "v2")
    with pytest.raises(ValueError, match="Sec-WebSocket-Extensions"):
        build_accept(request, extensions="a\r\nb")
    for name in ("Upgrade", "connection", "SEC-WEBSOCKET-ACCEPT", "Content-Length"):
        with pytest.raises(ValueError, match=f"'{name}' is written by the library"):
            build_accept(request, headers={name: "x"})
