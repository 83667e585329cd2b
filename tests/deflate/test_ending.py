"""Connections that end in the middle of a large message."""

from __future__ import annotations

import sys

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.deflate.cases import deflating, each_side, linked, offering
from tests.deflate.harm import bomb
from tests.deflate.large import DENSE, JSON, both_handlers
from tests.wire import (
    BINARY,
    CLOSE,
    PING,
    RSV1,
    TEXT,
    Frame,
    Peer,
    close,
)
from trio_fastws import ConnectionBroken, Limits, Sending, serve_websocket

pytestmark = pytest.mark.usefixtures("transport")

UNLIMITED = Limits(message_size=None)


@pytest.fixture(params=["server", "client"])
def side(request: pytest.FixtureRequest) -> str:
    return request.param


def begun(side: str):
    """Link what sends many fragments, most of which do not fit on their way."""
    sending = Sending(frame_size=2**14)
    return linked(side, deflating("persistent"), small=True, sending=sending)


async def read_begin(peer: Peer, count: int = 3) -> None:
    for _ in range(count):
        frame = await peer.read_frame()
        assert frame.opcode == PING or peer.assemble(frame) is None


async def test_the_peers_close_in_the_middle_ends_well(side, no_errors_logged):
    async with begun(side) as (ws, peer):
        async with trio.open_nursery() as nursery:
            await ws.send(DENSE)

            async def send() -> None:
                with pytest.raises(ConnectionBroken):
                    await ws.send("late")

            nursery.start_soon(send)
            await read_begin(peer)
            await peer.send(close(1000))
            # Either the rest of it comes first or it does not; nothing is torn.
            while (frame := await peer.read_frame()).opcode != CLOSE:
                message = peer.assemble(frame)
                assert message is None or message.payload == DENSE
            assert frame == Frame(CLOSE, (1000).to_bytes(2))
            if side == "client":
                await peer.send_eof()
            assert await peer.read_frames() == []
            await ws.wait_closed()
        assert ws.close_code == 1000


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_connection_lost_in_the_middle_wakes_all_and_keeps_nothing(side, how):
    payload = bytes(bytearray(DENSE))
    held = sys.getrefcount(payload)
    async with begun(side) as (ws, peer):
        woken = []

        async def wait(async_fn, *args) -> None:
            with pytest.raises(ConnectionBroken):
                await async_fn(*args)
            woken.append(async_fn.__name__)

        async with trio.open_nursery() as nursery:
            await ws.send(payload)
            for args in ((ws.send, "late"), (ws.ping,), (ws.receive,)):
                nursery.start_soon(wait, *args)
            await wait_all_tasks_blocked()
            assert sys.getrefcount(payload) > held
            await read_begin(peer)
            if how == "reset":
                peer.reset()
            else:
                await trio.aclose_forcefully(peer.stream)
            await ws.wait_closed()
        assert sorted(woken) == ["ping", "receive", "send"]
        assert ws.close_code == 1006
        await wait_all_tasks_blocked()
        assert sys.getrefcount(payload) == held


async def test_an_abort_in_the_middle_keeps_nothing(side):
    payload = bytes(bytearray(DENSE))
    held = sys.getrefcount(payload)
    async with begun(side) as (ws, peer):
        await ws.send(payload)
        await read_begin(peer)
        with trio.move_on_after(0) as scope:
            await ws.aclose()
        assert scope.cancelled_caught
        await ws.wait_closed()
        await wait_all_tasks_blocked()
        assert sys.getrefcount(payload) == held


@both_handlers
async def test_a_shutdown_in_the_middle_sends_it_whole_and_then_1001(handler):
    scope = trio.CancelScope()

    async def serve(task_status) -> None:
        with scope:
            await serve_websocket(
                handler,
                0,
                host="127.0.0.1",
                deflate=deflating("persistent"),
                task_status=task_status,
            )

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve)
        peer = Peer(await trio.open_tcp_stream("127.0.0.1", server.port))
        await peer.shake(*offering())
        await peer.send_message(TEXT, b"large")
        await read_begin(peer)
        scope.cancel()
        assert (await peer.read_message()).payload == JSON
        assert (await peer.read_close())[0] == 1001
        await peer.send(close(1001))
        assert await peer.read_frames() == []
        await trio.aclose_forcefully(peer.stream)


# --- while it is received


@each_side
@pytest.mark.parametrize("how", ["fin", "reset", "close"])
async def test_an_end_in_the_middle_of_a_message(side, how):
    async with linked(side, deflating("persistent"), limits=UNLIMITED) as (ws, peer):
        await peer.send_message(TEXT, b"before")
        frames = peer.pack(BINARY, JSON[: 2**20], 20_000)
        await peer.send(*frames[:3])
        await wait_all_tasks_blocked(0.001)
        if how == "close":
            await peer.send(close(1000))
        elif how == "reset":
            peer.reset()
        else:
            await peer.send_eof()
        assert await ws.receive() == "before"
        expected = trio.EndOfChannel if how == "close" else ConnectionBroken
        with pytest.raises(expected):
            await ws.receive()
        assert ws.close_code == (1000 if how == "close" else 1006)


@each_side
async def test_our_close_while_it_is_inflated(side):
    async with linked(side, deflating("persistent"), limits=UNLIMITED) as (ws, peer):
        await peer.send(Frame(BINARY, bomb(64 * 2**20), rsv=RSV1))
        await trio.lowlevel.checkpoint()
        ws.close_nowait()
        assert (await peer.read_close())[0] == 1000
        assert await peer.finish() == []
        with pytest.raises(trio.ClosedResourceError):
            await ws.receive()
