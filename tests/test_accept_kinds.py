"""`Accept` with a handler, options and limits of the connection's own."""

from __future__ import annotations

import gc
import logging
import re
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.handlers import Echo, Keeper, echo
from tests.wire import dial, text
from trio_fastws import (
    Accept,
    ConnectionBroken,
    EventHandler,
    Limits,
    PerMessageDeflate,
    Request,
    Sending,
    WebSocket,
    open_websocket,
    serve_websocket,
)


async def shout(ws: WebSocket) -> None:
    async for message in ws:
        await ws.send(str(message).upper())


class Reverse(EventHandler):
    """Sends back what comes, from its end to its beginning."""

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        ws.send_nowait(message[::-1])


Router = Callable[[Request], Accept | Awaitable[Accept] | None]


def route(accepts: dict[str, Accept], waits: bool = False) -> Router:
    """Decide by the path; None, which is the server's own, for any other."""

    async def later(accept: Accept | None) -> Accept | None:
        await trio.lowlevel.checkpoint()
        return accept

    def on_request(request: Request) -> Any:
        accept = accepts.get(request.path)
        return later(accept) if waits else accept

    return on_request


@pytest.mark.parametrize("waits", [False, True], ids=["soon", "later"])
@pytest.mark.parametrize("usual", [echo, Echo()], ids=["async", "hooks"])
async def test_each_path_has_its_handler(
    transport, serve, no_errors_logged, usual, waits
) -> None:
    accepts = {
        "/shout": Accept(handler=shout),
        "/reverse": Accept(handler=Reverse()),
        "/who": Accept(session="Ada"),
    }
    server = await serve(usual, on_request=route(accepts, waits))
    url = f"ws://127.0.0.1:{server.port}"
    async with (
        open_websocket(f"{url}/shout") as loud,
        open_websocket(f"{url}/reverse") as back,
        open_websocket(f"{url}/who") as who,
        open_websocket(f"{url}/") as plain,
    ):
        for ws in (loud, back, who, plain):
            await ws.send("hello")
        assert await loud.receive() == "HELLO"
        assert await back.receive() == "olleh"
        assert await who.receive() == "hello"
        assert await plain.receive() == "hello"
        # They are all the server's.
        assert len(server.connections) == 4
        assert server.statistics().connections == 4
    while server.connections:
        await wait_all_tasks_blocked(0.001)


async def test_a_handler_may_be_an_empty_collection(serve) -> None:
    class Room(Reverse):
        def __len__(self) -> int:
            return 0

    server = await serve(echo, on_request=lambda _: Accept(handler=Room()))
    async with open_websocket(f"ws://127.0.0.1:{server.port}") as ws:
        await ws.send("ab")
        assert await ws.receive() == "ba"


async def test_all_kinds_end_with_their_server(transport, autojump_clock) -> None:
    ended: list[str] = []

    class Last(EventHandler):
        def on_close(self, ws: WebSocket) -> None:
            ended.append(f"hooks {ws.close_code}")

    async def wait(ws: WebSocket) -> None:
        try:
            await ws.receive()
        finally:
            ended.append("task")

    serve = partial(
        serve_websocket,
        wait,
        0,
        host="127.0.0.1",
        on_request=route({"/hooks": Accept(handler=Last())}),
    )
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve)
        url = f"ws://127.0.0.1:{server.port}"
        async with (
            open_websocket(f"{url}/hooks") as one,
            open_websocket(f"{url}/") as other,
        ):
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                for ws in (one, other):
                    await ws.wait_closed()
                    assert ws.close_code == 1001
    assert sorted(ended) == ["hooks 1001", "task"]


async def test_limits_of_one_path(serve, no_errors_logged) -> None:
    small = Accept(limits=Limits(message_size=10))
    server = await serve(Echo(), on_request=route({"/small": small}))
    url = f"ws://127.0.0.1:{server.port}"
    async with open_websocket(f"{url}/small") as ws, open_websocket(url) as other:
        for connection in (ws, other):
            await connection.send("0123456789")
            assert await connection.receive() == "0123456789"
            await connection.send("0123456789X")
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        assert caught.value.close_code == 1009
        assert await other.receive() == "0123456789X"


