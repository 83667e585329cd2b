"""Calls with the arguments of trio-websocket, whose names are the same."""

from __future__ import annotations

import inspect
import sys

import pytest
import trio

from tests.handlers import echo
from trio_fastws import open_websocket, serve_websocket

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
        ((0,), {"message_queue_size": 1}, "argument 'message_queue_size'" + SERVES),
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
        (("ws://localhost/",), {"extra_headers": []}, "keyword argument 'extra_head"),
    ],
)
def test_arguments_of_another_clients_order(arguments, options, words) -> None:
    with pytest.raises(TypeError, match=words + ".*" + DIALS + ANOTHER_ORDER):
        open_websocket(*arguments, **options)


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
