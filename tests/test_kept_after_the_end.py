"""A closed WebSocket that somebody keeps holds only what can be received still."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from contextlib import suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.handlers import echo
from tests.wire import (
    BINARY,
    TEXT,
    Frame,
    Peer,
    close,
    dial,
    masked,
)
from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    Limits,
    PerMessageDeflate,
    open_websocket,
)

KEPT = 10
MIB = 2**20
# A few objects for each connection, and no message of a MiB.
LITTLE = 64 * 1024


class Traced:
    """How much memory is held more than at first."""

    def __enter__(self):
        gc.collect()
        tracemalloc.start()
        return self

    def __exit__(self, *_: object) -> None:
        tracemalloc.stop()

    def held(self) -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]


def half(kind: str) -> bytes:
    """Return most of a message of a MiB."""
    if kind == "text":
        return masked(Frame(TEXT, b"x" * MIB))[: -MIB // 10]
    if kind == "fragments":
        return masked(Frame(TEXT, "é".encode() * (MIB // 2), fin=False))
    return masked(Frame(BINARY, bytes(MIB)))[: -MIB // 10]


async def end(how: str, peer: Peer, ws) -> None:
    if how == "kick":
        ws.close_nowait(4000)
        await peer.send_eof()
    elif how == "reset":
        peer.reset()
    elif how == "protocol":
        await peer.send(bytes(MIB))  # the rest, and what is no frame
        await peer.send_eof()
    else:
        await peer.send_eof()
    await ws.wait_closed()


@pytest.mark.parametrize("kind", ["binary", "text", "fragments"])
@pytest.mark.parametrize("how", ["fin", "kick", "reset", "protocol"])
async def test_half_a_message_is_let_go(transport, serve, how, kind) -> None:
    class Handler(EventHandler):
        def on_message(self, ws, message) -> None:
            """Let it go."""

    server = await serve(Handler())
    kept = []
    with Traced() as traced:
        before = traced.held()
        for _ in range(KEPT):
            async with await dial(server.port) as peer:
                await peer.shake()
                await peer.send(half(kind))
                await wait_all_tasks_blocked()
                (ws,) = server.connections
                await end(how, peer, ws)
                kept.append(ws)
        while server.connections:
            await trio.lowlevel.checkpoint()
        assert traced.held() - before < KEPT * LITTLE
    assert len(kept) == KEPT


async def test_what_was_received_whole_is_kept_and_the_rest_is_not(connect) -> None:
    ws, peer = await connect()
    await peer.send(Frame(TEXT, b"whole"), half("binary"))
    await wait_all_tasks_blocked()
    with Traced() as traced:
        before = traced.held()
        await peer.stream.aclose()
        await ws.wait_closed()
        assert await ws.receive() == "whole"
        assert traced.held() - before < LITTLE
    assert ws.statistics().messages_received == 1


async def test_windows_are_let_go_and_counters_stay(serve) -> None:
    deflate = PerMessageDeflate(threshold=0)
    server = await serve(echo, deflate=deflate)
    kept = []
    with Traced() as traced:
        before = traced.held()
        for _ in range(KEPT):
            url = f"ws://127.0.0.1:{server.port}"
            async with open_websocket(url, deflate=deflate) as ws:
                (ours,) = server.connections
                await ws.send("a" * 100_000)
                await ws.receive()
                kept += [ws, ours]
            while server.connections:
                await trio.lowlevel.checkpoint()
        # A client's turn has a buffer of 256 KiB, a window 32.
        assert traced.held() - before < len(kept) * 16 * 1024
    for ws in kept:
        assert ws.statistics().bytes_received == 100_000
        assert 0 < ws.statistics().encoded_received < 1000
        assert ws.deflate is not None


async def test_unread_messages_can_be_received_after_a_reset(connect) -> None:
    ws, peer = await connect(limits=Limits(receive_buffer=1000))
    await peer.send(masked(Frame(TEXT, b"x" * 900)) * 2, close(1000))
    await wait_all_tasks_blocked()
    peer.reset()
    await wait_all_tasks_blocked()
    assert await ws.receive() == "x" * 900
    assert await ws.receive() == "x" * 900


@pytest.mark.parametrize("end", ["received", "iterated", "sent", "started"])
async def test_a_websocket_that_nobody_keeps_needs_no_garbage_collector(
    serve, end
) -> None:
    handled = []

    async def handler(ws) -> None:
        handled.append(weakref.ref(ws))
        await ws.send("a")
        with suppress(trio.EndOfChannel, trio.ClosedResourceError, ConnectionBroken):
            if end == "iterated":
                async for _ in ws:
                    pass
            else:
                await ws.receive()
        with suppress(trio.ClosedResourceError, ConnectionBroken):
            if end == "sent":
                await ws.send("late")
            elif end == "started":
                ws.start_soon(trio.sleep_forever)

    server = await serve(handler)
    gc.collect()
    gc.disable()
    try:
        async with await dial(server.port) as peer:
            await peer.shake()
            await peer.send(close(1000))
            await peer.read_close()
        while server.connections:
            await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        (ref,) = handled
        assert ref() is None
    finally:
        gc.enable()
