"""The news that a connection is over is no failure, whoever has ended it."""

from __future__ import annotations

import logging
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.handlers import echo
from tests.wire import (
    TEXT,
    Frame,
    Peer,
    close,
    dial,
    masked,
    upgrade_request,
)
from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    Limits,
    Request,
    Sending,
    Timeouts,
    open_websocket,
    serve_websocket,
    upgrade,
)

BIG = masked(Frame(TEXT, b"x" * 1000))


def ends(caplog) -> list[str]:
    """Return the lines about what ended."""
    return [r.getMessage() for r in caplog.records if " ended: " in r.getMessage()]


async def iterate(ws) -> None:
    async for message in ws:
        if message == "close":
            await ws.aclose(4002, "told to")
        elif message == "begin":
            ws.close_nowait(4002, "told to")


@pytest.mark.parametrize("how", ["close", "begin", "kick"])
async def test_a_loop_ends_when_this_side_closes(
    transport, serve, no_errors_logged, how
) -> None:
    left = trio.Event()

    async def handler(ws) -> None:
        await iterate(ws)
        left.set()

    server = await serve(handler)
    async with await dial(server.port) as peer:
        await peer.shake()
        if how == "kick":
            while not server.connections:
                await trio.lowlevel.checkpoint()
            await wait_all_tasks_blocked()
            for ws in server.connections:
                ws.close_nowait(4002, "told to")
        else:
            await peer.send(Frame(TEXT, how.encode()))
        assert await peer.read_close() == (4002, "told to")
        await peer.send(close(4002))
        assert await peer.read_rest() == b""
    await left.wait()
    assert ends(no_errors_logged) == []


async def test_a_loop_ends_when_the_policy_closes(
    connect, no_errors_logged, autojump_clock
) -> None:
    sending = Sending(policy="close", max_messages=1, high_water=2**20)
    ws, _peer = await connect(sending=sending)
    while ws.state == "open":
        ws.send_nowait(bytes(100_000))
    async for _ in ws:
        pytest.fail("nothing was sent")
    with pytest.raises(ConnectionBroken):
        await ws.receive()


async def test_a_loop_ends_when_messages_were_received_too_slowly(
    connect, no_errors_logged, autojump_clock
) -> None:
    ws, peer = await connect(
        limits=Limits(receive_buffer=1000), timeouts=Timeouts(slow_consumer=5)
    )
    await peer.send(BIG * 2)
    assert (await peer.read_close())[0] == 1008
    assert len([message async for message in ws]) == 1  # that fills the buffer


async def test_a_loop_ends_when_the_server_shuts_down(no_errors_logged) -> None:
    left, started = trio.Event(), trio.Event()

    async def handler(ws) -> None:
        with trio.CancelScope(shield=True):
            started.set()
            await iterate(ws)
            left.set()

    async with trio.open_nursery() as nursery:
        start = partial(serve_websocket, handler, 0, host="127.0.0.1")
        async with await dial((await nursery.start(start)).port) as peer:
            await peer.shake()
            await started.wait()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                assert (await peer.read_close())[0] == 1001
                await left.wait()
                await peer.send(close(1001))


async def test_a_failing_task_ends_the_loop_too(serve, caplog) -> None:
    left = trio.Event()

    async def fail() -> None:
        raise ValueError("once")

    async def handler(ws) -> None:
        ws.start_soon(fail)
        async for _ in ws:
            pass
        left.set()

    server = await serve(handler)
    async with await dial(server.port) as peer:
        await peer.shake()
        assert (await peer.read_close())[0] == 1011
        await left.wait()
    assert [r.exc_info[1].args for r in caplog.records if r.exc_info] == [("once",)]


async def test_an_abnormal_end_by_the_peer_still_raises_in_a_loop(connect) -> None:
    ws, peer = await connect()
    await peer.send(close(4001, "no more"))
    with pytest.raises(ConnectionBroken, match="no more"):
        await iterate(ws)


async def test_receive_says_who_has_closed(connect) -> None:
    ws, _peer = await connect()
    ws.close_nowait()
    with pytest.raises(trio.ClosedResourceError):
        await ws.receive()
    with pytest.raises(trio.ClosedResourceError):
        ws.receive_nowait()
    with pytest.raises(trio.ClosedResourceError):
        await ws.send("late")


@pytest.mark.parametrize(
    "act", ["receive", "send", "send_nowait", "receive_nowait", "ping", "group", "soon"]
)
async def test_what_tells_of_our_own_close_is_one_debug_line(
    transport, serve, no_errors_logged, act
) -> None:
    left = trio.Event()

    async def handler(ws) -> None:
        try:
            ws.close_nowait(4000)
            if act == "group":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ws.receive)
                    nursery.start_soon(ws.send, "a")
            elif act == "soon":
                ws.start_soon(trio.sleep_forever)
            elif act == "receive_nowait":
                ws.receive_nowait()
            elif act == "send_nowait":
                ws.send_nowait("a")
            elif act == "send":
                await ws.send("a")
            else:
                await getattr(ws, act)()
        finally:
            left.set()

    server = await serve(handler)
    async with await dial(server.port) as peer:
        await peer.shake()
        assert (await peer.read_close())[0] == 4000
        await left.wait()
        await wait_all_tasks_blocked()
    assert len(ends(no_errors_logged)) == 1


