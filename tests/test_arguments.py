"""What is wrong in a call is said by the call, before anything is opened."""

from __future__ import annotations

import re
import ssl

import pytest
import trio
from trio.testing import memory_stream_pair

import trio_fastws
from tests.handlers import echo
from trio_fastws import (
    EventHandler,
    PerMessageDeflate,
    Request,
    Timeouts,
    WebSocket,
    open_websocket,
    serve_websocket,
    upgrade,
)


async def generator(ws: WebSocket):
    yield ws


class AsyncHook(EventHandler):
    async def on_message(self, ws, message) -> None:
        await ws.send(message)


class AsyncGeneratorHook(EventHandler):
    async def on_open(self, ws):
        yield ws


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (None, "an async function or an EventHandler, not None"),
        ("echo", "an async function or an EventHandler, not 'echo'"),
        (generator, "must not yield, as <function generator"),
        (AsyncHook, r"is the class AsyncHook; pass an instance: AsyncHook\(\)"),
        (AsyncHook(), "AsyncHook.on_message is async, but hooks are plain functions"),
        (AsyncGeneratorHook(), "AsyncGeneratorHook.on_open is async"),
    ],
)
async def test_what_can_serve_nobody_is_refused(handler, words) -> None:
    with pytest.raises(TypeError, match=words):
        await serve_websocket(handler, 0)


async def test_a_handler_that_was_called_is_refused_without_another_warning() -> None:
    with pytest.raises(TypeError, match=r"coroutine echo\(\.\.\.\); pass the func"):
        await serve_websocket(echo(None), 0)


WRONG = [
    ({"limits": {"message_size": 1}}, TypeError, "limits must be a Limits, not {"),
    ({"limits": Timeouts()}, TypeError, "limits must be a Limits, not Timeouts"),
    ({"timeouts": 5}, TypeError, "timeouts must be a Timeouts, not 5"),
    ({"sending": "wait"}, TypeError, "sending must be a Sending, not 'wait'"),
    ({"deflate": True}, TypeError, "deflate must be a PerMessageDeflate, not True"),
    (
        {"deflate": PerMessageDeflate},
        TypeError,
        "deflate must be a PerMessageDeflate, not <class",
    ),
    ({"subprotocols": "v1"}, TypeError, "subprotocols must be a list .* not 'v1'"),
    ({"subprotocols": 5}, TypeError, "subprotocols must be a list of names, not 5"),
    ({"subprotocols": print}, TypeError, "subprotocols must be a list of names, not"),
    ({"subprotocols": [5]}, TypeError, "subprotocols holds 5, which is not a str"),
    ({"subprotocols": ["a b"]}, ValueError, "subprotocol 'a b' is not a token"),
]
OF_SERVERS = [
    ({"origins": "https://a"}, TypeError, "origins must be a list .* not 'https://a'"),
    ({"origins": 5}, TypeError, "origins must be a list of origins, not 5"),
    ({"origins": ["example.com"]}, ValueError, "'example.com' can match no browser's"),
    ({"origins": ["https://a.example/"]}, ValueError, "can match no browser's"),
    ({"origins": ["https://A.example"]}, ValueError, "can match no browser's"),
    (
        {"origins": ["https://*.example"]},
        ValueError,
        r"origin 'https://\*\.example' can match no browser's; write re\.compile\(",
    ),
    ({"origins": ["*"]}, ValueError, r"origin '\*' .* write re\.compile\("),
    (
        {"origins": ["https://a.example:443"]},
        ValueError,
        "'https://a.example:443' can match no browser's; write 'https://a.example': br",
    ),
    ({"origins": ["http://a:80"]}, ValueError, "write 'http://a': browsers leave"),
    ({"origins": ["http://[::1]:80"]}, ValueError, r"write 'http://\[::1\]': browsers"),
    ({"origins": [b"https://a"]}, TypeError, "origins holds b'https://a'"),
    ({"origins": [re.compile(b"a")]}, TypeError, "a pattern for bytes"),
]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        *WRONG,
        *OF_SERVERS,
        (
            {"ssl_context": "cert.pem"},
            TypeError,
            "ssl_context must be an ssl.SSLContext",
        ),
        ({"on_request": 5}, TypeError, "on_request must be a function, not 5"),
    ],
)
async def test_wrong_options_of_a_server(options, error, words) -> None:
    with pytest.raises(error, match=words):
        await serve_websocket(echo, 0, **options)


