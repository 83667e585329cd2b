"""`Limits.tasks`: a flood of messages does not become a flood of tasks."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.serving import pair, serving
from tests.wire import (
    PING,
    Frame,
    Peer,
    close,
    pong,
    text,
)
from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    Limits,
    Timeouts,
    WebSocket,
    open_websocket,
)

pytestmark = pytest.mark.usefixtures("transport")

TASKS = 4
LIMITS = Limits(tasks=TASKS)


class Work:
    """Tasks that end when they are told to, and how many ran at once."""

    def __init__(self) -> None:
        self.running: dict[object, trio.Event] = {}
        self.peak = 0
        self.done: list[object] = []

    async def __call__(self, item: object) -> None:
        event = self.running[item] = trio.Event()
        self.peak = max(self.peak, len(self.running))
        try:
            await event.wait()
        finally:
            del self.running[item]
        self.done.append(item)

    def end_one(self) -> None:
        """Let the one end that was started first."""
        next(iter(self.running.values())).set()

    async def end_all(self) -> None:
        """Let all end, one after another, and those that come then."""
        while self.running:
            self.end_one()
            await wait_all_tasks_blocked(0.001)


class Parallel(EventHandler):
    """Starts a task for each message."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.sockets: list[WebSocket] = []
        self.calls: list[str | bytes] = []

    def on_open(self, ws: WebSocket) -> None:
        self.sockets.append(ws)

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        self.calls.append(message)
        ws.start_soon(self.work, message)

    def on_close(self, ws: WebSocket) -> None:
        self.calls.append("closed")


def in_parallel(work: Work) -> Any:
    """Return an async handler that starts a task for each message."""

    async def handler(ws: WebSocket) -> None:
        async for message in ws:
            ws.start_soon(work, message)

    return handler


def numbers(count: int) -> list[Frame]:
    """Return so many messages, each of them different."""
    return [text(str(number)) for number in range(count)]


@pytest.mark.parametrize("kind", ["hooks", "task"])
async def test_a_flood_of_messages_is_no_flood_of_tasks(kind) -> None:
    work = Work()
    handler: Any = Parallel(work) if kind == "hooks" else in_parallel(work)
    async with serving(handler, limits=LIMITS) as site:
        peer = await site.dial()
        # All of them come in one read.
        await peer.send(*numbers(100))
        await wait_all_tasks_blocked(0.005)
        assert set(work.running) == {"0", "1", "2", "3"}
        work.end_one()
        await wait_all_tasks_blocked(0.005)
        assert set(work.running) | {*work.done} == {"0", "1", "2", "3", "4"}
        await work.end_all()
        assert set(work.done) == {str(number) for number in range(100)}
        assert len(work.done) == 100
        assert work.peak == TASKS
        # And it is served as before.
        await peer.send(text("another"))
        await wait_all_tasks_blocked(0.005)
        assert [*work.running] == ["another"]
        await peer.send(close(1000))
        assert await peer.read_frame() == close(1000)


@pytest.mark.parametrize("kind", ["hooks", "task"])
async def test_messages_that_come_one_by_one_wait_in_the_kernel(kind) -> None:
    work = Work()
    handler: Any = Parallel(work) if kind == "hooks" else in_parallel(work)
    async with serving(handler, limits=LIMITS) as site:
        peer = await site.dial()
        for frame in numbers(10):
            await peer.send(frame)
            await wait_all_tasks_blocked(0.002)
        assert len(work.running) == TASKS
        await work.end_all()
        assert len(work.done) == 10
        assert work.peak == TASKS


async def test_messages_that_are_here_already_are_not_given_out() -> None:
    work = Work()
    async with pair(limits=LIMITS) as (ws, peer):
        await peer.send(*numbers(10))
        while ws.statistics().messages_received < 10:
            await wait_all_tasks_blocked(0.001)
        for _ in range(TASKS):
            ws.start_soon(work, await ws.receive())
        with pytest.raises(trio.WouldBlock):
            ws.receive_nowait()
        received: list[str | bytes] = []

        async def receive() -> None:
            received.append(await ws.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await wait_all_tasks_blocked(0.001)
            assert received == []
            work.end_one()
            await wait_all_tasks_blocked(0.001)
            assert received == ["4"]
        assert ws.receive_nowait() == "5"


async def test_a_receiver_that_is_cancelled_while_it_waits_loses_nothing() -> None:
    work = Work()
    async with pair(limits=LIMITS) as (ws, peer):
        await peer.send(text("a"), text("b"))
        while ws.statistics().messages_received < 2:
            await wait_all_tasks_blocked(0.001)
        for number in range(TASKS):
            ws.start_soon(work, number)
        await wait_all_tasks_blocked(0.001)
        with trio.CancelScope() as scope:
            scope.cancel()
            await ws.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ws.receive)
            await wait_all_tasks_blocked(0.001)
            nursery.cancel_scope.cancel()
        await work.end_all()
        assert [await ws.receive(), await ws.receive()] == ["a", "b"]


