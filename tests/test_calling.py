"""Calls with the arguments of trio-websocket, whose names are the same."""

from __future__ import annotations

import inspect
import re
import sys

import pytest
import trio

from tests.handlers import echo
from trio_fastws import open_websocket, serve_websocket, upgrade
from trio_fastws._config.calling import FOR_CLIENTS, FOR_SERVERS, FOR_UPGRADE

ANOTHER_ORDER = r".*\(trio-websocket's order is another\)$"
SERVES = (
    "; it takes a handler and a port, and all else by keyword, host and ssl_context too"
)
DIALS = "; it takes a URL, such as 'ws://.*/path', and all else by keyword, ssl_context"


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (
            ("localhost", 8765, None),
            {},
            "serve_websocket.. takes .* 4 were given" + SERVES,
        ),
        ((None, 8765, None), {}, "takes 2 .* but 4 were given" + SERVES),
        (("localhost", 8765), {}, "takes 2 .* but 3 were given" + SERVES),
        ((), {"host": "localhost", "ssl_context": None}, "argument: 'port'" + SERVES),
        (
            ("localhost",),
            {},
            "port must be an int or a Listen, not 'localhost'; a ho",
        ),
        ((b"::1",), {}, "port must be an int or a Listen, not b'::1'; a host goes by"),
    ],
)
async def test_arguments_of_another_servers_order(arguments, options, words) -> None:
    with pytest.raises(TypeError, match=words + ANOTHER_ORDER):
        await serve_websocket(echo, *arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("localhost", 8765, "/x"), {"use_ssl": False}, "open_websocket.. "),
        (("localhost", 8765, "/x"), {}, "takes 1 positional argument but 3"),
        (("wss://localhost/", None), {}, "takes 1 positional argument but 2"),
        ((), {"host": "localhost", "port": 1}, "unexpected keyword argument 'host'"),
    ],
)
def test_arguments_of_another_clients_order(arguments, options, words) -> None:
    with pytest.raises(TypeError, match=words + ".*" + DIALS + ANOTHER_ORDER):
        open_websocket(*arguments, **options)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("ssl", "ssl_context="),
        ("tls", "ssl_context="),
        ("unix", "Listen(unix=) in place of the port"),
        ("backlog", "Listen(port, backlog=) in place of the port"),
        ("reuse_port", "Listen(port, reuse_port=True) in place of the port"),
        ("listeners", "Listen(listeners=) in place of the port"),
        ("sock", "Listen(listeners=) in place of the port"),
        ("process_request", "on_request="),
        ("select_subprotocol", "an on_request= that returns Accept(subprotocol=)"),
        ("extra_headers", "an on_request= that returns Accept(headers=)"),
        ("max_size", "limits=Limits(message_size=)"),
        ("max_message_size", "limits=Limits(message_size=)"),
        ("message_queue_size", "limits=Limits(receive_buffer=)"),
        ("ping_interval", "timeouts=Timeouts(ping_interval=)"),
        ("close_timeout", "timeouts=Timeouts(close=)"),
        ("open_timeout", "timeouts=Timeouts(handshake=)"),
        ("connect_timeout", "timeouts=Timeouts(handshake=)"),
        ("disconnect_timeout", "timeouts=Timeouts(close=)"),
        ("compression", "deflate=PerMessageDeflate()"),
        ("on_disconnect", "sending=Sending(on_disconnect=)"),
    ],
)
async def test_keywords_of_other_servers_have_a_name_here(name, ours) -> None:
    with pytest.raises(TypeError) as caught:
        await serve_websocket(echo, 0, **{name: None})
    message = str(caught.value)
    assert f"keyword argument {name!r}" in message
    assert message.endswith(f"; for {name}= write {ours}")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("extra_headers", "headers="),
        ("additional_headers", "headers="),
        ("ssl", "ssl_context="),
        ("use_ssl", "a URL that begins with wss://"),
        ("compression", "deflate=PerMessageDeflate()"),
        ("timeout", "timeouts=Timeouts(handshake=)"),
        ("user_agent_header", 'headers={"User-Agent": ...}'),
        ("max_size", "limits=Limits(message_size=)"),
    ],
)
def test_keywords_of_other_clients_have_a_name_here(name, ours) -> None:
    with pytest.raises(TypeError) as caught:
        open_websocket("ws://localhost/", **{name: None})
    message = str(caught.value)
    assert f"keyword argument {name!r}" in message
    assert message.endswith(f"; for {name}= write {ours}")


def test_a_keyword_of_nobody_is_named_and_no_more() -> None:
    with pytest.raises(TypeError, match="keyword argument 'colour'") as caught:
        open_websocket("ws://localhost/", colour=5)
    assert "it takes" not in str(caught.value)


async def test_upgrade_says_what_it_takes() -> None:
    with pytest.raises(TypeError, match="it takes a stream and a request, and all"):
        upgrade(None)
    with pytest.raises(TypeError, match=r"for max_size= write limits=Limits\(mess"):
        upgrade(None, None, max_size=5)


def test_what_is_to_be_written_is_taken() -> None:
    for function, table in (
        (serve_websocket, FOR_SERVERS),
        (open_websocket, FOR_CLIENTS),
        (upgrade, FOR_UPGRADE),
    ):
        parameters = inspect.signature(function).parameters
        for name, ours in table.items():
            assert name not in parameters
            for keyword in re.findall(r"\w+(?==)", re.sub(r"\(.*\)", "", ours)):
                assert keyword in parameters, ours


async def test_what_trio_calls_says_so_too() -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(TypeError, match=SERVES):
            await nursery.start(serve_websocket, echo, "localhost", 8765, None)
        with pytest.raises(TypeError, match=SERVES):
            nursery.start_soon(serve_websocket, echo, "localhost", 8765, None)


def test_trio_run_says_so_too() -> None:
    with pytest.raises(TypeError, match=SERVES):
        trio.run(serve_websocket, echo, "localhost", 8765, None)


async def test_another_type_error_is_left_alone() -> None:
    with pytest.raises(TypeError) as caught:
        await serve_websocket(echo, 0, limits=5)  # type: ignore[arg-type]
    assert str(caught.value) == "limits must be a Limits, not 5"


def test_they_look_like_what_they_are() -> None:
    assert list(inspect.signature(serve_websocket).parameters)[:3] == [
        "handler",
        "port",
        "host",
    ]
    assert next(iter(inspect.signature(open_websocket).parameters)) == "url"
    assert serve_websocket.__name__ == "serve_websocket"
    assert serve_websocket.__module__.startswith("trio_fastws.")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python cannot be told before")
def test_the_server_is_a_coroutine_function() -> None:
    assert inspect.iscoroutinefunction(serve_websocket)
