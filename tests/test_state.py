"""Where a connection stands, what each side said at its end, and how it is given up."""

from __future__ import annotations

import contextlib
import gc
import weakref
from typing import Any

import pytest
import trio
from trio.testing import (
    assert_no_checkpoints,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from tests.handlers import Keeper
from tests.serving import fill, pair, serving
from tests.wire import (
    BINARY,
    CLOSE,
    TEXT,
    Frame,
    Peer,
    WireError,
    close,
    text,
    unmasked,
)
from trio_fastws import (
    CloseCode,
    CloseFrame,
    ConnectionBroken,
    EventHandler,
    Limits,
    Sending,
    Server,
    Timeouts,
    WebSocket,
    open_websocket,
)

pytestmark = pytest.mark.usefixtures("transport")


def said(ws: WebSocket) -> tuple[CloseFrame | None, CloseFrame | None]:
    """Return what each side said at the end, ours first."""
    return ws.close_sent, ws.close_received


# --- state --------------------------------------------------------------------


async def test_state_goes_from_open_by_closing_to_closed() -> None:
    async with pair() as (ws, peer):
        assert (ws.state, ws.closed) == ("open", False)
        ws.close_nowait()
        assert (ws.state, ws.closed) == ("closing", False)
        await peer.send(close())
        await ws.wait_closed()
        assert (ws.state, ws.closed) == ("closed", True)


async def test_it_is_closing_until_the_transport_has_ended() -> None:
    # Both Closes are there, and a client waits for the server to end it.
    stream, theirs = memory_stream_pair()
    peer = Peer(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.welcome)
        async with open_websocket("ws://127.0.0.1/", stream=stream) as ws:
            await peer.send(close(1000))
            while ws.state == "open":
                await trio.lowlevel.checkpoint()
            assert (ws.state, ws.closed) == ("closing", False)
            assert said(ws) == ((1000, ""), (1000, ""))
            await trio.aclose_forcefully(theirs)
            await ws.wait_closed()
            assert ws.state == "closed"


async def test_one_that_was_reset_while_paused_is_closing_until_all_is_received(
    transport,
) -> None:
    if transport == "pump":
        pytest.skip("a stream does not tell of a reset while nobody reads")
    async with pair(limits=Limits(receive_buffer=1)) as (ws, peer):
        await peer.send(text("a"))
        await wait_all_tasks_blocked(0.01)
        await peer.send(text("b"))
        peer.reset()
        while ws.state == "open":
            await trio.lowlevel.checkpoint()
        assert (ws.state, ws.closed) == ("closing", False)
        assert await ws.receive() == "a"
        ws.abort()
        assert ws.state == "closed"
        # No Close was queued for a peer that is gone, and none has come.
        assert said(ws) == (None, None)


# --- the Close of each side ---------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "received"),
    [
        (close(1000), (1000, "")),
        (close(4001, "theirs"), (4001, "theirs")),
        (Frame(CLOSE), (1005, "")),
    ],
)
async def test_the_answer_says_what_the_peer_said(frame, received) -> None:
    async with pair() as (ws, peer):
        assert said(ws) == (None, None)
        await peer.send(frame)
        await ws.wait_closed()
        assert said(ws) == (received, received)
        assert await peer.read_rest() == unmasked(frame)


async def test_both_are_there_when_they_differ() -> None:
    async with pair() as (ws, peer):
        ws.close_nowait(4002, "mine")
        assert said(ws) == ((4002, "mine"), None)
        await peer.send(close(4003, "theirs"))
        await ws.wait_closed()
        assert said(ws) == (CloseFrame(4002, "mine"), CloseFrame(4003, "theirs"))
        assert ws.close_sent.code == 4002
        assert ws.close_received.reason == "theirs"
        assert (ws.close_code, ws.close_reason) == (4003, "theirs")
        ws.close_nowait(4004, "again")
        assert ws.close_sent == (4002, "mine")


async def test_the_exception_has_both_for_whoever_has_no_websocket() -> None:
    async with pair() as (ws, peer):
        await peer.send(close(4003, "theirs"))
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        error = caught.value
        assert error.close_received == error.close_sent == (4003, "theirs")
    async with pair() as (ws, peer):
        await peer.aclose()
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        assert (caught.value.close_sent, caught.value.close_received) == (None, None)


async def test_a_close_code_is_a_plain_number() -> None:
    async with pair() as (ws, _):
        ws.close_nowait(CloseCode.SERVICE_RESTART)
        assert repr(ws.close_sent) == "CloseFrame(code=1012, reason='')"


