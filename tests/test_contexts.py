"""Context variables: each connection has its own, from on_request to on_close."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar, copy_context

import pytest
import trio

from tests.handlers import echo
from tests.wire import (
    PING,
    PONG,
    TEXT,
    Frame,
    close,
    dial,
    upgrade_request,
)
from trio_fastws import EventHandler, Limits, Sending, open_websocket

user: ContextVar[object] = ContextVar("user", default="nobody")
other: ContextVar[object] = ContextVar("other", default=None)


class AlwaysEqual:
    """A value that must not be asked whether it equals another one."""

    def __eq__(self, _: object) -> bool:
        raise AssertionError("values were compared")

    def __hash__(self) -> int:
        return 0


def sign_in(request) -> None:
    """Set the user that the path names, as a tracing library would."""
    if request.path != "/":
        user.set(request.path[1:])


async def sign_in_later(request) -> None:
    await trio.lowlevel.checkpoint()
    sign_in(request)


async def say(peer, message: bytes) -> bytes:
    await peer.send(Frame(TEXT, message))
    return (await peer.read_frame()).payload


async def tell_user(ws) -> None:
    await ws.send(str(user.get()))


class Tell(EventHandler):
    """Set on "set ...", tell otherwise; note what each hook sees."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, object]] = []

    def note(self, hook: str) -> None:
        self.seen.append((hook, user.get()))

    def on_open(self, ws) -> None:
        self.note("on_open")

    def on_message(self, ws, message) -> None:
        if message.startswith("set "):
            user.set(message[4:])
        if message == "task":
            ws.start_soon(tell_user, ws)
        else:
            ws.send_nowait(str(user.get()))

    def on_ping(self, ws, payload) -> None:
        self.note("on_ping")

    def on_pong(self, ws, payload) -> None:
        self.note("on_pong")

    def on_close(self, ws) -> None:
        self.note("on_close")


@pytest.mark.parametrize("on_request", [sign_in, sign_in_later])
async def test_hooks_see_what_on_request_has_set(transport, serve, on_request) -> None:
    handler = Tell()
    server = await serve(handler, on_request=on_request)
    for name in ("ada", "nobody", "bob", "nobody"):
        path = "/" if name == "nobody" else f"/{name}"
        handler.seen.clear()
        async with await dial(server.port) as peer:
            await peer.send(upgrade_request(target=path))
            await peer.read_head()
            assert await say(peer, b"who") == name.encode()
            assert await say(peer, b"task") == name.encode()
            await peer.send(Frame(PING, b""), Frame(PONG, b""), close(1000))
            assert (await peer.read_frame()).opcode == PONG
            assert (await peer.read_close())[0] == 1000
            await peer.read_rest()
        while server.connections:
            await trio.lowlevel.checkpoint()
        hooks = ["on_open", "on_ping", "on_pong", "on_close"]
        assert handler.seen == [(hook, name) for hook in hooks]


@pytest.mark.parametrize("on_request", [sign_in, sign_in_later])
async def test_a_handler_and_its_tasks_see_what_on_request_has_set(
    transport, serve, on_request
) -> None:
    async def handler(ws) -> None:
        await tell_user(ws)
        ws.start_soon(tell_user, ws)
        user.set(f"{user.get()} again")
        await ws.receive()
        ws.start_soon(tell_user, ws)
        await trio.sleep_forever()

    server = await serve(handler, on_request=on_request)
    for name in ("ada", "nobody", "bob", "nobody"):
        path = "" if name == "nobody" else name
        async with open_websocket(f"ws://127.0.0.1:{server.port}/{path}") as ws:
            assert await ws.receive() == name
            # A task begins with a copy, of what was set when it was started.
            assert await ws.receive() == name
            await ws.send("go on")
            assert await ws.receive() == f"{name} again"


async def test_what_a_hook_sets_is_seen_by_later_hooks_of_that_connection_alone(
    transport, serve
) -> None:
    handler = Tell()
    server = await serve(handler)
    async with await dial(server.port) as one, await dial(server.port) as two:
        await one.shake()
        await two.shake()
        assert await say(one, b"set ada") == b"ada"
        assert await say(two, b"who") == b"nobody"
        assert await say(two, b"set bob") == b"bob"
        assert await say(one, b"who") == b"ada"
        assert await say(one, b"task") == b"ada"
        assert await say(one, b"set eve") == b"eve"
        assert await say(two, b"task") == b"bob"
        assert await say(one, b"who") == b"eve"
    async with await dial(server.port) as three:
        await three.shake()
        assert await say(three, b"who") == b"nobody"
    assert user.get() == "nobody"


async def test_two_messages_of_one_read_share_the_context_and_the_next_peer_does_not(
    serve,
) -> None:
    server = await serve(Tell())
    async with await dial(server.port) as one, await dial(server.port) as two:
        await one.shake()
        await two.shake()
        await one.send(Frame(TEXT, b"set ada"), Frame(TEXT, b"who"))
        await two.send(Frame(TEXT, b"who"))
        assert await one.read_frame() == Frame(TEXT, b"ada")
        assert await one.read_frame() == Frame(TEXT, b"ada")
        assert await two.read_frame() == Frame(TEXT, b"nobody")


