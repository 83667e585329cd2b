"""A handler that could serve nobody is refused when serving begins."""

from __future__ import annotations

from functools import partial, wraps

import pytest

from trio_fastws import EventHandler, open_websocket, serve_websocket


class Object:
    """Its instances are handlers, and so are its methods."""

    async def __call__(self, ws) -> None:
        await ws.send("async")

    async def method(self, ws) -> None:
        await ws.send("async")

    async def no_argument(self) -> None:
        """Cannot be called with a connection."""

    def plain(self, ws) -> None:
        ws.send_nowait("plain")


class PlainObject:
    def __call__(self, ws) -> None:
        """Not async."""


async def good(ws) -> None:
    await ws.send("async")


async def more(ws, *, number=1) -> None:
    await ws.send("async")


async def two(number, ws) -> None:
    await ws.send("async")


async def none() -> None:
    """Takes nothing."""


def plain(ws) -> None:
    for _ in range(3):
        ws.send_nowait("plain")
        if ws.state != "open":
            return


def plain_generator(ws):
    yield ws


def giving(number):
    """Decorate a handler that wants more than a connection."""

    def decorate(function):
        @wraps(function)
        def wrapper(ws):
            return function(number, ws)

        return wrapper

    return decorate


def chosen(ws):
    return good(ws) if ws.subprotocol is None else None


@pytest.mark.parametrize(
    "handler",
    [
        good,
        more,
        chosen,
        partial(two, 1),
        partial(partial(two), 1),
        Object(),
        Object().method,
        lambda ws: two(1, ws),
        giving(1)(two),
    ],
)
async def test_whatever_gives_an_awaitable_is_a_handler(serve, handler) -> None:
    server = await serve(handler)
    async with open_websocket(f"ws://127.0.0.1:{server.port}") as ws:
        assert await ws.receive() == "async"


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (plain, "async function, but <function plain at .*`async def`"),
        (partial(plain), "must be an async function"),
        (lambda ws: None, "must be an async function"),
        (PlainObject(), "must be an async function"),
        (Object().plain, "must be an async function"),
        (plain_generator, "must not yield"),
        (none, r"called with \(ws\), but <function none .* takes \(\)"),
        (two, r"called with \(ws\), but .* takes \(number, ws\)"),
        (partial(two, 1, 2), r"called with \(ws\), but .* takes \(\)"),
        (Object().no_argument, r"called with \(ws\), but .* takes \(\)"),
    ],
)
async def test_others_are_refused_at_the_start(handler, words) -> None:
    with pytest.raises(TypeError, match=words):
        await serve_websocket(handler, 0)


def make(**hooks):
    return type("Chat", (EventHandler,), hooks)()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_mesage", "on_message"),
        ("on_messages", "on_message"),
        ("onmessage", "on_message"),
        ("onMessage", "on_message"),
        ("on_opne", "on_open"),
        ("on_clsoe", "on_close"),
        ("on_closed", "on_close"),
        ("on_drian", "on_drain"),
        ("on_pnig", "on_p.ng"),
        ("on_eror", "on_error"),
        ("onError", "on_error"),
        # of other libraries
        ("on_connect", "on_open"),
        ("on_disconnect", "on_close"),
        ("on_data", "on_message"),
        ("on_text", "on_message"),
        ("onBinary", "on_message"),
    ],
)
async def test_a_misspelt_hook_is_refused_with_the_nearest_name(name, meant) -> None:
    handler = make(**{name: lambda self, ws, *_: None})
    with pytest.raises(TypeError, match=rf"Chat\.{name} is no hook; .* {meant}\?"):
        await serve_websocket(handler, 0)


async def test_a_misspelt_hook_of_an_instance_is_refused_too() -> None:
    handler = make()
    handler.on_mesage = print
    with pytest.raises(TypeError, match="on_mesage is no hook"):
        await serve_websocket(handler, 0)


async def test_functions_of_ones_own_may_begin_with_on(serve) -> None:
    def own(self, *_):
        return None

    names = (
        "on_join",
        "on_login",
        "on_next",
        "on_date",
        "on_failure",
        "on_user_message",
        "once",
    )
    handler = make(**dict.fromkeys(names, own), on_closes=3, _on_mesage=own)
    await serve(handler)


@pytest.mark.parametrize(
    ("hook", "function", "words"),
    [
        ("on_message", lambda self, ws: None, r"called with \(ws, message\), but"),
        ("on_open", lambda self: None, r"called with \(ws\), but"),
        ("on_close", lambda self, ws, code: None, r"takes \(ws, code\)"),
        ("on_ping", lambda self, ws: None, r"called with \(ws, payload\)"),
        ("on_error", lambda self, error: None, r"called with \(ws, error\)"),
        ("on_pong", None, "must be a function, not None"),
        ("on_drain", plain_generator, "must not yield"),
        ("on_drain", staticmethod(good), "is async"),
        ("on_drain", Object(), "is async"),
    ],
)
async def test_a_hook_that_cannot_be_called_is_refused(hook, function, words) -> None:
    with pytest.raises(TypeError, match=rf"Chat\.{hook}.*{words}"):
        await serve_websocket(make(**{hook: function}), 0)


async def test_hooks_may_take_more_and_name_it_as_they_like(serve) -> None:
    handler = make(
        on_message=lambda self, sock, data, extra=1: None,
        on_open=lambda *args: None,
        on_close=staticmethod(partial(lambda number, ws: None, 1)),
        on_drain=staticmethod(print),
    )
    await serve(handler)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"on_request": lambda: None}, r"on_request is called with \(request\)"),
        ({"on_request": lambda a, b: None}, r"on_request is called with \(request\)"),
    ],
)
async def test_other_functions_of_the_wrong_arity(options, words) -> None:
    with pytest.raises(TypeError, match=words):
        await serve_websocket(good, 0, **options)
