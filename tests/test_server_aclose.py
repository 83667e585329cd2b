"""`Server.aclose`: the end of a server as cancelling it, but with a return."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.handlers import Keeper, echo
from tests.serving import running
from tests.wire import Peer, close, dial, text, upgrade_request
from trio_fastws import EventHandler, Timeouts, WebSocket

pytestmark = pytest.mark.usefixtures("transport")

GOODBYE = (1001, "the server is shutting down")


async def answer(peer: Peer, expected: tuple[int, str]) -> None:
    assert await peer.read_close() == expected
    await peer.send(close(expected[0]))
    assert await peer.read_rest() == b""


async def dial_and_shake(port: int) -> Peer:
    peer = await dial(port)
    await peer.shake()
    return peer


async def test_everybody_is_told_why_and_serving_returns(no_errors_logged) -> None:
    async with running(echo) as run:
        peers = [await dial_and_shake(run.server.port) for _ in range(3)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.server.aclose, 1012, "restarting")
            for peer in peers:
                nursery.start_soon(answer, peer, (1012, "restarting"))
        # It returns when all is over.
        assert len(run.server.connections) == 0
        await run.ended.wait()
        assert run.returned
        for peer in peers:
            await peer.aclose()


async def test_by_default_it_says_what_cancelling_says(no_errors_logged) -> None:
    async with running(echo) as run, await dial_and_shake(run.server.port) as peer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.server.aclose)
            await answer(peer, GOODBYE)
        await run.ended.wait()
        assert run.returned


async def test_what_was_sent_leaves_before_it() -> None:
    class Greet(EventHandler):
        def on_open(self, ws) -> None:
            ws.send_nowait("welcome")

    async with running(Greet()) as run, await dial_and_shake(run.server.port) as peer:
        (ws,) = run.server.connections
        ws.send_nowait("last")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.server.aclose, 4000, "bye")
            assert await peer.read_frame() == text("welcome")
            assert await peer.read_frame() == text("last")
            await answer(peer, (4000, "bye"))


async def test_handshakes_in_progress_get_503(no_errors_logged) -> None:
    async with running(echo) as run, await dial(run.server.port) as peer:
        await peer.send(upgrade_request()[:-2])
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.server.aclose)
            assert (await peer.read_head()).startswith(b"HTTP/1.1 503 ")
            await peer.read_rest()
            await peer.aclose()
        await run.ended.wait()
        assert run.returned


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((1005,), ValueError),
        ((999,), ValueError),
        ((1000, "x" * 124), ValueError),
        (("1000",), TypeError),
        ((1000, b"bytes"), TypeError),
    ],
)
async def test_what_cannot_be_sent_is_refused_at_once(arguments, error) -> None:
    async with running(echo) as run, await dial_and_shake(run.server.port) as peer:
        with pytest.raises(error):
            await run.server.aclose(*arguments)
        await peer.send(text("still here"))
        assert await peer.read_frame() == text("still here")


async def test_whoever_calls_it_again_waits_for_the_same_end(no_errors_logged) -> None:
    ended = []

    async def end(server, *arguments) -> None:
        await server.aclose(*arguments)
        ended.append(arguments)

    async with running(echo) as run, await dial_and_shake(run.server.port) as peer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end, run.server, 1012, "first")
            await wait_all_tasks_blocked()
            nursery.start_soon(end, run.server, 4000, "second")
            assert await peer.read_close() == (1012, "first")
            await wait_all_tasks_blocked()
            assert ended == []
            await peer.send(close(1012))
            await peer.aclose()
        assert len(ended) == 2
        await run.ended.wait()
        with assert_checkpoints():
            await run.server.aclose(4000)


async def test_after_cancelling_it_waits_for_that_end(no_errors_logged) -> None:
    async with running(echo) as run, await dial_and_shake(run.server.port) as peer:
        run.stop()
        assert await peer.read_close() == GOODBYE
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.server.aclose, 4000, "too late")
            await wait_all_tasks_blocked()
            assert not run.ended.is_set()
            await peer.send(close(1001))
            await peer.aclose()
        assert not run.returned


async def test_cancelling_the_server_meanwhile_changes_nothing(
    no_errors_logged,
) -> None:
    async with running(echo) as run, await dial_and_shake(run.server.port) as peer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.server.aclose, 1012, "restarting")
            await wait_all_tasks_blocked()
            run.stop()
            await wait_all_tasks_blocked()
            assert not run.ended.is_set()
            await answer(peer, (1012, "restarting"))
            await peer.aclose()
        await run.ended.wait()


async def test_cancelled_it_waits_no_longer_and_the_server_goes_on_to_end(
    memory, autojump_clock
) -> None:
    options = {"listeners": [memory], "timeouts": Timeouts(shutdown=3)}
    async with running(echo, **options) as run, Peer(memory.connect()) as peer:
        await peer.shake()
        started = trio.current_time()
        with trio.move_on_after(1) as scope:
            await run.server.aclose()
        assert scope.cancelled_caught
        assert trio.current_time() - started == 1
        assert not run.ended.is_set()
        await run.ended.wait()
        assert run.returned
        assert 3 <= trio.current_time() - started < 3.1
        assert await peer.read_close() == GOODBYE


async def test_who_does_not_answer_is_not_waited_for_longer(
    memory, autojump_clock
) -> None:
    options = {"listeners": [memory], "timeouts": Timeouts(shutdown=3)}
    async with running(echo, **options) as run, Peer(memory.connect()) as peer:
        await peer.shake()
        started = trio.current_time()
        await run.server.aclose()
        assert 3 <= trio.current_time() - started < 3.1
        assert await peer.read_close() == GOODBYE
        assert await peer.read_rest() == b""


@pytest.mark.parametrize("where", ["handler", "task", "hook's task"])
async def test_a_handler_that_calls_it_is_cancelled_in_it(
    no_errors_logged, where
) -> None:
    cancelled = []

    async def end() -> None:
        try:
            await run.server.aclose(4001, "by request")
        except trio.Cancelled:
            cancelled.append(where)
            raise

    async def handler(ws: WebSocket) -> None:
        await ws.receive()
        if where == "task":
            ws.start_soon(end)
            await trio.sleep_forever()
        await end()

    class Hooks(EventHandler):
        def on_message(self, ws, message) -> None:
            ws.start_soon(end)

    served = Hooks() if where == "hook's task" else handler
    async with running(served) as run:
        async with await dial_and_shake(run.server.port) as peer:
            await peer.send(text("quit"))
            await answer(peer, (4001, "by request"))
        await run.ended.wait()
        assert run.returned
    assert cancelled == [where]


async def test_on_request_may_call_it(no_errors_logged) -> None:
    async def on_request(request) -> None:
        await run.server.aclose()

    async with running(echo, on_request=on_request) as run:
        async with await dial(run.server.port) as peer:
            await peer.send(upgrade_request())
            assert (await peer.read_head()).startswith(b"HTTP/1.1 503 ")
        await run.ended.wait()
        assert run.returned


async def test_a_server_that_ends_in_another_way_lets_it_go(memory) -> None:
    class Exit(EventHandler):
        def on_close(self, ws) -> None:
            raise SystemExit(3)

    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012 - one story
        async with running(Exit(), listeners=[memory]) as run:
            peer = Peer(memory.connect())
            await peer.shake()
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(run.server.aclose)
                    assert await peer.read_close() == GOODBYE
                    await peer.send(close(1001))
    assert caught.group_contains(SystemExit)


async def test_nothing_is_left_of_it(no_errors_logged) -> None:
    keeper = Keeper()
    async with running(keeper) as run:
        port = run.server.port
        async with await dial_and_shake(port) as peer:
            ws = await keeper.next()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run.server.aclose)
                await answer(peer, GOODBYE)
            assert ws.state == "closed"
        assert run.server.addresses == ()
        assert repr(run.server) == "<Server, stopped>"
        with pytest.raises(OSError, match="all attempts"):
            await dial(port)


async def test_another_thread_is_refused(serve) -> None:
    server = await serve(echo)
    for call in (server.aclose, server.drain):
        with pytest.raises(RuntimeError, match="thread of its trio run"):
            await trio.to_thread.run_sync(trio.run, call)
    async with await dial_and_shake(server.port) as peer:
        await peer.send(text("still here"))
        assert await peer.read_frame() == text("still here")
