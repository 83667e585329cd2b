"""`Server.drain`: no new clients, and time for those that are here."""

from __future__ import annotations

import socket

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.handlers import Echo, echo
from tests.serving import Running, running
from tests.wire import (
    Peer,
    close,
    dial,
    dial_unix,
    plain_request,
    text,
    upgrade_request,
)
from trio_fastws import Limits, Listen, Response, Timeouts, WebSocket

pytestmark = pytest.mark.usefixtures("transport")

GOODBYE = (1001, "the server is shutting down")


class Draining:
    """A call of `drain` in a task of its own."""

    def __init__(self, nursery: trio.Nursery, run: Running) -> None:
        self.over = trio.Event()
        self.scope = trio.CancelScope()
        self._server = run.server
        nursery.start_soon(self._drain)

    async def _drain(self) -> None:
        with self.scope:
            await self._server.drain()
            self.over.set()

    async def goes_on(self) -> bool:
        await wait_all_tasks_blocked()
        return not self.over.is_set()


async def dial_and_shake(port: int) -> Peer:
    peer = await dial(port)
    await peer.shake()
    return peer


async def echoes(peer: Peer) -> bool:
    await peer.send(text("still here"))
    return await peer.read_frame() == text("still here")


@pytest.mark.parametrize("handler", [echo, Echo()])
async def test_who_is_here_goes_on_and_nobody_else_comes(
    nursery, no_errors_logged, handler
) -> None:
    async with running(handler) as run:
        port = run.server.port
        one, other = await dial_and_shake(port), await dial_and_shake(port)
        drain = Draining(nursery, run)
        assert await drain.goes_on()
        with pytest.raises(OSError, match="all attempts"):
            await dial(port)
        assert run.server.addresses == ()
        with pytest.raises(RuntimeError, match=r"on 0 TCP ports.* it has stopped"):
            _ = run.server.port
        assert repr(run.server) == "<Server, stopped>"
        for peer in (one, other):
            assert await echoes(peer)
            assert await drain.goes_on()
            await peer.finish()
            await peer.aclose()
        await drain.over.wait()
        await wait_all_tasks_blocked()
        assert not run.ended.is_set()
        await run.server.aclose()
        await run.ended.wait()
        assert run.returned


async def test_handshakes_in_progress_become_connections(
    nursery, no_errors_logged
) -> None:
    async with running(echo) as run, await dial(run.server.port) as peer:
        await peer.send(upgrade_request()[:-2])
        await wait_all_tasks_blocked()
        drain = Draining(nursery, run)
        assert await drain.goes_on()
        await peer.send(b"\r\n")
        assert b" 101 " in await peer.read_head()
        assert await echoes(peer)
        assert await drain.goes_on()
        await peer.finish()
        await drain.over.wait()


async def test_so_do_those_that_wait_for_a_decision(nursery, no_errors_logged) -> None:
    decide = trio.Event()

    async def on_request(request) -> None:
        await decide.wait()

    async with running(echo, on_request=on_request) as run:
        async with await dial(run.server.port) as peer:
            await peer.send(upgrade_request())
            await wait_all_tasks_blocked()
            drain = Draining(nursery, run)
            assert await drain.goes_on()
            decide.set()
            assert b" 101 " in await peer.read_head()
            assert await echoes(peer)
            await peer.finish()
        await drain.over.wait()


async def test_an_answer_is_written_to_its_end(nursery, memory) -> None:
    page = b"x" * 1_000_000
    options = {"listeners": [memory], "on_request": lambda _: Response(200, body=page)}
    async with running(echo, **options) as run, Peer(memory.connect()) as peer:
        await peer.send(plain_request())
        await peer.read_head()
        drain = Draining(nursery, run)
        assert await peer.read_rest() == page
        await drain.over.wait()
        assert memory.closed


async def test_a_handshake_that_is_given_up_is_not_waited_for(
    nursery, memory, autojump_clock
) -> None:
    options = {"listeners": [memory], "timeouts": Timeouts(handshake=3)}
    async with running(echo, **options) as run, Peer(memory.connect()) as peer:
        await peer.send(upgrade_request()[:10])
        await wait_all_tasks_blocked()
        started = trio.current_time()
        await run.server.drain()
        assert 3 <= trio.current_time() - started < 3.2


