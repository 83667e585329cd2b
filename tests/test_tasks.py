"""Tasks, session and request: what lives as long as the connection."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_no_checkpoints, wait_all_tasks_blocked

from tests.handlers import Keeper
from tests.serving import pair, serving
from tests.wire import (
    TEXT,
    Frame,
    close,
    text,
)
from trio_fastws import EventHandler, Limits

pytestmark = pytest.mark.usefixtures("transport")


class Watch:
    """A function for a task; knows whether it runs, and how it ended."""

    def __init__(self) -> None:
        self.running = trio.Event()
        self.ended = trio.Event()
        self.cancelled = False
        self.args = None

    async def __call__(self, *args) -> None:
        self.args = args
        self.running.set()
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            self.cancelled = True
            raise
        finally:
            self.ended.set()


async def test_a_task_runs_with_its_arguments_and_ends_with_the_connection():
    watch = Watch()
    async with pair() as (ws, peer):
        with assert_no_checkpoints():
            ws.start_soon(watch, 1, "two", name="watch")
        await watch.running.wait()
        assert watch.args == (1, "two")
        await wait_all_tasks_blocked()
        assert not watch.ended.is_set()
        await peer.send(close())
        await watch.ended.wait()
        assert watch.cancelled


@pytest.mark.parametrize("how", ["we close", "fin", "reset"])
async def test_a_task_ends_however_the_connection_ends(how):
    watch, other = Watch(), Watch()
    async with pair() as (ws, peer):
        ws.start_soon(watch)
        ws.start_soon(other)
        await watch.running.wait()
        await other.running.wait()
        if how == "we close":
            ws.close_nowait()
            assert await peer.read_frame() == close(1000)
            assert not watch.ended.is_set()
            await peer.send(close())
        elif how == "fin":
            await peer.aclose()
        else:
            peer.reset()
        await watch.ended.wait()
        await other.ended.wait()
        assert ws.close_code == (1000 if how == "we close" else 1006)


@pytest.mark.parametrize("own_nursery", [True, False])
async def test_what_is_not_received_yet_is_lost_to_a_task_of_start_soon(own_nursery):
    received: list[str | bytes] = []
    ended, go_on = trio.Event(), trio.Event()

    async def receive_all(ws):
        try:
            async for message in ws:
                received.append(message)
                await go_on.wait()
        finally:
            ended.set()

    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        if own_nursery:
            nursery.start_soon(receive_all, ws)
        else:
            ws.start_soon(receive_all, ws)
        for number in range(500):
            await peer.send(text(str(number)))
        await peer.send(close())
        assert await peer.read_close() == (1000, "")
        await peer.aclose()
        await ws.wait_closed()
        await wait_all_tasks_blocked()
        assert ended.is_set() != own_nursery
        go_on.set()
        await ended.wait()
    everything = [str(number) for number in range(500)]
    assert received == (everything if own_nursery else everything[:1])


async def test_a_hook_starts_what_must_be_finished_in_a_nursery_around_the_server():
    stored: list[str | bytes] = []
    go_on, ended = trio.Event(), trio.Event()

    class Orders(EventHandler):
        def __init__(self, nursery: trio.Nursery) -> None:
            self.nursery = nursery

        def on_message(self, ws, message) -> None:
            self.nursery.start_soon(self.store, message)

        async def store(self, order: str | bytes) -> None:
            await go_on.wait()
            stored.append(order)

        def on_close(self, ws) -> None:
            ended.set()

    async with trio.open_nursery() as nursery, serving(Orders(nursery)) as site:
        peer = await site.dial()
        await peer.send(text("tea"))
        await peer.send(close())
        assert await peer.read_close() == (1000, "")
        await peer.aclose()
        await ended.wait()
        go_on.set()
    assert stored == ["tea"]


async def test_a_task_of_one_connection_survives_the_end_of_another():
    keeper = Keeper()
    first, second = Watch(), Watch()
    async with serving(keeper) as site:
        one = await site.dial()
        (await keeper.next()).start_soon(first)
        await site.dial()
        (await keeper.next()).start_soon(second)
        await second.running.wait()
        await one.aclose()
        await first.ended.wait()
        await wait_all_tasks_blocked()
        assert not second.ended.is_set()


async def test_a_task_that_returns_leaves_the_connection_alone():
    async with pair() as (ws, peer):
        ws.start_soon(ws.send, "from a task")
        assert await peer.read_frame() == text("from a task")
        await wait_all_tasks_blocked()
        await ws.send("still here")
        assert await peer.read_frame() == text("still here")


async def test_an_exception_of_a_task_is_logged_once_and_is_1011(caplog):
    async def fail():
        raise ZeroDivisionError

    keeper, watch = Keeper(), Watch()
    async with serving(keeper) as site:
        peer, other = await site.dial(), await site.dial()
        ws = await keeper.next()
        ws.start_soon(watch)
        await watch.running.wait()
        ws.start_soon(fail)
        assert await peer.read_frame() == close(1011, "internal error")
        await peer.send(close(1011))
        assert await peer.read_frames() == []
        await watch.ended.wait()
        assert ws.close_code == 1011
        assert await other.fence() == []
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.exc_info[0] for record in errors] == [ZeroDivisionError]


@pytest.mark.parametrize("who", ["us", "peer"])
async def test_after_the_close_no_task_is_started(who):
    watch = Watch()
    async with pair() as (ws, peer):
        if who == "us":
            ws.close_nowait()
        else:
            await peer.send(close())
            await ws.wait_closed()
        with pytest.raises(trio.ClosedResourceError):
            ws.start_soon(watch)
        await wait_all_tasks_blocked()
        assert not watch.running.is_set()


async def test_a_hook_may_start_tasks():
    watch = Watch()

    class Handler(EventHandler):
        def on_message(self, ws, message):
            if message == "watch":
                ws.start_soon(watch, message)
            else:
                ws.start_soon(ws.send, f"{message} answered")

        def on_close(self, ws):
            with pytest.raises(trio.ClosedResourceError):
                ws.start_soon(watch)

    async with serving(Handler()) as site:
        peer = await site.dial()
        await peer.send(Frame(TEXT, b"watch"), Frame(TEXT, b"question"))
        assert await peer.read_frame() == text("question answered")
        assert watch.args == ("watch",)
        await peer.send(close())
        assert await peer.read_frame() == close(1000)
        await watch.ended.wait()


async def test_a_task_outlives_the_handler_until_the_connection_is_over():
    watch = Watch()

    async def handler(ws):
        ws.start_soon(watch)
        await watch.running.wait()

    async with serving(handler) as site:
        peer = await site.dial()
        assert await peer.read_frame() == close(1000)
        await wait_all_tasks_blocked()
        assert not watch.ended.is_set()
        await peer.send(close())
        await watch.ended.wait()


async def test_the_session_is_the_users_own():
    async with pair() as (ws, _):
        assert ws.session is None
        ws.session = {"name": "Ada"}
        assert ws.session["name"] == "Ada"


async def test_an_async_handler_has_the_request_until_it_receives():
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"a"))
        await ws.receive()
        assert ws.request is None


async def test_a_request_that_was_looked_at_is_kept():
    async with pair() as (ws, peer):
        assert ws.request.headers["host"] == "example.com"
        await peer.send(Frame(TEXT, b"a"))
        await ws.receive()
        assert ws.request.path == "/"


async def test_keep_request_keeps_it():
    async with pair(limits=Limits(keep_request=True)) as (ws, peer):
        await peer.send(Frame(TEXT, b"a"))
        await ws.receive()
        assert ws.request.method == "GET"


@pytest.mark.parametrize("keep", [True, False])
async def test_a_hook_has_the_request_in_on_open(keep):
    opened = []

    class Handler(EventHandler):
        def on_open(self, ws):
            opened.append((ws, ws.request.path if len(opened) == 0 else None))

    async with serving(Handler(), limits=Limits(keep_request=keep)) as site:
        await site.dial()
        await site.dial()
    (first, path), (second, _) = opened
    assert path == "/"
    assert first.request is not None
    assert (second.request is not None) is keep


async def test_addresses_are_known_and_the_peers_is_remembered():
    async with pair() as (ws, peer):
        assert ws.remote_address == peer.stream.socket.getsockname()
        assert ws.local_address == peer.stream.socket.getpeername()
        await peer.send(close())
        remote = ws.remote_address
        await ws.wait_closed()
        await peer.read_frames()
        await peer.aclose()
        assert ws.remote_address == remote
        assert ws.local_address is None


async def test_repr_says_which_it_is_and_where_it_stands():
    async with pair() as (ws, peer):
        host, port = peer.stream.socket.getsockname()
        which = f"connection {ws.id}, peer {host}:{port}, path /"
        assert repr(ws) == f"<WebSocket open, {which}>"
        ws.close_nowait()
        assert repr(ws) == f"<WebSocket closing, {which}>"
        await peer.send(close())
        await ws.wait_closed()
        assert repr(ws) == f"<WebSocket closed, {which}>"


# --- what is no task ----------------------------------------------------------


async def work(*args: object) -> None:
    await trio.sleep_forever()


WRONG = {
    # The usual slip.
    "a coroutine": (
        lambda ws: ws.start_soon(work(ws)),
        r"that is the coroutine work\(\.\.\.\); pass the function: work",
    ),
    "nothing": (lambda ws: ws.start_soon(None), "not callable"),
    "a plain function": (
        lambda ws: ws.start_soon(len, "abc"),
        "expected an async function, but <built-in function len> returned 3",
    ),
    "an argument too few": (
        lambda ws: ws.start_soon(trio.sleep),
        "missing 1 required positional argument",
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_no_task_raises_where_it_is_started(what) -> None:
    start, words = WRONG[what]
    async with pair() as (ws, peer):
        with pytest.raises(TypeError, match=words):
            start(ws)
        # Nothing else is disturbed.
        ws.send_nowait("here")
        assert await peer.read_frame() == text("here")


@pytest.mark.parametrize("what", WRONG)
async def test_in_a_hook_it_ends_that_connection_alone(what, caplog) -> None:
    start, _ = WRONG[what]

    class Wrong(EventHandler):
        def on_message(self, ws, message) -> None:
            if message == "start":
                start(ws)
            ws.send_nowait(message)

    async with serving(Wrong()) as site:
        one, other = await site.dial(), await site.dial()
        await one.send(text("start"))
        assert (await one.read_close())[0] == 1011
        await other.send(text("here"))
        assert await other.read_frame() == text("here")
    (record,) = caplog.records
    assert record.exc_info[0] is TypeError
    assert "exception in on_message" in record.message


async def test_a_task_has_the_name_of_its_function() -> None:
    names = []

    async def look() -> None:
        names.append(trio.lowlevel.current_task().name)

    async with pair() as (ws, _):
        ws.start_soon(look)
        ws.start_soon(look, name="mine")
        await wait_all_tasks_blocked(0.001)
    own, mine = sorted(names, key=len, reverse=True)
    assert own.endswith("test_a_task_has_the_name_of_its_function.<locals>.look")
    assert mine == "mine"
