"""The end of a server: in order, bounded, and with nothing left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from tests.handlers import echo
from tests.serving import running
from tests.wire import (
    BINARY,
    CONTINUATION,
    TEXT,
    Frame,
    Peer,
    close,
    dial,
    upgrade_request,
)
from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    Response,
    Timeouts,
    WebSocket,
)
from trio_fastws._server import nurseries as handlers
from trio_fastws._transport import lifetimes as scopes

GOODBYE = (1001, "the server is shutting down")


async def park(ws: WebSocket) -> None:
    await trio.sleep_forever()


async def dial_and_shake(port: int) -> Peer:
    peer = await dial(port)
    await peer.shake()
    return peer


async def test_everybody_is_told_1001(transport, no_errors_logged) -> None:
    async with running(park) as run:
        peers = [await dial_and_shake(run.server.port) for _ in range(20)]
        run.stop()
        for peer in peers:
            assert await peer.read_close() == GOODBYE
            await wait_all_tasks_blocked()
            assert not run.ended.is_set()
            await peer.send(close(1001))
            assert await peer.read_rest() == b""
            await peer.stream.aclose()
        await run.ended.wait()


async def test_queued_messages_leave_before_the_goodbye(transport, memory) -> None:
    async def handler(ws: WebSocket) -> None:
        for number in range(100):
            ws.send_nowait(str(number))
        await trio.sleep_forever()

    async with running(handler) as run, await dial_and_shake(run.server.port) as peer:
        await wait_all_tasks_blocked()
        for ws in run.server.connections:
            ws.send_nowait("last")
        run.stop()
        for text in (*map(str, range(100)), "last"):
            assert await peer.read_frame() == Frame(TEXT, text.encode())
        assert await peer.read_close() == GOODBYE


async def test_large_backlog_leaves_before_the_goodbye(transport) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.send(bytes(20_000_000))
        await trio.sleep_forever()

    async with running(handler) as run, await dial_and_shake(run.server.port) as peer:
        await wait_all_tasks_blocked()
        run.stop()
        await wait_all_tasks_blocked()
        received = bytearray()
        while len(received) < 20_000_000:
            frame = await peer.read_frame()
            assert frame.opcode == (CONTINUATION if received else BINARY)
            received += frame.payload
        assert received == bytes(20_000_000)
        assert await peer.read_close() == GOODBYE
        await peer.send(close(1001))
        assert await peer.read_rest() == b""


async def test_handshakes_in_progress_get_503(transport, no_errors_logged) -> None:
    async with running(park) as run, await dial(run.server.port) as peer:
        await peer.send(upgrade_request()[:-2])
        await wait_all_tasks_blocked()
        run.stop()
        assert (await peer.read_head()).startswith(b"HTTP/1.1 503 ")
        assert b"the server is shutting down" in await peer.read_rest()
        await peer.stream.aclose()
        await run.ended.wait()


async def test_undecided_handshake_gets_503(transport, no_errors_logged) -> None:
    cancelled = []

    async def on_request(_: object) -> Response | None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            cancelled.append(True)
            raise

    async with running(park, on_request=on_request) as run:
        async with await dial(run.server.port) as peer:
            await peer.send(upgrade_request())
            await wait_all_tasks_blocked()
            run.stop()
            assert (await peer.read_head()).startswith(b"HTTP/1.1 503 ")
            assert b"the server is shutting down" in await peer.read_rest()
        await run.ended.wait()
    assert cancelled == [True]


async def test_handlers_and_their_tasks_are_cancelled(
    transport, no_errors_logged
) -> None:
    cancelled = []

    async def sleep(name: str) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            cancelled.append(name)
            raise

    async def handler(ws: WebSocket) -> None:
        ws.start_soon(sleep, "task")
        await sleep("handler")

    async with running(handler) as run, await dial_and_shake(run.server.port) as peer:
        await wait_all_tasks_blocked()
        run.stop()
        assert await peer.read_close() == GOODBYE
        await peer.send(close(1001))
        await peer.stream.aclose()
        await run.ended.wait()
    assert sorted(cancelled) == ["handler", "task"]


async def test_shielding_handler_delays_the_return_but_not_the_sockets(
    transport,
) -> None:
    go_on = trio.Event()
    outcome = []

    async def handler(ws: WebSocket) -> None:
        with trio.CancelScope(shield=True):
            await go_on.wait()
            try:
                await ws.send("too late")
            except ConnectionBroken as error:
                outcome.append(error.close_code)

    async with running(handler) as run, await dial_and_shake(run.server.port) as peer:
        await wait_all_tasks_blocked()
        run.stop()
        assert await peer.read_close() == GOODBYE
        await peer.send(close(1001))
        assert await peer.read_rest() == b""
        await peer.stream.aclose()
        await wait_all_tasks_blocked()
        assert not run.ended.is_set()
        go_on.set()
        await run.ended.wait()
    assert outcome == [1001]


@pytest.mark.parametrize("what", ["websocket", "half a head", "nothing", "refused"])
async def test_shutdown_is_bounded(
    transport, memory, autojump_clock, no_errors_logged, what
) -> None:
    options = {"listeners": [memory], "timeouts": Timeouts(shutdown=3, handshake=60)}
    async with running(park, **options) as run, Peer(memory.connect()) as peer:
        if what == "websocket":
            await peer.shake()
        elif what == "half a head":
            await peer.send(upgrade_request()[:20])
        elif what == "refused":
            await peer.send(upgrade_request(without=("Host",)))
        await wait_all_tasks_blocked()
        started = trio.current_time()
        run.stop()
        await run.ended.wait()
        assert trio.current_time() - started < 3.1
        await peer.read_rest()


async def test_goodbye_to_all_shares_one_deadline(
    transport, memory, autojump_clock
) -> None:
    options = {"listeners": [memory], "timeouts": Timeouts(shutdown=3)}
    async with running(park, **options) as run:
        peers = [Peer(memory.connect()) for _ in range(10)]
        for peer in peers:
            await peer.shake()
        run.stop()
        started = trio.current_time()
        await run.ended.wait()
        assert 3 <= trio.current_time() - started < 3.1
        for peer in peers:
            assert await peer.read_close() == GOODBYE
            assert await peer.read_rest() == b""


async def test_on_close_is_called_for_all(transport, memory, autojump_clock) -> None:
    closed = []

    class Handler(EventHandler):
        def on_close(self, ws) -> None:
            closed.append((ws.close_code, ws.close_reason))

    options = {"listeners": [memory], "timeouts": Timeouts(shutdown=3)}
    async with running(Handler(), **options) as run:
        polite, silent = Peer(memory.connect()), Peer(memory.connect())
        await polite.shake()
        await silent.shake()
        await wait_all_tasks_blocked()
        run.stop()
        assert await polite.read_close() == GOODBYE
        await polite.send(close(1001))
        await wait_all_tasks_blocked()
        assert closed == [(1001, "")]
        await run.ended.wait()
    assert closed[1:] == [(1006, "the server has shut down")]


async def test_messages_of_a_handler_before_it_is_cancelled_are_sent(
    transport,
) -> None:
    async with running(echo) as run, await dial_and_shake(run.server.port) as peer:
        await peer.send(Frame(TEXT, b"hello"))
        assert await peer.read_frame() == Frame(TEXT, b"hello")
        run.stop()
        assert await peer.read_close() == GOODBYE


async def test_new_connections_are_refused_meanwhile(transport) -> None:
    async with running(park) as run, await dial_and_shake(run.server.port) as peer:
        port = run.server.port
        run.stop()
        assert await peer.read_close() == GOODBYE
        with pytest.raises(OSError, match="all attempts"):
            await dial(port)
        assert run.server.addresses == ()
        assert repr(run.server) == "<Server, stopped>"


# --- in turns ---------------------------------------------------------------


async def watch(look: Callable[[], int], seen: set[int], last: int) -> None:
    """Note what a task beside the server sees, until it is the last."""
    while last not in seen:
        seen.add(look())
        await trio.lowlevel.checkpoint()


async def test_others_run_while_many_are_told_1001(
    transport, monkeypatch, no_errors_logged
) -> None:
    # A turn for each of them, as on a slow machine.
    monkeypatch.setattr(scopes, "SLICE_SECONDS", 0)
    async with running(EventHandler()) as run:
        peers = [await dial_and_shake(run.server.port) for _ in range(10)]
        sockets = tuple(run.server.connections)
        seen: set[int] = set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                watch, lambda: sum(ws.state != "open" for ws in sockets), seen, 10
            )
            run.stop()
        assert len(seen) >= 5
        for peer in peers:
            assert await peer.read_close() == GOODBYE
            await trio.aclose_forcefully(peer.stream)


async def test_others_run_while_many_are_given_up(
    transport, monkeypatch, autojump_clock
) -> None:
    monkeypatch.setattr(scopes, "SLICE_SECONDS", 0)
    over: list[object] = []

    class Handler(EventHandler):
        def on_close(self, ws: WebSocket) -> None:
            over.append(ws)
            begun.set()

    begun = trio.Event()
    async with running(Handler(), timeouts=Timeouts(shutdown=3)) as run:
        peers = [await dial_and_shake(run.server.port) for _ in range(10)]
        run.stop()
        await begun.wait()
        seen: set[int] = set()
        await watch(lambda: len(over), seen, 10)
        assert len(seen) >= 5
        for peer in peers:
            await trio.aclose_forcefully(peer.stream)


async def test_handlers_are_cancelled_group_by_group(
    transport, monkeypatch, no_errors_logged
) -> None:
    monkeypatch.setattr(handlers, "GROUP", 3)
    cancelled: list[object] = []

    async def handler(ws: WebSocket) -> None:
        if await ws.receive() == "quit":
            return
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(ws)

    async with running(handler) as run:
        peers = []
        for word in [b"quit"] * 9 + [b"stay"] * 10 + [b"quit"] * 9 + [b"stay"] * 5:
            peer = await dial_and_shake(run.server.port)
            await peer.send(Frame(TEXT, word))
            if word == b"quit":
                assert await peer.read_close() == (1000, "")
                await trio.aclose_forcefully(peer.stream)
            else:
                peers.append(peer)
        await wait_all_tasks_blocked()
        seen: set[int] = set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, lambda: len(cancelled), seen, 15)
            run.stop()
        assert len(seen) >= 4
        for peer in peers:
            assert await peer.read_close() == GOODBYE
            await trio.aclose_forcefully(peer.stream)