@pytest.mark.parametrize("secure", [False, True])
async def test_who_the_kernel_has_accepted_sees_no_reset(
    nursery, no_errors_logged, secure, server_tls, client_tls
) -> None:
    options = {"limits": Limits(pending_handshakes=500)}
    if secure:
        options["ssl_context"] = server_tls
    async with running(echo, **options) as run:
        peers = []
        # In one step: the server has seen none of them.
        for _ in range(150):
            sock = socket.create_connection(("127.0.0.1", run.server.port))
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
            if secure:
                stream = trio.SSLStream(stream, client_tls, server_hostname="127.0.0.1")
            peers.append(Peer(stream))
        assert run.server.statistics().handshakes == 0
        drain = Draining(nursery, run)
        await trio.lowlevel.checkpoint()
        for peer in peers:
            await peer.shake()
            assert await echoes(peer)
        assert len(run.server.connections) == 150
        assert await drain.goes_on()
        for peer in peers:
            await trio.aclose_forcefully(peer.stream)
        await drain.over.wait()


async def test_cancelled_it_has_stopped_accepting_and_the_others_live_on(
    memory, autojump_clock, no_errors_logged
) -> None:
    options = {"listeners": [memory], "timeouts": Timeouts(ping_interval=None)}
    async with running(echo, **options) as run, Peer(memory.connect()) as peer:
        await peer.shake()
        with trio.move_on_after(60) as scope:
            await run.server.drain()
        assert scope.cancelled_caught
        assert memory.closed
        assert await echoes(peer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.server.aclose)
            assert await peer.read_close() == GOODBYE
            await peer.send(close(1001))
            await peer.aclose()
        await run.ended.wait()
        assert run.returned


async def test_cancelled_before_it_began_it_has_stopped_accepting_too() -> None:
    async with running(echo) as run, await dial_and_shake(run.server.port) as peer:
        port = run.server.port
        with trio.CancelScope() as scope:
            scope.cancel()
            await run.server.drain()
        assert scope.cancelled_caught
        await wait_all_tasks_blocked()
        with pytest.raises(OSError, match="all attempts"):
            await dial(port)
        assert await echoes(peer)


async def test_it_may_be_called_again_and_by_several(nursery) -> None:
    async with running(echo) as run, await dial_and_shake(run.server.port) as peer:
        first = Draining(nursery, run)
        assert await first.goes_on()
        first.scope.cancel()
        second, third = Draining(nursery, run), Draining(nursery, run)
        assert await second.goes_on()
        assert await third.goes_on()
        await peer.finish()
        await second.over.wait()
        await third.over.wait()
        with assert_checkpoints():
            await run.server.drain()


@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_it_returns_when_the_server_ends(nursery, how) -> None:
    async with running(echo) as run, await dial_and_shake(run.server.port) as peer:
        drain = Draining(nursery, run)
        assert await drain.goes_on()
        if how == "aclose":
            nursery.start_soon(run.server.aclose)
        else:
            run.stop()
        assert await peer.read_close() == GOODBYE
        await peer.send(close(1001))
        await drain.over.wait()
        await peer.aclose()
        await run.ended.wait()
        with assert_checkpoints():
            await run.server.drain()


async def test_the_end_of_a_listener_is_not_logged(caplog, memory) -> None:
    caplog.set_level("DEBUG", "trio_fastws")
    async with running(echo, listeners=[memory]) as run:
        await run.server.drain()
        await wait_all_tasks_blocked()
        assert memory.closed
    assert caplog.records == []


async def test_a_connection_that_was_accepted_before_is_no_surprise(
    memory, no_errors_logged
) -> None:
    handlers = []

    async def handler(ws: WebSocket) -> None:
        handlers.append(ws)
        await ws.wait_closed()

    async with running(handler, listeners=[memory]) as run:
        peer = Peer(memory.connect())
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.server.drain)
            await wait_all_tasks_blocked()
            await peer.shake()
            await peer.finish()
    assert len(handlers) == 1


async def test_the_next_process_takes_over_the_path_of_a_unix_socket(
    nursery, tmp_path, no_errors_logged
) -> None:
    path = tmp_path / "socket"
    async with running(echo, port=Listen(unix=path), host=None) as run:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        drain = Draining(nursery, run)
        assert await drain.goes_on()
        # Whom the kernel had accepted is served; others go to the next one.
        early = Peer(trio.SocketStream(trio.socket.from_stdlib_socket(sock)))
        await early.shake()
        assert await echoes(early)
        with pytest.raises(OSError, match="refused"):
            await dial_unix(path)
        async with running(echo, port=Listen(unix=path), host=None) as following:
            await early.finish()
            await early.aclose()
            await drain.over.wait()
            await run.server.aclose()
            await run.ended.wait()
            async with await dial_unix(path) as late:
                await late.shake()
                assert await echoes(late)
                assert len(following.server.connections) == 1
