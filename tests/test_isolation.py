"""One connection's trouble is its own: the server and the others live on."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.wire import (
    TEXT,
    Frame,
    close,
    dial,
    upgrade_request,
)
from trio_fastws import (
    Accept,
    ConnectionBroken,
    EventHandler,
    Listen,
    Request,
    Sending,
    WebSocket,
    open_websocket,
    serve_websocket,
)


async def fail_on_demand(ws: WebSocket) -> None:
    async for message in ws:
        if message == "fail":
            raise ValueError("on demand")
        await ws.send(message)


class FailOnDemand(EventHandler):
    def on_message(self, ws, message) -> None:
        if message == "fail":
            raise ValueError("on demand")
        ws.send_nowait(message)


@pytest.mark.parametrize("handler", [fail_on_demand, FailOnDemand()])
async def test_failing_handler_costs_one_connection(
    transport, serve, caplog, handler
) -> None:
    server = await serve(handler)
    async with await dial(server.port) as good, await dial(server.port) as bad:
        await good.shake()
        await bad.shake()
        await bad.send(Frame(TEXT, b"fail"), Frame(TEXT, b"not seen"))
        assert await bad.read_close() == (1011, "internal error")
        await bad.send(close(1011))
        assert await bad.read_rest() == b""
        await good.send(Frame(TEXT, b"still here"))
        assert await good.read_frame() == Frame(TEXT, b"still here")
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], ValueError)
    async with await dial(server.port) as late:
        assert b" 101 " in await late.shake()


@pytest.mark.parametrize("hook", ["on_open", "on_ping", "on_pong", "on_close"])
async def test_failing_hook_is_logged_once(transport, serve, caplog, hook) -> None:
    closed = []

    class Failing(EventHandler):
        def on_close(self, ws) -> None:
            closed.append(ws)

    def fail(ws, *_) -> None:
        closed.append(ws)
        raise ValueError(hook)

    handler = Failing()
    setattr(handler, hook, fail)
    server = await serve(handler)
    async with await dial(server.port) as peer:
        await peer.shake()
        await peer.send(Frame(9, b"1"), Frame(10, b"2"))
        if hook == "on_close":
            await peer.send(close(1000))
        code = (await peer.read_close())[0]
        assert code == (1000 if hook == "on_close" else 1011)
    while server.connections or not closed:
        await trio.lowlevel.checkpoint()
    await wait_all_tasks_blocked()
    assert [(r.levelno, r.exc_info[1].args) for r in caplog.records] == [
        (logging.ERROR, (hook,))
    ]
    async with await dial(server.port) as late:
        assert b" 101 " in await late.shake()


async def test_handler_that_does_not_catch_the_end_is_no_error(
    transport, serve, no_errors_logged
) -> None:
    ended = trio.Event()

    async def handler(ws: WebSocket) -> None:
        try:
            while True:
                await ws.receive()
        finally:
            ended.set()

    server = await serve(handler)
    for last in (close(1000), close(4000), b""):
        ended = trio.Event()
        async with await dial(server.port) as peer:
            await peer.shake()
            await peer.send(last)
        await ended.wait()
    await wait_all_tasks_blocked()
    assert not server.connections


async def test_group_of_news_of_the_end_is_no_error(
    transport, serve, no_errors_logged
) -> None:
    ended = trio.Event()

    async def handler(ws: WebSocket) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ws.receive)
                nursery.start_soon(ws.ping)
        finally:
            ended.set()

    server = await serve(handler)
    async with await dial(server.port) as peer:
        await peer.shake()
    await ended.wait()
    await wait_all_tasks_blocked()


async def test_failing_task_of_a_connection_closes_it(transport, serve, caplog) -> None:
    async def fail() -> None:
        raise ValueError("in a task")

    async def handler(ws: WebSocket) -> None:
        ws.start_soon(fail)
        await trio.sleep_forever()

    server = await serve(handler)
    async with await dial(server.port) as peer:
        await peer.shake()
        assert await peer.read_close() == (1011, "internal error")
        await peer.send(close(1011))
        await peer.read_rest()
    (record,) = caplog.records
    assert record.exc_info[1].args == ("in a task",)
    assert server.statistics().accepted == 1


async def test_on_disconnect_cancel_cancels_the_handler(
    transport, serve, no_errors_logged
) -> None:
    outcome = []
    ended = trio.Event()

    async def handler(ws: WebSocket) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            outcome.append(ws.state != "open")
            raise
        finally:
            ended.set()

    server = await serve(handler, sending=Sending(on_disconnect="cancel"))
    for how in ("close", "end", "reset"):
        ended = trio.Event()
        async with await dial(server.port) as peer:
            await peer.shake()
            if how == "close":
                await peer.send(close(1000))
            elif how == "reset":
                peer.reset()
            else:
                await peer.send_eof()
            await ended.wait()
    assert outcome == [True, True, True]


async def test_an_accept_may_have_its_handler_cancelled_alone(
    transport, serve, no_errors_logged
) -> None:
    ends: dict[str, trio.Event] = {"/push": trio.Event(), "/": trio.Event()}
    cancelled = []

    async def handler(ws: WebSocket) -> None:
        assert ws.request is not None
        path = ws.request.path
        try:
            await ws.wait_closed()
            await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            cancelled.append(path)
            raise
        finally:
            ends[path].set()

    def on_request(request: Request) -> Accept | None:
        if request.path == "/push":
            return Accept(sending=Sending(on_disconnect="cancel"))
        return None

    server = await serve(handler, on_request=on_request)
    for path, end in ends.items():
        async with await dial(server.port) as peer:
            await peer.send(upgrade_request(target=path))
            await peer.read_head()
            await peer.send_eof()
            await end.wait()
    assert cancelled == ["/push"]


async def test_it_means_nothing_to_a_client(serve, no_errors_logged) -> None:
    async def leave(ws: WebSocket) -> None:
        await ws.send("bye")

    server = await serve(leave)
    sending = Sending(on_disconnect="cancel")
    url = f"ws://127.0.0.1:{server.port}/"
    async with open_websocket(url, sending=sending) as ws:
        await ws.wait_closed()
        await trio.lowlevel.checkpoint()
        assert [message async for message in ws] == ["bye"]


async def test_disconnect_does_not_cancel_by_default(transport, connect) -> None:
    # The handler of `connect` sleeps; its messages can still be received.
    ws, peer = await connect()
    await peer.send(Frame(TEXT, b"one"), Frame(TEXT, b"two"))
    await peer.stream.aclose()
    await ws.wait_closed()
    assert await ws.receive() == "one"
    assert await ws.receive() == "two"
    with pytest.raises(ConnectionBroken):
        await ws.receive()


async def test_keyboard_interrupt_in_a_handler_ends_the_server(transport) -> None:
    async def handler(ws: WebSocket) -> None:
        raise KeyboardInterrupt

    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listener.socket.getsockname()[1]

            async def serve() -> None:
                await serve_websocket(handler, Listen(listeners=[listener]))

            nursery.start_soon(serve)
            async with await dial(port) as peer:
                await peer.shake()
                assert await peer.read_close() == (
                    1001,
                    "the server is shutting down",
                )
                await peer.send(close(1001))
                await peer.read_rest()