async def test_sending_of_one_path(serve) -> None:
    # A policy that drops, for one of two connections whose peers do not read.
    keeper = Keeper()
    feed = Accept(sending=Sending(policy="drop_oldest", max_messages=1))
    server = await serve(keeper, on_request=route({"/feed": feed}))
    async with await dial(server.port) as usual, await dial(server.port) as fed:
        await usual.shake()
        ws = await keeper.next()
        await fed.shake(target="/feed")
        feeding = await keeper.next()
        big = bytes(1_000_000)
        refused = 0
        for _ in range(100):
            feeding.send_nowait(big)
            try:
                ws.send_nowait(big)
            except trio.WouldBlock:
                refused += 1
        assert refused > 50
        assert feeding.statistics().dropped > 50
        assert ws.statistics().dropped == 0


async def test_a_path_without_compression(serve) -> None:
    plain = Accept(deflate=False)
    server = await serve(
        echo, deflate=PerMessageDeflate(), on_request=route({"/plain": plain})
    )
    url = f"ws://127.0.0.1:{server.port}"
    for path, compressed in (("/plain", False), ("/", True)):
        async with open_websocket(url + path, deflate=PerMessageDeflate()) as ws:
            assert (ws.deflate is not None) == compressed
            await ws.send("a" * 1000)
            assert await ws.receive() == "a" * 1000


async def test_on_disconnect_of_one_path(serve) -> None:
    ends: list[str] = []
    done = trio.Event()

    async def feed(ws: WebSocket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ends.append("cancelled")
            done.set()

    accept = Accept(handler=feed, sending=Sending(on_disconnect="cancel"))
    server = await serve(echo, on_request=route({"/feed": accept}))
    async with open_websocket(f"ws://127.0.0.1:{server.port}/feed"):
        pass
    await done.wait()
    assert ends == ["cancelled"]


async def test_a_handler_for_each_connection_is_freed_with_it(serve) -> None:
    made: list[weakref.ref[Any]] = []

    def on_request(request: Request) -> Accept:
        handler = Reverse()
        made.append(weakref.ref(handler))
        return Accept(handler=handler)

    server = await serve(echo, on_request=on_request)
    for number in range(3):
        async with open_websocket(f"ws://127.0.0.1:{server.port}") as ws:
            await ws.send("ab")
            assert await ws.receive() == "ba"
            assert made[number]() is not None
        while server.connections:
            await wait_all_tasks_blocked(0.001)
    await wait_all_tasks_blocked(0.001)
    gc.collect()
    assert [ref() for ref in made] == [None] * 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"handler": Reverse}, "handler is the class Reverse; pass an instance"),
        ({"handler": 5}, "handler must be an async function or an EventHandler, not 5"),
        ({"handler": lambda: None}, "handler must be an async function, but"),
        ({"sending": "drop"}, "sending must be a Sending, not 'drop'"),
        ({"limits": 5}, "limits must be a Limits, not 5"),
        ({"deflate": None}, "deflate must be True or False, not None"),
        ({"deflate": PerMessageDeflate()}, "deflate must be True or False, not Per"),
    ],
)
def test_wrong_values_are_refused_where_it_is_made(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(TypeError, match=re.escape(words)):
        Accept(**options)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(connections=5), "Accept(limits=) has connections=5, which is about"),
        (Limits(total=2**21), "Accept(limits=) has total=2097152, which is about"),
        (Limits(request_head=1000), "Accept(limits=) has request_head=1000"),
        (Limits(message_size=2**30), "at most the server's Limits.total (33554432)"),
    ],
)
async def test_limits_of_the_whole_server_are_not_a_connections(
    serve, caplog, limits: Limits, words: str
) -> None:
    ours = Limits(total=2**25, connections=7)
    server = await serve(
        echo, limits=ours, on_request=route({"/x": Accept(limits=limits)})
    )
    async with await dial(server.port) as peer:
        assert (await peer.shake(target="/x")).startswith(b"HTTP/1.1 500 ")
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert record.exc_info is not None
    assert words in str(record.exc_info[1])
    # Nothing else is disturbed.
    async with await dial(server.port) as peer:
        await peer.shake()
        await peer.send(text("hello"))
        assert await peer.read_frame() == text("hello")


async def test_the_servers_own_limits_with_another_size(serve) -> None:
    ours = Limits(total=2**25, connections=7)
    accept = Accept(limits=replace(ours, message_size=3))
    server = await serve(echo, limits=ours, on_request=route({"/x": accept}))
    async with open_websocket(f"ws://127.0.0.1:{server.port}/x") as ws:
        await ws.send("abc")
        assert await ws.receive() == "abc"