async def test_a_stream_of_pieces_waits_too() -> None:
    work = Work()
    async with pair(limits=LIMITS) as (ws, peer):
        for number in range(TASKS):
            ws.start_soon(work, number)
        await wait_all_tasks_blocked(0.001)
        await peer.send(text("a", fin=False), Frame(0, b"b"))
        pieces: list[str | bytes] = []

        async def receive() -> None:
            async with ws.receive_stream() as message:
                pieces.extend([piece async for piece in message])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await wait_all_tasks_blocked(0.005)
            assert pieces == []
            work.end_one()
        assert "".join(map(str, pieces)) == "ab"


async def test_start_soon_itself_never_waits() -> None:
    work = Work()

    async def start_more(ws: WebSocket) -> None:
        for number in range(100):
            ws.start_soon(work, number)

    async with pair(limits=LIMITS) as (ws, peer):
        ws.start_soon(start_more, ws)
        await wait_all_tasks_blocked(0.001)
        assert len(work.running) == 100
        await peer.send(text("a"))
        await wait_all_tasks_blocked(0.005)
        assert ws.statistics().messages_received == 0
        for _ in range(100 - TASKS):
            work.end_one()
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked(0.005)
        assert ws.statistics().messages_received == 0
        work.end_one()
        assert await ws.receive() == "a"


async def test_without_a_limit_nothing_waits() -> None:
    work = Work()
    async with serving(Parallel(work), limits=Limits(tasks=None)) as site:
        peer = await site.dial()
        await peer.send(*numbers(500))
        while len(work.running) < 500:
            await wait_all_tasks_blocked(0.001)


async def test_it_is_64_unless_given() -> None:
    work = Work()
    async with serving(Parallel(work)) as site:
        peer = await site.dial()
        await peer.send(*numbers(500))
        await wait_all_tasks_blocked(0.01)
        assert len(work.running) == Limits().tasks == 64


async def test_tasks_of_on_open_count() -> None:
    work = Work()

    class Busy(Parallel):
        def on_open(self, ws: WebSocket) -> None:
            super().on_open(ws)
            for number in range(TASKS):
                ws.start_soon(work, number)

        def on_close(self, ws: WebSocket) -> None:
            super().on_close(ws)
            with pytest.raises(trio.ClosedResourceError):
                ws.start_soon(work, "late")

    handler = Busy(work)
    async with serving(handler, limits=LIMITS) as site:
        peer = await site.connect()
        await peer.shake(early=text("early"))
        await wait_all_tasks_blocked(0.005)
        assert handler.calls == []
        work.end_one()
        await wait_all_tasks_blocked(0.005)
        assert handler.calls == ["early"]
        handler.sockets[0].abort()
        assert await peer.read_broken() == []
        await wait_all_tasks_blocked()
        assert handler.calls == ["early", "closed"]


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_a_task_ends_however_it_ends(how, caplog) -> None:
    scope = trio.CancelScope()
    fail = trio.Event()

    async def work() -> None:
        with scope:
            await fail.wait()
            raise ZeroDivisionError

    async with pair(limits=Limits(tasks=1)) as (ws, peer):
        ws.start_soon(work)
        await peer.send(text("a"))
        await wait_all_tasks_blocked(0.005)
        assert ws.statistics().messages_received == 0
        if how == "cancelled":
            scope.cancel()
            assert await ws.receive() == "a"
        else:
            fail.set()
            assert (await peer.read_close())[0] == 1011


async def test_pause_and_resume_of_the_users_are_apart_from_it() -> None:
    work = Work()
    async with pair(limits=LIMITS) as (ws, peer):
        for number in range(TASKS):
            ws.start_soon(work, number)
        await wait_all_tasks_blocked(0.001)
        ws.pause_reading()
        ws.resume_reading()
        await peer.send(text("a"))
        await wait_all_tasks_blocked(0.005)
        assert ws.statistics().messages_received == 0
        ws.pause_reading()
        await work.end_all()
        assert ws.statistics().messages_received == 0
        ws.resume_reading()
        assert await ws.receive() == "a"


async def test_a_ping_is_answered_when_a_task_has_ended() -> None:
    work = Work()
    async with pair(limits=LIMITS) as (ws, peer):
        for number in range(TASKS):
            ws.start_soon(work, number)
        await wait_all_tasks_blocked(0.001)
        await peer.send(Frame(PING, b"?"))
        ws.send_nowait("sending goes on")
        assert await peer.read_frame() == text("sending goes on")
        await wait_all_tasks_blocked(0.005)
        work.end_one()
        assert await peer.read_frame() == pong(b"?")


