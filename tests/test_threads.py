"""A WebSocket belongs to the thread of its trio run; others are told so at once."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.handlers import echo
from tests.serving import pair
from tests.wire import (
    CLOSE,
    TEXT,
    Frame,
    dial,
)
from trio_fastws import EventHandler, open_websocket

MIB = 2**20

ACTIONS = {
    "send_nowait": lambda ws: ws.send_nowait("late"),
    "close_nowait": lambda ws: ws.close_nowait(),
    "abort": lambda ws: ws.abort(),
    "pong_nowait": lambda ws: ws.pong_nowait(),
    "receive_nowait": lambda ws: ws.receive_nowait(),
    "pause_reading": lambda ws: ws.pause_reading(),
    "resume_reading": lambda ws: ws.resume_reading(),
    "receive_text_as_bytes": lambda ws: ws.receive_text_as_bytes(),
    "limit_unsent": lambda ws: ws.limit_unsent(4096),
    "start_soon": lambda ws: ws.start_soon(trio.sleep_forever),
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize("tls", [False, True])
async def test_every_call_from_another_thread_is_refused(
    transport, serve, action, tls, server_tls, client_tls
) -> None:
    server = await serve(echo, ssl_context=server_tls if tls else None)
    url = f"{'wss' if tls else 'ws'}://127.0.0.1:{server.port}"
    async with open_websocket(url, ssl_context=client_tls if tls else None) as ws:
        await ws.send("before")
        assert await ws.receive() == "before"
        (ours,) = server.connections
        for side in (ws, ours):
            with pytest.raises(RuntimeError, match=r"trio\.from_thread\.run_sync"):
                await trio.to_thread.run_sync(action, side)
        assert ws.state == "open"
        await ws.send("after")
        assert await ws.receive() == "after"


async def test_a_thread_may_look_and_may_call_by_trio(connect) -> None:
    ws, peer = await connect()

    def work() -> tuple[object, ...]:
        trio.from_thread.run_sync(ws.send_nowait, "from a thread")
        return ws.state, ws.statistics().messages_sent, ws.subprotocol, repr(ws)

    assert (await trio.to_thread.run_sync(work))[:3] == ("open", 1, None)
    assert await peer.read_frame() == Frame(TEXT, b"from a thread")


async def test_a_thread_is_refused_in_the_middle_of_a_hook_too(serve) -> None:
    caught = []

    class Slow(EventHandler):
        def on_message(self, ws, message) -> None:
            def intrude() -> None:
                try:
                    ws.send_nowait("mixed in")
                except RuntimeError as error:
                    caught.append(error)

            ws.send_nowait("first")
            thread = threading.Thread(target=intrude)
            thread.start()
            thread.join()
            ws.send_nowait("second")

    server = await serve(Slow())
    async with await dial(server.port) as peer:
        await peer.shake()
        await peer.send(Frame(TEXT, b"go"))
        assert await peer.read_frame() == Frame(TEXT, b"first")
        assert await peer.read_frame() == Frame(TEXT, b"second")
    assert len(caught) == 1


@pytest.mark.parametrize(
    "act",
    [
        lambda ws: ws.send("a"),
        lambda ws: ws.receive(),
        lambda ws: ws.ping(),
        lambda ws: ws.aclose(),
        lambda ws: ws.wait_closed(),
    ],
    ids=["send", "receive", "ping", "aclose", "wait_closed"],
)
async def test_another_trio_run_is_refused(connect, act) -> None:
    ws, peer = await connect()

    async def other() -> None:
        await act(ws)

    with pytest.raises(RuntimeError, match=r"trio\.from_thread"):
        await trio.to_thread.run_sync(trio.run, other)
    ws.send_nowait("still here")
    assert await peer.read_frame() == Frame(TEXT, b"still here")
    ws.close_nowait()
    assert (await peer.read_frame()).opcode == CLOSE


async def test_a_piece_from_another_trio_run_is_refused(connect) -> None:
    ws, peer = await connect()

    async def other() -> None:
        async with ws.open_message() as message:
            await message.write(b"a")

    with pytest.raises(RuntimeError, match=r"trio\.from_thread"):
        await trio.to_thread.run_sync(trio.run, other)
    ws.send_nowait("still here")
    assert await peer.read_frame() == Frame(TEXT, b"still here")


async def run_elsewhere(async_fn) -> None:
    """Call it in another trio run, which is refused at once."""

    async def other() -> None:
        with trio.fail_after(5):  # it might park there for ever
            await async_fn()

    with pytest.raises(RuntimeError, match=r"trio\.from_thread"):
        await trio.to_thread.run_sync(trio.run, other)


async def test_a_piece_that_would_wait_for_room_is_refused_elsewhere() -> None:
    async with pair(small=True) as (ws, _), trio.open_nursery() as nursery:
        message = ws.open_message()

        async def write_much() -> None:
            with suppress(trio.ClosedResourceError):
                async with message:
                    while True:
                        await message.write(bytes(MIB))

        nursery.start_soon(write_much)
        await wait_all_tasks_blocked()
        await run_elsewhere(lambda: message.write(b"a"))
        assert ws.state == "open"
        ws.close_nowait()


async def test_the_end_of_a_message_is_refused_elsewhere(connect) -> None:
    ws, peer = await connect()
    async with ws.open_message() as message:
        await message.write(b"a")
        await run_elsewhere(lambda: message.__aexit__(None, None, None))
        await message.write(b"b")
    payloads = [frame.payload for frame in await peer.read_frames(3)]
    assert payloads == [b"a", b"b", b""]


async def test_a_stream_from_another_trio_run_is_refused(connect) -> None:
    ws, peer = await connect()
    async with ws.receive_stream() as message:
        await run_elsewhere(message.receive)
        await run_elsewhere(message.aclose)
        await peer.send(Frame(TEXT, b"whole"))
        assert await message.receive() == "whole"
    await peer.send(Frame(TEXT, b"next"))
    assert await ws.receive() == "next"