@pytest.mark.parametrize("port", ["80", 8.0, True])
async def test_a_port_is_an_int(port) -> None:
    with pytest.raises(TypeError, match="port must be an int or a Listen, not"):
        await serve_websocket(echo, port)


@pytest.mark.parametrize(
    "origins",
    [
        ["null"],
        ["http://[::1]:8000"],
        ["http://a:443", "https://[::80]"],
        ["chrome-extension://abc", None],
        (),
    ],
)
async def test_what_browsers_send_is_taken(serve, origins) -> None:
    await serve(echo, origins=origins)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        *WRONG,
        ({"origin": 5}, TypeError, "value of header 'Origin' must be a str, not 5"),
        ({"headers": [("X", 5)]}, TypeError, "value of header 'X' must be a str"),
        ({"headers": "X: 5"}, TypeError, "headers must be pairs .* not 'X: 5'"),
        ({"headers": [(b"X", "5")]}, TypeError, "header name must be a str, not b'X'"),
        (
            {"ssl_context": False},
            TypeError,
            "ssl_context must be an ssl.SSLContext, not False",
        ),
        (
            {"ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)},
            ValueError,
            "ssl_context is a context for servers; use PROTOCOL_TLS_CLIENT",
        ),
        ({"stream": 5}, TypeError, "stream must be a trio.abc.Stream, not 5"),
    ],
)
async def test_wrong_options_of_a_client(options, error, words) -> None:
    with pytest.raises(error, match=words):
        async with open_websocket("wss://unused.invalid/", **options):
            pytest.fail("it must not open")


@pytest.mark.parametrize(("options", "error", "words"), [*WRONG, *OF_SERVERS])
async def test_wrong_options_of_an_upgrade(options, error, words) -> None:
    with pytest.raises(error, match=words):
        async with upgrade(memory_stream_pair()[0], Request("GET", "/"), **options):
            pytest.fail("it must not open")


@pytest.mark.parametrize("url", [None, b"ws://a/"])
async def test_a_url_is_a_string(url) -> None:
    with pytest.raises(TypeError, match="url must be a str, not"):
        async with open_websocket(url):
            pytest.fail("it must not open")


async def test_close_takes_an_int_and_a_string(serve) -> None:
    server = await serve(echo)
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        with pytest.raises(TypeError, match=r"close code must be an int, not 1000\.0"):
            await ws.aclose(1000.0)
        with pytest.raises(TypeError, match="close reason must be a str, not None"):
            ws.close_nowait(1000, None)
        await ws.send("still open")
        assert await ws.receive() == "still open"


async def test_what_cannot_be_known_of_a_handler_is_logged(serve, caplog) -> None:
    def returning(ws):
        return ws.subprotocol

    server = await serve(returning)
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        with pytest.raises(trio_fastws.ConnectionBroken):
            await ws.receive()
    assert "expected an async function, but" in caplog.text
    assert "returning" in caplog.text
    assert "returned None" in caplog.text


def test_a_traceback_names_errors_as_one_catches_them() -> None:
    for name in ("ConnectionBroken", "HandshakeError", "HandshakeRefused"):
        assert getattr(trio_fastws, name).__module__ == "trio_fastws"
    assert trio_fastws.InvalidURL.__module__ == "trio_fastws"


async def test_a_handshake_that_takes_too_long_names_its_limit(autojump_clock) -> None:
    ours, _theirs = memory_stream_pair()
    with pytest.raises(trio.TooSlowError, match=r" s \(Timeouts\.handshake\)"):
        async with open_websocket("ws://a/", stream=ours):
            pytest.fail("it must not open")


async def test_a_tls_handshake_that_fails_says_why() -> None:
    ours, theirs = memory_stream_pair()
    await theirs.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    words = r"TLS handshake failed: .*SSL.*; what came is no TLS: is it a ws:// URL\?"
    with pytest.raises(trio.BrokenResourceError, match=words):
        async with open_websocket("wss://a/", stream=ours):
            pytest.fail("it must not open")
