"""``async with ws:``: the close code says how the block was left (RFC 6455 7.4.1)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from tests.conftest import Connect
from tests.wire import BINARY, HEADERS, Frame, MemoryListener, Peer, close
from trio_fastws import (
    Request,
    Timeouts,
    WebSocket,
    open_websocket,
    upgrade,
)

SIDES = ["server", "client", "upgrade"]
TIMEOUTS = Timeouts(ping_interval=None, close=4)


@contextlib.asynccontextmanager
async def connected(
    side: str, connect: Connect, memory: MemoryListener, make_pair: Callable[[], Any]
) -> AsyncIterator[tuple[WebSocket, Peer]]:
    """A WebSocket of one side, and its raw peer."""
    if side == "server":
        stream = memory.connect(make_pair)
        yield await connect(stream, listeners=[memory], timeouts=TIMEOUTS)
        return
    ours, theirs = make_pair()
    peer = Peer(theirs)
    async with trio.open_nursery() as nursery:
        if side == "client":
            nursery.start_soon(peer.welcome)
            block = open_websocket("ws://a/", stream=ours, timeouts=TIMEOUTS)
        else:
            nursery.start_soon(peer.read_head)
            block = upgrade(ours, Request("GET", "/", HEADERS), timeouts=TIMEOUTS)
        async with block as ws:
            await trio.testing.wait_all_tasks_blocked()
            yield ws, peer


async def leave(ws: WebSocket, how: str) -> None:
    """Leave a block in one of the ways there are."""
    async with ws:
        if how.startswith("own code"):
            ws.close_nowait(4000, "mine")
        if how.endswith("error"):
            raise ValueError("x")
        if how == "error in a group":
            async with trio.open_nursery():
                raise ValueError("x")
        if how.endswith("cancelled"):
            await trio.sleep_forever()
        if how == "timeout within":
            with trio.fail_after(1):
                await trio.sleep_forever()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("how", "raised", "seen"),
    [
        ("end", None, (1000, "")),
        ("own code", None, (4000, "mine")),
        ("cancelled", None, (1001, "")),
        ("own code, cancelled", None, (4000, "mine")),
        ("error", ValueError, (1011, "")),
        ("error in a group", ExceptionGroup, (1011, "")),
        ("own code, error", ValueError, (4000, "mine")),
        ("timeout within", trio.TooSlowError, (1011, "")),
    ],
)
async def test_the_close_code_says_how_the_block_was_left(
    side: str,
    how: str,
    raised: type[Exception] | None,
    seen: tuple[int, str],
    connect: Connect,
    memory: MemoryListener,
    autojump_clock: MockClock,
) -> None:
    async def answer() -> None:
        codes.append(await peer.read_close())
        await peer.send(close(codes[0][0]))
        if side == "client":
            await peer.send_eof()

    codes: list[tuple[int, str]] = []
    async with (
        connected(side, connect, memory, memory_stream_pair) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(answer)
        with trio.move_on_after(2):
            with contextlib.nullcontext() if raised is None else pytest.raises(raised):
                await leave(ws, how)
        assert ws.closed
    assert codes == [seen]


@pytest.mark.parametrize("side", SIDES)
async def test_what_was_raised_comes_out_though_closing_is_cancelled(
    side: str, connect: Connect, memory: MemoryListener, autojump_clock: MockClock
) -> None:
    # The peer does not answer our Close: closing lasts until it is cancelled.
    async with connected(side, connect, memory, memory_stream_pair) as (ws, peer):
        started = trio.current_time()
        with trio.CancelScope(deadline=started + 1) as scope:
            with pytest.raises(ValueError, match="x"):
                await leave(ws, "error")
            assert trio.current_time() - started == pytest.approx(1, abs=0.1)
            assert scope.cancel_called
            await trio.lowlevel.checkpoint()
            pytest.fail("not cancelled")
        assert scope.cancelled_caught
        assert await peer.read_close() == (1011, "")
    assert ws.close_code == 1006


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("how", "code"), [("end", 1000), ("cancelled", 1001)])
async def test_cancelled_while_it_closes(
    side: str,
    how: str,
    code: int,
    connect: Connect,
    memory: MemoryListener,
    autojump_clock: MockClock,
) -> None:
    async with connected(side, connect, memory, memory_stream_pair) as (ws, peer):
        started = trio.current_time()
        with trio.move_on_after(1) as scope:
            await leave(ws, how)
        assert scope.cancelled_caught
        assert trio.current_time() - started < 1.1
        assert await peer.read_close() == (code, "")
        assert ws.close_code == 1006


@pytest.mark.parametrize("side", SIDES)
async def test_a_cancelled_block_waits_for_no_peer_that_does_not_read(
    side: str, connect: Connect, memory: MemoryListener, autojump_clock: MockClock
) -> None:
    async with connected(side, connect, memory, lockstep_stream_pair) as (ws, peer):
        await ws.send(bytes(100_000))
        started = trio.current_time()
        with trio.move_on_after(1) as scope:
            await leave(ws, "cancelled")
        assert scope.cancelled_caught
        assert trio.current_time() - started < 1.1
        assert ws.close_code == 1006
        # No frame is torn and taken for a whole one.
        assert [frame for frame in await peer.read_broken() if frame.opcode] in (
            [],
            [Frame(BINARY, bytes(100_000))],
        )