async def test_a_task_that_a_hook_starts_for_another_has_the_others_context(
    serve,
) -> None:
    members = []

    class Room(Tell):
        def on_open(self, ws) -> None:
            members.append(ws)

        def on_message(self, ws, message) -> None:
            super().on_message(ws, message)
            if message == "all":
                for member in members:
                    member.start_soon(tell_user, member)

    server = await serve(Room())
    async with await dial(server.port) as one, await dial(server.port) as two:
        await one.shake()
        await two.shake()
        assert await say(one, b"set ada") == b"ada"
        assert await say(two, b"all") == b"nobody"
        assert (await two.read_frame()).payload == b"nobody"
        assert (await one.read_frame()).payload == b"ada"


async def test_what_is_set_back_is_not_seen_either(serve) -> None:
    class Span(Tell):
        def on_message(self, ws, message) -> None:
            token = user.set(message)
            try:
                ws.send_nowait(str(user.get()))
            finally:
                user.reset(token)

        def on_ping(self, ws, payload) -> None:
            ws.send_nowait(str(user.get()))

    server = await serve(Span())
    async with await dial(server.port) as peer:
        await peer.shake()
        assert await say(peer, b"a") == b"a"
        await peer.send(Frame(PING))
        assert (await peer.read_frame()).opcode == PONG
        assert await peer.read_frame() == Frame(TEXT, b"nobody")


async def test_the_base_is_what_the_caller_of_the_server_had_set(
    serve, nursery
) -> None:
    value = AlwaysEqual()
    other.set(value)
    seen = []

    class Replace(Tell):
        def on_open(self, ws) -> None:
            seen.append(other.get())
            other.set(AlwaysEqual())

    server = await serve(Replace())
    other.set(None)
    for _ in range(3):
        async with await dial(server.port) as peer:
            await peer.shake()
            assert await say(peer, b"who") == b"nobody"
    assert [item is value for item in seen] == [True] * 3


async def test_what_an_on_request_that_waits_sets_back_is_set_back(serve) -> None:
    async def forget() -> None:
        await trio.lowlevel.checkpoint()
        user.set("eve")

    def on_request(request):
        user.set("ada")
        return forget()

    user.set("eve")  # what every connection begins with
    server = await serve(Tell(), on_request=on_request)
    async with await dial(server.port) as peer:
        await peer.shake()
        assert await say(peer, b"who") == b"eve"


async def test_two_servers_share_nothing(serve) -> None:
    one, two = await serve(Tell()), await serve(Tell())
    async with await dial(one.port) as first, await dial(two.port) as second:
        await first.shake()
        await second.shake()
        assert await say(first, b"set ada") == b"ada"
        assert await say(second, b"who") == b"nobody"


async def test_on_drain_sees_it(serve) -> None:
    drained = trio.Event()
    seen = []

    class Full(EventHandler):
        def on_message(self, ws, message) -> None:
            user.set("ada")
            with suppress(trio.WouldBlock):
                while True:
                    ws.send_nowait(bytes(100_000))

        def on_drain(self, ws) -> None:
            seen.append(user.get())
            drained.set()

    server = await serve(Full(), sending=Sending(hard_limit=2**23))
    async with await dial(server.port) as peer, trio.open_nursery() as nursery:
        await peer.shake()
        await peer.send(Frame(TEXT, b"go"))
        nursery.start_soon(peer.read_rest)
        await drained.wait()
        nursery.cancel_scope.cancel()
    assert seen == ["ada"]


async def test_a_failing_hook_has_it_too(serve, caplog) -> None:
    seen = []

    class Failing(EventHandler):
        def on_open(self, ws) -> None:
            seen.append(user.get())
            user.set("ada")
            raise ValueError

        def on_close(self, ws) -> None:
            seen.append(user.get())

    def on_request(request) -> None:
        user.set("bob")

    server = await serve(Failing(), on_request=on_request)
    async with await dial(server.port) as peer:
        await peer.shake()
        assert (await peer.read_close())[0] == 1011
        await peer.send(close(1011))
        await peer.read_rest()
    while server.connections:
        await trio.lowlevel.checkpoint()
    assert seen == ["bob", "ada"]


async def test_a_clients_tasks_begin_with_the_context_of_its_block(serve) -> None:
    server = await serve(echo)
    async with open_websocket(f"ws://127.0.0.1:{server.port}") as ws:
        user.set("ada")
        ws.start_soon(tell_user, ws)
        assert await ws.receive() == "ada"
        # Whoever starts it.
        copy_context().run(ws.start_soon, tell_user, ws)
        assert await ws.receive() == "ada"


async def test_over_tls_and_a_kept_request(serve, server_tls, client_tls) -> None:
    server = await serve(
        Tell(),
        ssl_context=server_tls,
        on_request=sign_in,
        limits=Limits(keep_request=True),
    )
    for name in ("ada", "nobody"):
        path = "" if name == "nobody" else name
        url = f"wss://127.0.0.1:{server.port}/{path}"
        async with open_websocket(url, ssl_context=client_tls) as ws:
            await ws.send("who")
            assert await ws.receive() == name
            await ws.send("task")
            assert await ws.receive() == name