async def test_a_queued_close_gives_way_to_the_answer() -> None:
    async with pair(small=True) as (ws, peer):
        # Behind what the peer does not read a Close waits.
        await fill(ws, bytes(50_000))
        ws.close_nowait(4002, "mine")
        assert said(ws) == ((4002, "mine"), None)
        await peer.send(close(4003, "theirs"))
        while ws.close_received is None:
            await trio.lowlevel.checkpoint()
        assert said(ws) == ((4003, "theirs"), (4003, "theirs"))
        frames = await peer.read_frames()
        assert frames[-1] == close(4003, "theirs")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (unmasked(Frame(TEXT, b"x")), 1002),
        (Frame(TEXT, b"\xff"), 1007),
        (Frame(BINARY, bytes(101)), 1009),
    ],
)
async def test_a_failure_of_the_peers_is_what_we_sent(sent, code) -> None:
    async with pair(limits=Limits(message_size=100)) as (ws, peer):
        await peer.send(sent)
        got, reason = await peer.read_close()
        assert got == code
        await ws.wait_closed()
        assert said(ws) == ((code, reason), None)


async def test_a_failed_handler_is_what_we_sent() -> None:
    async def fail(ws: WebSocket) -> None:
        sockets.append(ws)
        raise ZeroDivisionError

    sockets: list[WebSocket] = []
    async with serving(fail) as site:
        peer = await site.dial()
        assert await peer.read_close() == (1011, "internal error")
        await peer.send(close(1000))
        await sockets[0].wait_closed()
        assert said(sockets[0]) == ((1011, "internal error"), (1000, ""))
        assert sockets[0].close_code == 1011


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_connection_that_was_lost_has_received_none(how) -> None:
    async with pair() as (ws, peer):
        if how == "fin":
            await peer.send_eof()
        else:
            peer.reset()
        await ws.wait_closed()
        assert said(ws) == (None, None)
        ws.close_nowait(4002)
        assert ws.close_sent is None
        assert ws.close_code == 1006


async def test_a_client_has_both_too(serve) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.aclose(4005, "that is all")

    server: Server = await serve(handler)
    async with open_websocket(f"ws://127.0.0.1:{server.port}") as ws:
        await ws.wait_closed()
    assert said(ws) == ((4005, "that is all"), (4005, "that is all"))


# --- abort --------------------------------------------------------------------


async def test_abort_ends_it_at_once_without_a_close() -> None:
    async with pair() as (ws, peer):
        await peer.send(text("unread"))
        await wait_all_tasks_blocked(0.01)
        with assert_no_checkpoints():
            ws.abort("no use")
        assert ws.state == "closed"
        assert (ws.close_code, ws.close_reason) == (1006, "no use")
        assert said(ws) == (None, None)
        with pytest.raises(trio.ClosedResourceError):
            await ws.send("late")
        with pytest.raises(trio.ClosedResourceError):
            ws.send_nowait("late")
        with pytest.raises(trio.ClosedResourceError):
            await ws.receive()
        with pytest.raises(trio.ClosedResourceError):
            ws.receive_nowait()
        with pytest.raises(trio.ClosedResourceError):
            await ws.ping()
        assert [message async for message in ws] == []
        with pytest.raises(trio.ClosedResourceError):
            ws.start_soon(trio.sleep_forever)
        # No Close, and no frame that is torn.
        assert await peer.read_broken() == []


async def test_abort_drops_what_is_queued() -> None:
    async with pair(small=True) as (ws, peer):
        await fill(ws, bytes(50_000))
        ws.close_nowait(1000)
        assert ws.statistics().send_queue > 0
        ws.abort()
        assert ws.statistics().send_queue == 0
        assert (ws.close_code, ws.close_reason) == (1006, "")
        # Queued, though it has never left.
        assert ws.close_sent == (1000, "")
        assert close(1000) not in await peer.read_broken()


async def test_abort_wakes_every_waiter() -> None:
    async with pair(small=True) as (ws, _peer):
        await fill(ws, bytes(50_000))
        ended: list[str] = []

        async def wait(name: str, async_fn: Any, *args: Any) -> None:
            try:
                await async_fn(*args)
            except trio.ClosedResourceError:
                ended.append(name)
            else:
                ended.append(f"{name} returned")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, "receive", ws.receive)
            nursery.start_soon(wait, "send", ws.send, b"more")
            nursery.start_soon(wait, "ping", ws.ping)
            nursery.start_soon(wait, "wait_closed", ws.wait_closed)
            nursery.start_soon(wait, "task", trio.sleep_forever)
            ws.start_soon(wait, "never", trio.sleep_forever)
            await wait_all_tasks_blocked()
            assert ended == []
            ws.abort()
            await wait_all_tasks_blocked()
            assert sorted(ended) == ["ping", "receive", "send", "wait_closed returned"]
            nursery.cancel_scope.cancel()