async def test_a_client_is_bounded_too(serve) -> None:
    async def flood(ws: WebSocket) -> None:
        for number in range(20):
            await ws.send(str(number))
        await ws.wait_closed()

    work = Work()
    server = await serve(flood)
    url = f"ws://127.0.0.1:{server.port}"
    async with open_websocket(url, limits=LIMITS) as ws, trio.open_nursery() as nursery:
        nursery.start_soon(in_parallel(work), ws)
        await wait_all_tasks_blocked(0.01)
        assert len(work.running) == TASKS
        while len(work.done) < 20:
            await work.end_all()
        assert work.peak == TASKS
        await ws.aclose()


# --- the end ------------------------------------------------------------------


@pytest.mark.parametrize("how", ["aclose", "close_nowait", "abort"])
async def test_closing_does_not_wait_for_tasks(how) -> None:
    work = Work()
    async with pair(limits=LIMITS) as (ws, peer), trio.open_nursery() as nursery:
        await peer.send(text("unread"))
        while ws.statistics().messages_received < 1:
            await wait_all_tasks_blocked(0.001)
        for number in range(TASKS):
            ws.start_soon(work, number)
        ended = trio.Event()

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await ws.receive()
            ended.set()

        nursery.start_soon(receive)
        await wait_all_tasks_blocked(0.001)
        if how == "abort":
            ws.abort()
        else:
            ws.close_nowait()
        await ended.wait()
        if how != "abort":
            assert await peer.read_frame() == close(1000)
            await peer.send(text("late"), close(1000))
        if how == "aclose":
            await ws.aclose()
        await ws.wait_closed()
        await wait_all_tasks_blocked(0.001)
        assert not work.running
        assert work.done == []


@pytest.mark.parametrize("kind", ["hooks", "task"])
async def test_what_a_peer_that_is_gone_has_sent_makes_no_more_tasks(
    kind, no_errors_logged
) -> None:
    work = Work()
    parallel = Parallel(work)
    handler: Any = parallel if kind == "hooks" else in_parallel(work)
    async with serving(handler, limits=LIMITS) as site:
        peer = await site.dial()
        await peer.send(*numbers(50))
        await wait_all_tasks_blocked(0.005)
        assert len(work.running) == TASKS
        peer.reset()
        await wait_all_tasks_blocked(0.005)
        await work.end_all()
        assert work.peak == TASKS
        while site.server.statistics().connections:
            await wait_all_tasks_blocked(0.001)
        assert not work.running
        if kind == "hooks":
            assert parallel.calls[-1] == "closed"


async def test_tasks_that_never_end_are_a_slow_consumer(autojump_clock) -> None:
    timeouts = Timeouts(ping_interval=None, slow_consumer=5)
    async with pair(limits=LIMITS, timeouts=timeouts) as (ws, peer):
        for number in range(TASKS):
            ws.start_soon(trio.sleep_forever, name=str(number))
        start = trio.current_time()
        code, reason = await peer.read_close()
        assert code == 1008
        assert reason == (
            "4 tasks or more ran (Limits.tasks) for 5 s (Timeouts.slow_consumer)"
        )
        assert trio.current_time() - start == pytest.approx(5, abs=0.5)
        await peer.send(close(1008))
        with pytest.raises(ConnectionBroken, match="4 tasks or more ran"):
            await ws.receive()


async def test_a_task_that_ends_in_time_is_none(autojump_clock) -> None:
    timeouts = Timeouts(ping_interval=None, slow_consumer=5)
    async with pair(limits=LIMITS, timeouts=timeouts) as (ws, peer):
        for _ in range(10):
            for _ in range(TASKS):
                ws.start_soon(trio.sleep, 3)
            await trio.sleep(4)
        assert ws.state == "open"
        await peer.send(text("a"))
        assert await ws.receive() == "a"


async def test_that_nothing_is_taken_any_more_is_said_once(
    autojump_clock, caplog
) -> None:
    caplog.set_level(logging.INFO, "trio_fastws")
    timeouts = Timeouts(ping_interval=10, ping_timeout=50)
    async with pair(limits=LIMITS, timeouts=timeouts) as (ws, peer):
        work = Work()
        for number in range(TASKS):
            ws.start_soon(work, number)
        await trio.sleep(8)
        assert caplog.records == []
        await trio.sleep(100)
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        words = "because 4 tasks run (Limits.tasks)"
        assert words in record.getMessage()
        assert f"connection {ws.id}" in record.getMessage()
        await work.end_all()
        for number in range(TASKS):
            ws.start_soon(work, number)
        await trio.sleep(100)
        assert len(caplog.records) == 1
        assert ws.state == "open"
        await read_pings(peer)


async def read_pings(peer: Peer) -> None:
    """Read what the keepalive has sent."""
    while peer.buffer:
        assert (await peer.read_frame()).opcode == PING
