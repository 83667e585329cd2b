"""A loop over a room in a hook: who leaves must not take the speaker along."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.wire import (
    TEXT,
    Frame,
    close,
    dial,
)
from trio_fastws import EventHandler, PreparedMessage, Timeouts, open_websocket


class Room(EventHandler):
    """Tells everybody, also those who have left: it never forgets a member."""

    def __init__(self) -> None:
        self.members: list = []
        self.closed: list = []

    def tell(self, message, speaker=None) -> None:
        for member in self.members:
            if member is not speaker or member.state == "open":
                member.send_nowait(message)

    def on_open(self, ws) -> None:
        self.members.append(ws)

    def on_message(self, ws, message) -> None:
        if message == "leave":
            ws.close_nowait(4000)
        elif message == "kick":
            self.members[0].close_nowait(4001)
        self.tell(message, ws)

    def on_close(self, ws) -> None:
        self.closed.append(ws)
        self.tell(PreparedMessage("left"), ws)


async def test_a_member_that_says_close_and_does_not_read_is_a_counted_drop(
    transport, serve, no_errors_logged
) -> None:
    room = Room()
    server = await serve(room, timeouts=Timeouts(close=60))
    async with await dial(server.port) as lazy, await dial(server.port) as speaker:
        await lazy.shake()
        await speaker.shake()
        lazy_one = room.members[0]
        # Something waits for it, but not so much that its Close is not read.
        while lazy_one.statistics().send_queue == 0:
            lazy_one.send_nowait(bytes(50_000))
            await wait_all_tasks_blocked()
        await lazy.send(close(1000))
        while lazy_one.state == "open":
            await trio.lowlevel.checkpoint()
        for _ in range(3):
            await speaker.send(Frame(TEXT, b"hello"))
            assert await speaker.read_frame() == Frame(TEXT, b"hello")
        assert lazy_one.statistics().dropped == 3
        assert room.members[1].state == "open"
        lazy.reset()


@pytest.mark.parametrize("how", ["kick", "close", "fin", "reset"])
async def test_members_that_left_are_counted_drops(
    transport, serve, no_errors_logged, how
) -> None:
    room = Room()
    server = await serve(room)
    async with await dial(server.port) as first, await dial(server.port) as speaker:
        await first.shake()
        await speaker.shake()
        if how == "kick":
            await speaker.send(Frame(TEXT, b"kick"))
            assert await speaker.read_frame() == Frame(TEXT, b"kick")
            assert (await first.read_close())[0] == 4001
            await first.send(close(4001))
        elif how == "close":
            await first.send(close(1000))
        elif how == "reset":
            first.reset()
        await first.stream.aclose()
        assert await speaker.read_frame() == Frame(TEXT, b"left")
        await speaker.send(Frame(TEXT, b"hello"))
        assert await speaker.read_frame() == Frame(TEXT, b"hello")
        dropped = room.members[0].statistics().dropped
        assert dropped == (2 if how == "kick" else 1)


async def test_a_hook_is_told_of_its_own_connection(
    transport, serve, no_errors_logged
) -> None:
    class Late(Room):
        def on_message(self, ws, message) -> None:
            ws.close_nowait(4000)
            with pytest.raises(trio.ClosedResourceError):
                ws.send_nowait("late")
            self.tell("not seen")  # and one that does not care for it is no failure

    room = Late()
    server = await serve(room)
    async with await dial(server.port) as peer:
        await peer.shake()
        await peer.send(Frame(TEXT, b"go"))
        assert (await peer.read_close())[0] == 4000
        await peer.send(close(4000))
        await peer.read_rest()
    assert room.members[0].statistics().dropped == 0


async def test_a_plain_on_request_is_a_hook_in_this(serve, no_errors_logged) -> None:
    room = Room()
    server = await serve(room, on_request=lambda _: room.tell("somebody knocks"))
    async with await dial(server.port) as first:
        await first.shake()
        await first.send(close(1000))
        await first.read_close()
    while not room.closed:
        await trio.lowlevel.checkpoint()
    async with await dial(server.port) as second:
        assert b" 101 " in await second.shake()
        assert room.members[0].statistics().dropped == 1


async def test_a_hook_may_send_to_a_client_that_is_gone(
    serve, no_errors_logged
) -> None:
    async def upstream(ws) -> None:
        await ws.receive()

    class Relay(EventHandler):
        def on_message(self, ws, message) -> None:
            client.send_nowait(message)
            ws.send_nowait("relayed")

    there = await serve(upstream)
    server = await serve(Relay())
    async with open_websocket(f"ws://127.0.0.1:{there.port}") as client:
        await client.aclose()
        async with await dial(server.port) as peer:
            await peer.shake()
            await peer.send(Frame(TEXT, b"a"))
            assert await peer.read_frame() == Frame(TEXT, b"relayed")
    assert client.statistics().dropped == 1


async def test_a_task_is_told(serve, no_errors_logged) -> None:
    told = trio.Event()
    room = Room()

    async def tell(ws) -> None:
        with pytest.raises(trio.ClosedResourceError):
            room.members[0].send_nowait("a")
        with pytest.raises(trio.ClosedResourceError):
            await room.members[0].send("a")
        told.set()

    class Starting(Room):
        def on_message(self, ws, message) -> None:
            room.members[0].close_nowait()
            ws.start_soon(tell, ws)

    room = Starting()
    server = await serve(room)
    async with await dial(server.port) as first, await dial(server.port) as second:
        await first.shake()
        await second.shake()
        await second.send(Frame(TEXT, b"go"))
        await told.wait()
        await wait_all_tasks_blocked()
        assert room.members[0].statistics().dropped == 0