async def test_abort_may_be_called_again_and_at_any_time() -> None:
    async with pair() as (ws, peer):
        ws.close_nowait(4002, "mine")
        ws.abort("first")
        ws.abort("second")
        assert (ws.close_code, ws.close_reason) == (1006, "first")
        ws.close_nowait()
        await ws.aclose()
        assert ws.close_sent == (4002, "mine")
        assert await peer.read_broken() in ([], [close(4002, "mine")])


async def test_abort_after_the_end_drops_what_was_not_received() -> None:
    async with pair() as (ws, peer):
        await peer.send(text("unread"), close(4001, "theirs"))
        await ws.wait_closed()
        ws.abort("late")
        assert (ws.close_code, ws.close_reason) == (4001, "theirs")
        with pytest.raises(trio.ClosedResourceError):
            await ws.receive()
        assert ws.statistics().receive_queue == 0


@pytest.mark.parametrize("reason", [None, 1, b"bytes"])
async def test_a_reason_that_is_no_str_is_refused_and_nothing_happens(reason) -> None:
    async with pair() as (ws, _):
        with pytest.raises(TypeError, match="close reason must be a str"):
            ws.abort(reason)
        assert ws.state == "open"


@pytest.mark.parametrize("where", ["on_open", "on_message", "on_ping", "on_close"])
async def test_abort_in_a_hook_takes_effect_when_it_has_returned(where) -> None:
    calls: list[str] = []
    over = trio.Event()

    class Handler(EventHandler):
        def note(self, ws: WebSocket, hook: str) -> None:
            calls.append(hook)
            if hook == where:
                ws.send_nowait("never leaves") if where != "on_close" else None
                ws.abort("in a hook")
                assert ws.state == "closed"
                calls.append("returns")

        def on_open(self, ws: WebSocket) -> None:
            self.note(ws, "on_open")

        def on_message(self, ws: WebSocket, message: str | bytes) -> None:
            self.note(ws, "on_message")

        def on_ping(self, ws: WebSocket, payload: bytes) -> None:
            self.note(ws, "on_ping")

        def on_close(self, ws: WebSocket) -> None:
            self.note(ws, "on_close")
            sockets.append(ws)
            over.set()

    sockets: list[WebSocket] = []
    # Behind a pump the 101 is not with the system yet.
    may_be_lost = contextlib.suppress(WireError, trio.BrokenResourceError)
    async with serving(Handler()) as site:
        peer = await site.connect()
        with contextlib.nullcontext() if where != "on_open" else may_be_lost:
            await peer.shake()
        if where == "on_close":
            await peer.send(close(1000))
        elif where == "on_ping":
            await peer.send(Frame(0x9), text("later"))
        elif where == "on_message":
            await peer.send(text("now"), text("later"))
        await over.wait()
        assert await peer.read_broken() in ([], [close(1000)], [Frame(0xA)])
    before = [] if where == "on_open" else ["on_open"]
    if where == "on_close":
        assert calls == ["on_open", "on_close", "returns"]
        assert sockets[0].close_code == 1000
    else:
        assert calls == [*before, where, "returns", "on_close"]
        assert sockets[0].close_reason == "in a hook"


async def test_a_hook_may_abort_others() -> None:
    class Handler(EventHandler):
        def __init__(self) -> None:
            self.members: list[WebSocket] = []
            self.gone: list[WebSocket] = []

        def on_open(self, ws: WebSocket) -> None:
            self.members.append(ws)

        def on_message(self, ws: WebSocket, message: str | bytes) -> None:
            for member in self.members:
                if member is not ws:
                    member.abort("thrown out")
            assert self.gone == []
            ws.send_nowait("done")

        def on_close(self, ws: WebSocket) -> None:
            self.gone.append(ws)

    handler = Handler()
    async with serving(handler) as site:
        peers = [await site.dial() for _ in range(3)]
        await peers[0].send(text("throw them out"))
        assert await peers[0].read_frame() == text("done")
        for peer in peers[1:]:
            assert await peer.read_broken() == []
        assert set(handler.gone) == set(handler.members[1:])


async def test_a_connection_that_was_aborted_is_freed() -> None:
    keeper = Keeper()
    async with serving(keeper) as site:
        peer = await site.dial()
        ws = await keeper.next()
        ws.abort()
        gone = weakref.ref(ws)
        keeper.release.set()
        del ws
        assert await peer.read_broken() == []
        await wait_all_tasks_blocked()
        gc.collect()
        assert gone() is None


async def test_a_blocked_peer_costs_no_time(autojump_clock, memory, connect) -> None:
    theirs = memory.connect()
    ws, _peer = await connect(
        stream=theirs,
        listeners=[memory],
        timeouts=Timeouts(ping_interval=None),
        sending=Sending(high_water=2**20),
    )
    start = trio.current_time()
    ws.send_nowait(bytes(100_000))
    ws.abort()
    await ws.wait_closed()
    assert trio.current_time() == start
