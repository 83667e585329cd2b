"""`EventHandler.on_error`: the one place that learns of what the user's code raised."""

from __future__ import annotations

import logging
from contextvars import ContextVar

import pytest
import trio
from trio.lowlevel import currently_ki_protected
from trio.testing import wait_all_tasks_blocked

from tests.serving import Site, serving
from tests.wire import PING, PONG, TEXT, Frame, Peer, close, text
from trio_fastws import EventHandler, WebSocket

pytestmark = pytest.mark.usefixtures("transport")

GONE = (1011, "internal error")
user: ContextVar[str] = ContextVar("user", default="nobody")


def fail(*_: object) -> None:
    raise ValueError("of the user's")


class Report(EventHandler):
    """Notes what fails; with ``then``, does something about it."""

    def __init__(self, then=None, **hooks) -> None:
        self.errors: list[Exception] = []
        self.seen: list[WebSocket] = []
        self.closed: list[tuple[int | None, str | None]] = []
        self.ended = trio.Event()
        self._then = then
        for name, hook in hooks.items():
            setattr(self, name, hook)

    def on_error(self, ws, error) -> None:
        self.seen.append(ws)
        self.errors.append(error)
        if self._then is not None:
            self._then(self, ws, error)

    def on_close(self, ws) -> None:
        self.closed.append((ws.close_code, ws.close_reason))
        self.ended.set()


def errors_in(caplog) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


async def read_all(peer: Peer) -> list[Frame]:
    """Return what comes before the Close; answer that."""
    frames = []
    while (frame := await peer.read_frame()).opcode != 8:
        frames.append(frame)
    frames.append(frame)
    await peer.send(close(1011))
    assert await peer.read_rest() == b""
    return frames


async def trouble(site: Site) -> Peer:
    """Return a peer that has caused every hook."""
    peer = await site.dial()
    await peer.send(Frame(PING, b"1"), Frame(PONG, b"2"), Frame(TEXT, b"3"))
    return peer


@pytest.mark.parametrize("hook", ["on_open", "on_message", "on_ping", "on_pong"])
async def test_it_takes_the_place_of_the_log_line(caplog, hook) -> None:
    report = Report(**{hook: fail})
    async with serving(report) as site:
        peer = await trouble(site)
        frames = await read_all(peer)
        assert frames[-1] == close(*GONE)
        await report.ended.wait()
    (error,) = report.errors
    assert isinstance(error, ValueError)
    assert [type(ws) for ws in report.seen] == [WebSocket]
    assert report.closed == [(1011, f"exception in {hook}")]
    assert errors_in(caplog) == []


async def test_on_drain_is_a_hook_as_well(caplog) -> None:
    def flood(ws) -> None:
        try:
            while True:
                ws.send_nowait(bytes(10_000))
        except trio.WouldBlock:
            pass

    report = Report(on_open=flood, on_drain=fail)
    async with serving(report, small=True) as site:
        frames = await read_all(await site.dial())
        assert frames[-1] == close(*GONE)
    assert [str(error) for error in report.errors] == ["of the user's"]
    assert errors_in(caplog) == []


async def test_what_it_sends_leaves_behind_what_the_hook_has_sent() -> None:
    def hook(ws, message) -> None:
        ws.send_nowait("a")
        ws.send_nowait("b")
        fail()

    report = Report(lambda self, ws, error: ws.send_nowait(f"sorry: {error}"))
    report.on_message = hook
    async with serving(report) as site:
        peer = await site.dial()
        await peer.send(text("x"), text("never seen"))
        assert await read_all(peer) == [
            text("a"),
            text("b"),
            text("sorry: of the user's"),
            close(*GONE),
        ]


async def test_it_may_close_with_a_code_of_its_own(caplog) -> None:
    report = Report(
        lambda self, ws, error: ws.close_nowait(4000, "try again"), on_message=fail
    )
    async with serving(report) as site:
        peer = await site.dial()
        await peer.send(text("x"))
        assert await peer.read_close() == (4000, "try again")
        await peer.send(close(4000, "as you like"))
        await report.ended.wait()
    assert report.closed == [(4000, "as you like")]
    assert errors_in(caplog) == []


async def test_a_task_of_a_connection_reports_to_it_too(caplog) -> None:
    async def task(ws) -> None:
        user.set("the task's own")
        ws.send_nowait("task")
        fail()

    noted = []

    def then(self, ws, error) -> None:
        noted.append((user.get(), currently_ki_protected()))
        user.set("set by on_error")
        ws.send_nowait("sorry")

    def on_open(ws) -> None:
        user.set("set by on_open")
        ws.start_soon(task, ws)

    report = Report(then, on_open=on_open)
    report.on_close = lambda ws: (noted.append(user.get()), report.ended.set())
    async with serving(report) as site:
        peer = await site.dial()
        assert await read_all(peer) == [text("task"), text("sorry"), close(*GONE)]
        await report.ended.wait()
    assert noted == [("set by on_open", True), "set by on_error"]
    assert [type(error) for error in report.errors] == [ValueError]
    assert errors_in(caplog) == []


async def test_of_several_exceptions_at_once_it_gets_the_group() -> None:
    async def task() -> None:
        raise ExceptionGroup("both", [ValueError("a"), KeyError("b")])

    report = Report(on_open=lambda ws: ws.start_soon(task))
    async with serving(report) as site:
        assert await read_all(await site.dial()) == [close(*GONE)]
    (error,) = report.errors
    assert isinstance(error, ExceptionGroup)
    assert error.message == "both"


