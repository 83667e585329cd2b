"""`Accept`: what `on_request` says of an upgrade that it lets in."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair

from tests.wire import (
    TEXT,
    WEBSOCKET_KEY,
    Frame,
    Peer,
    close,
    dial,
    plain_request,
    upgrade_request,
)
from trio_fastws import (
    Accept,
    EventHandler,
    Headers,
    PerMessageDeflate,
    Request,
    Response,
    WebSocket,
    open_websocket,
    upgrade,
)

COOKIES = [("Set-Cookie", "a=1; HttpOnly"), ("Set-Cookie", "b=2")]


async def greet(ws: WebSocket) -> None:
    await ws.send(f"{ws.session} {ws.subprotocol}")


class Greet(EventHandler):
    """The same in a hook."""

    def on_open(self, ws: WebSocket) -> None:
        ws.send_nowait(f"{ws.session} {ws.subprotocol}")
        ws.close_nowait()


def soon(accept: Accept) -> Callable[[Request], Accept]:
    return lambda request: accept


def later(accept: Accept) -> Callable[[Request], Awaitable[Accept]]:
    async def on_request(request: Request) -> Accept:
        await trio.lowlevel.checkpoint()
        return accept

    return on_request


both = pytest.mark.parametrize("decide", [soon, later])
kinds = pytest.mark.parametrize("handler", [greet, Greet()], ids=["async", "hooks"])


@both
@kinds
async def test_a_cookie_and_a_session(
    transport, serve, no_errors_logged, handler, decide
) -> None:
    server = await serve(
        handler, on_request=decide(Accept(headers=COOKIES, session="Ada"))
    )
    async with await dial(server.port) as peer:
        head = await peer.shake()
        lines = head.split(b"\r\n")
        assert lines[0].startswith(b"HTTP/1.1 101 ")
        assert lines[-4:] == [
            b"Set-Cookie: a=1; HttpOnly",
            b"Set-Cookie: b=2",
            b"",
            b"",
        ]
        assert await peer.read_frame() == Frame(TEXT, b"Ada None")


@both
@kinds
async def test_over_tls_our_client_sees_them(
    transport, serve, server_tls, client_tls, no_errors_logged, handler, decide
) -> None:
    accept = Accept(headers=Headers(COOKIES), session="Ada", subprotocol="b")
    server = await serve(handler, ssl_context=server_tls, on_request=decide(accept))
    url = f"wss://localhost:{server.port}/"
    async with open_websocket(
        url, ssl_context=client_tls, subprotocols=["a", "b"]
    ) as ws:
        assert ws.response is not None
        assert ws.response.headers.get_all("Set-Cookie") == ("a=1; HttpOnly", "b=2")
        assert ws.subprotocol == "b"
        assert await ws.receive() == "Ada b"


@both
async def test_beside_compression(serve, decide) -> None:
    server = await serve(
        greet,
        deflate=PerMessageDeflate(),
        on_request=decide(Accept(headers={"X-Name": "Ada"})),
    )
    url = f"ws://127.0.0.1:{server.port}/"
    async with open_websocket(url, deflate=PerMessageDeflate()) as ws:
        assert ws.deflate is not None
        assert ws.response is not None
        assert ws.response.headers["x-name"] == "Ada"
        assert await ws.receive() == "None None"


@pytest.mark.parametrize(
    ("accept", "configured", "chosen"),
    [
        (Accept(), ["b", "a"], "b"),
        (Accept(subprotocol="a"), ["b", "a"], "a"),
        (Accept(subprotocol="a"), [], "a"),
        (Accept(session=1, subprotocol="b"), ["a"], "b"),
    ],
)
@both
async def test_the_choice_of_a_subprotocol(
    transport, serve, accept, configured, chosen, decide
) -> None:
    server = await serve(greet, subprotocols=configured, on_request=decide(accept))
    async with await dial(server.port) as peer:
        head = await peer.shake("Sec-WebSocket-Protocol: a, b")
        assert f"\r\nSec-WebSocket-Protocol: {chosen}\r\n".encode() in head


@both
async def test_a_subprotocol_that_was_not_offered_is_a_500(
    transport, serve, caplog, decide
) -> None:
    # RFC 6455 4.2.2: the value chosen MUST be derived from the client's handshake
    accept = Accept(subprotocol="c", headers=COOKIES, session="Ada")
    server = await serve(greet, on_request=decide(accept))
    for fields, offers in (
        (["Sec-WebSocket-Protocol: a, b"], "'a', 'b'"),
        ([], "none"),
    ):
        caplog.clear()
        async with await dial(server.port) as peer:
            head = await peer.shake(*fields)
            assert head.startswith(b"HTTP/1.1 500 ")
            assert b"Set-Cookie" not in head
            assert b"decide" in await peer.read_rest()
        (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert record.exc_info is not None
        words = f"'c' was not offered by the client, which offers {offers}"
        assert str(record.exc_info[1]) == f"subprotocol {words}"


@both
async def test_of_a_plain_request_it_says_what_none_says(
    transport, serve, no_errors_logged, decide
) -> None:
    server = await serve(greet, on_request=decide(Accept(headers=COOKIES)))
    async with await dial(server.port) as peer:
        await peer.send(plain_request("/page"))
        head = await peer.read_head()
        assert head.startswith(b"HTTP/1.1 426 ")
        assert b"Set-Cookie" not in head
        assert b"/page is for WebSockets" in await peer.read_rest()


@both
async def test_a_bad_upgrade_is_not_asked_about(serve, decide) -> None:
    server = await serve(greet, on_request=decide(Accept(headers=COOKIES)))
    async with await dial(server.port) as peer:
        await peer.send(upgrade_request(without=("Sec-WebSocket-Key",)))
        head = await peer.read_head()
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"Set-Cookie" not in head


async def test_one_may_serve_for_many(serve) -> None:
    accept = Accept(headers=iter(COOKIES), session=["shared"])
    server = await serve(greet, on_request=soon(accept))
    for _ in range(2):
        async with await dial(server.port) as peer:
            assert b"Set-Cookie: b=2\r\n" in await peer.shake()
            assert await peer.read_frame() == Frame(TEXT, b"['shared'] None")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"headers": [("Set-Cookie", "a\r\nX: 1")]}, "holds '\\r' at index 1"),
        ({"headers": [("Set-Cookie", "a\nX: 1")]}, "holds '\\n' at index 1"),
        ({"headers": [("Set-Cookie", "a\0")]}, "'\\x00'"),
        ({"headers": [("Set-Cookie", "\u20ac")]}, "Latin-1"),
        ({"headers": [("Set-Cookie: x\r\nY", "a")]}, "is not a token"),
        ({"headers": [("", "a")]}, "is not a token"),
        ({"headers": {"Upgrade": "h2c"}}, "written by the library"),
        ({"headers": {"CONNECTION": "close"}}, "written by the library"),
        ({"headers": {"Content-Length": "1"}}, "written by the library"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "written by the library"),
        ({"headers": {"Sec-WebSocket-Accept": "x"}}, "written by the library"),
        ({"headers": {"sec-websocket-extensions": "x"}}, "written by the library"),
        ({"headers": {"Sec-WebSocket-Protocol": "a"}}, "written by the library"),
        ({"subprotocol": "a, b"}, "'a, b' is not a token"),
        ({"subprotocol": ""}, "'' is not a token"),
    ],
)
def test_what_would_break_a_head_is_refused_where_it_is_made(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Accept(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"headers": [("Set-Cookie", b"a=1")]}, "must be a str, not b'a=1'"),
        ({"headers": [(1, "a")]}, "header name must be a str, not 1"),
        ({"headers": 5}, "must be pairs of name and value, or a mapping, not 5"),
        ({"headers": None}, "must be pairs of name and value, or a mapping, not None"),
        ({"headers": "X: a"}, "or a mapping, not 'X: a'"),
        ({"headers": ("Set-Cookie", "a=1")}, "headers holds 'Set-Cookie', which is"),
        ({"headers": ["ab"]}, "'ab', which is not a pair of name and value"),
        ({"headers": [("X", "a", "b")]}, "('X', 'a', 'b'), which is not a pair"),
        ({"headers": {"X": ["a", "b"]}}, "value of header 'X' must be a str, not ["),
        ({"subprotocol": b"a"}, "subprotocol must be a str, not b'a'"),
        ({"subprotocol": ["a"]}, "subprotocol must be a str, not ['a']"),
    ],
)
def test_wrong_types_are_refused_where_it_is_made(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(TypeError, match=re.escape(words)):
        Accept(**options)


def test_it_is_a_value() -> None:
    accept = Accept(headers={"X": "1"}, session="s")
    assert accept == Accept(headers=[("x", "1")], session="s")
    assert accept != Accept(headers={"X": "1"})
    with pytest.raises(AttributeError):
        accept.session = None  # type: ignore[misc]
    with pytest.raises(TypeError):
        Accept("a")  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [Accept, "Accept", Response])
@both
async def test_what_is_no_answer_is_a_500(serve, caplog, wrong, decide) -> None:
    server = await serve(greet, on_request=decide(wrong))
    async with await dial(server.port) as peer:
        assert (await peer.shake()).startswith(b"HTTP/1.1 500 ")
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert record.exc_info is not None
    assert "not a Response, an Accept or None" in str(record.exc_info[1])


# --- upgrade -----------------------------------------------------------------


def request(*fields: tuple[str, str]) -> Request:
    upgrading = [
        ("Host", "a"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", WEBSOCKET_KEY),
        ("Sec-WebSocket-Version", "13"),
    ]
    return Request("GET", "/", [*upgrading, *fields])


async def test_upgrade_takes_fields_as_well(transport) -> None:
    ours, theirs = memory_stream_pair()
    async with Peer(theirs) as peer, upgrade(ours, request(), headers=COOKIES):
        assert b"Set-Cookie: b=2\r\n\r\n" in await peer.read_head()
        await peer.send(close(1000))
        await peer.send_eof()


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"Set-Cookie": "a\r\nb"}, ValueError),
        ({"Upgrade": "h2c"}, ValueError),
        ([("A", 1)], TypeError),
    ],
)
async def test_upgrade_refuses_bad_fields_before_anything_is_sent(
    headers: Any, error: type[Exception]
) -> None:
    ours, theirs = memory_stream_pair()
    for asked in (request(), request(("Host", "b"))):
        with pytest.raises(error):
            async with upgrade(ours, asked, headers=headers):
                pytest.fail("entered")
    await trio.aclose_forcefully(ours)
    assert await theirs.receive_some() == b""