async def test_a_task_of_the_connection_may_pass_on_its_end(
    transport, serve, no_errors_logged
) -> None:
    async def handler(ws) -> None:
        ws.start_soon(ws.receive)
        await wait_all_tasks_blocked()
        await ws.aclose()

    server = await serve(handler)
    async with await dial(server.port) as peer:
        await peer.shake()
        assert (await peer.read_close())[0] == 1000
        await peer.send(close(1000))
        await peer.read_rest()
    assert len(ends(no_errors_logged)) == 1


@pytest.mark.parametrize("soon", [False, True])
@pytest.mark.parametrize("act", ["send", "receive", "iterate"])
async def test_a_reset_behind_unread_messages_is_no_error(
    serve, no_errors_logged, act, soon
) -> None:
    reset, ended = trio.Event(), trio.Event()
    there = trio.Event()

    async def work(ws) -> None:
        there.set()
        await reset.wait()
        try:
            if act == "send":
                while True:
                    await ws.send("a")
            elif act == "receive":
                while True:
                    await ws.receive()
            async for _ in ws:
                await wait_all_tasks_blocked()
        finally:
            ended.set()

    async def handler(ws) -> None:
        if not soon:
            await work(ws)
        else:
            ws.start_soon(work, ws)
            await ended.wait()

    server = await serve(handler, limits=Limits(receive_buffer=1000))
    async with await dial(server.port) as peer:
        await peer.shake()
        await there.wait()
        # More than the inbox takes: reading pauses.
        await peer.send(BIG * 100)
        await wait_all_tasks_blocked()
        peer.reset()
    await wait_all_tasks_blocked()
    reset.set()
    await ended.wait()
    while server.connections:
        await trio.lowlevel.checkpoint()
    # A task that ends with the connection may be cancelled before it is told.
    assert len(ends(no_errors_logged)) in ((0, 1) if soon else (1,))


@pytest.mark.parametrize("when", ["open", "after our close"])
@pytest.mark.parametrize(
    "kind", [trio.ClosedResourceError, trio.BrokenResourceError, trio.EndOfChannel]
)
async def test_what_tells_of_something_else_is_an_error(
    transport, serve, caplog, when, kind
) -> None:
    async def handler(ws) -> None:
        if when != "open":
            ws.close_nowait()
        raise kind("of my own stream")

    server = await serve(handler)
    async with await dial(server.port) as peer:
        await peer.shake()
        await peer.read_close()
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.levelno == logging.ERROR
    assert record.exc_info[1].args == ("of my own stream",)


async def test_the_end_of_another_connection_is_an_error_of_this_one(
    serve, caplog
) -> None:
    others = []

    async def handler(ws) -> None:
        others.append(ws)
        if len(others) == 1:
            await trio.sleep_forever()
        others[0].close_nowait(4000)
        await others[0].receive()

    server = await serve(handler)
    async with await dial(server.port) as first, await dial(server.port) as second:
        await first.shake()
        await second.shake()
        assert (await first.read_close())[0] == 4000
        assert (await second.read_close())[0] == 1011
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.exc_info[0] is trio.ClosedResourceError


async def test_a_group_with_a_real_error_is_an_error(serve, caplog) -> None:
    async def fail() -> None:
        raise ValueError("real")

    async def handler(ws) -> None:
        ws.close_nowait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ws.receive)
            nursery.start_soon(fail)

    server = await serve(handler)
    async with await dial(server.port) as peer:
        await peer.shake()
        await peer.read_close()
        await wait_all_tasks_blocked()
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def test_a_hook_may_pass_on_the_end(transport, serve, no_errors_logged) -> None:
    class Closing(EventHandler):
        def on_message(self, ws, message) -> None:
            ws.close_nowait(4000)
            ws.start_soon(trio.sleep_forever)

    server = await serve(Closing())
    async with await dial(server.port) as peer:
        await peer.shake()
        await peer.send(Frame(TEXT, b"a"))
        assert (await peer.read_close())[0] == 4000
        await peer.send(close(4000))
        await peer.read_rest()
    assert len(ends(no_errors_logged)) == 1


@pytest.mark.parametrize("how", ["close", "kick"])
async def test_a_clients_loop_ends_when_it_closes(serve, how) -> None:
    server = await serve(echo)
    async with open_websocket(f"ws://127.0.0.1:{server.port}") as ws:
        if how == "kick":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(iterate, ws)
                await wait_all_tasks_blocked()
                ws.close_nowait(4000)
        else:
            await ws.send(how)
            await iterate(ws)
        assert ws.state != "open"


async def test_the_loop_of_an_upgrade_ends_when_it_closes() -> None:
    client, ours = trio.testing.memory_stream_pair()
    lines = upgrade_request().decode().split("\r\n")[1:-2]
    fields = [tuple(line.split(": ", 1)) for line in lines]
    async with trio.open_nursery() as nursery:
        peer = Peer(client)

        async def read() -> None:
            await peer.read_head()
            await peer.send(Frame(TEXT, b"close"))
            assert (await peer.read_close())[0] == 4002
            await peer.send(close(4002))
            await client.aclose()

        nursery.start_soon(read)
        async with upgrade(ours, Request("GET", "/", fields)) as ws:
            await iterate(ws)