async def test_super_logs_where_it_was_and_whose(caplog) -> None:
    async def task() -> None:
        fail()

    class Chat(EventHandler):
        def on_message(self, ws, message) -> None:
            if message == "task":
                ws.start_soon(task)
            else:
                fail()

        def on_error(self, ws, error) -> None:
            ws.send_nowait("before")
            super().on_error(ws, error)

    async with serving(Chat()) as site:
        for message in ("hook", "task"):
            peer = await site.dial()
            (ws,) = site.server.connections
            await peer.send(text(message))
            assert await read_all(peer) == [text("before"), close(*GONE)]
            await ws.wait_closed()
            await wait_all_tasks_blocked()
            name = f"task {task.__module__}.{task.__qualname__}"
            where = {"hook": "on_message", "task": name}[message]
            record = errors_in(caplog).pop()
            assert record.getMessage().startswith(
                f"exception in {where} [connection {ws.id}, peer 127.0.0.1:"
            )
            assert isinstance(record.exc_info[1], ValueError)
            assert record.handler.endswith("Chat")
    assert len(errors_in(caplog)) == 2


async def test_it_may_be_logged_later_by_a_task(caplog) -> None:
    class Late(EventHandler):
        def on_message(self, ws, message) -> None:
            fail()

        def on_error(self, ws, error) -> None:
            report = super().on_error

            async def later() -> None:
                report(ws, error)

            ws.start_soon(later)

    async with serving(Late()) as site:
        peer = await site.dial()
        await peer.send(text("x"))
        await peer.read_close()
        await wait_all_tasks_blocked()
    (record,) = errors_in(caplog)
    assert record.getMessage().startswith("exception in on_message [connection")


async def test_an_error_of_the_users_own_can_be_given_to_it(caplog) -> None:
    def on_message(ws, message) -> None:
        report.on_error(ws, ValueError(message))

    report = EventHandler()
    report.on_message = on_message
    async with serving(report) as site:
        peer = await site.dial()
        await peer.send(text("x"))
        await wait_all_tasks_blocked()
        assert len(site.server.connections) == 1
    (record,) = errors_in(caplog)
    assert record.getMessage().startswith("exception in code of the user's [")


async def test_if_it_raises_both_are_logged_and_the_connection_is_closed(
    caplog,
) -> None:
    def then(self, ws, error) -> None:
        ws.send_nowait("half")
        raise KeyError("worse")

    report = Report(then, on_message=fail)
    async with serving(report) as site:
        peer = await site.dial()
        await peer.send(text("x"))
        assert await read_all(peer) == [text("half"), close(*GONE)]
        await report.ended.wait()
        other = await site.dial()
        await other.send(Frame(PING, b"still here"))
        assert await other.read_frame() == Frame(PONG, b"still here")
    first, second = errors_in(caplog)
    assert first.getMessage().startswith("exception in on_message [connection ")
    assert first.exc_info[0] is ValueError
    assert second.getMessage().startswith("exception in on_error [connection ")
    assert second.exc_info[0] is KeyError
    assert len(report.errors) == 1


async def test_an_apology_that_cannot_be_sent_any_more_is_no_second_failure(
    caplog,
) -> None:
    def hook(ws, message) -> None:
        ws.close_nowait(4001)
        fail()

    report = Report(lambda self, ws, error: ws.send_nowait("sorry"), on_message=hook)
    async with serving(report) as site:
        peer = await site.dial()
        await peer.send(text("x"))
        assert (await peer.read_close())[0] == 4001
    (record,) = errors_in(caplog)
    assert record.getMessage().startswith("exception in on_message [")


async def test_what_only_tells_of_the_end_does_not_come(caplog) -> None:
    async def task(ws) -> None:
        await ws.wait_closed()
        await ws.send("too late")

    def hook(ws, message) -> None:
        ws.close_nowait(4001)
        ws.send_nowait("too late")

    report = Report(on_open=lambda ws: ws.start_soon(task, ws), on_message=hook)
    async with serving(report) as site:
        peer = await site.dial()
        await peer.send(text("x"))
        assert (await peer.read_close())[0] == 4001
        await peer.send(close(4001))
        await report.ended.wait()
    assert report.errors == []
    assert errors_in(caplog) == []


async def test_of_on_close_it_comes_behind_it(caplog) -> None:
    report = Report(lambda self, ws, error: self.ended.set())
    calls = []

    def on_close(ws) -> None:
        calls.append(ws)
        fail()

    report.on_close = on_close
    async with serving(report) as site:
        peer = await site.dial()
        await peer.send(close(1000))
        assert await peer.read_close() == (1000, "")
        await report.ended.wait()
        await wait_all_tasks_blocked()
    assert len(calls) == 1
    assert report.seen == calls
    assert calls[0].close_code == 1000
    assert errors_in(caplog) == []


async def test_nothing_nests_in_it() -> None:
    inside = []

    class Nested(EventHandler):
        def on_message(self, ws, message) -> None:
            fail()

        def on_error(self, ws, error) -> None:
            inside.append("in")
            for other in tuple(site.server.connections):
                other.close_nowait(4002)
            inside.append("out")

        def on_close(self, ws) -> None:
            inside.append("close")

    async with serving(Nested()) as site:
        peers = [await site.dial() for _ in range(3)]
        await peers[0].send(text("x"))
        for peer in peers:
            assert (await peer.read_close())[0] == 4002
            await peer.send(close(4002))
        while site.server.connections:
            await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
    assert inside == ["in", "out", "close", "close", "close"]


async def test_system_exit_ends_the_server_as_in_other_hooks() -> None:
    def then(self, ws, error) -> None:
        raise SystemExit(3)

    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012 - one story
        async with serving(Report(then, on_message=fail)) as site:
            peer = await site.dial()
            await peer.send(text("x"))
            await trio.sleep_forever()
    assert caught.group_contains(SystemExit)
