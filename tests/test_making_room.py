"""Too many handshakes: the oldest makes room, and a newcomer never waits."""

from __future__ import annotations

import pytest
import trio
from trio.testing import lockstep_stream_pair, wait_all_tasks_blocked

from tests.handlers import hold
from tests.wire import (
    Peer,
    dial,
    plain_request,
    upgrade_request,
)
from trio_fastws import Limits, Request, Response


async def entered(server, count: int) -> None:
    """Wait until the server knows so many handshakes."""
    while server.statistics().handshakes < count:
        await trio.lowlevel.checkpoint()


async def ended(peer: Peer) -> bool:
    """Return whether a peer's connection ends without a word."""
    try:
        return await peer.read_rest() == b""
    except trio.BrokenResourceError:
        return True


async def test_the_oldest_silent_handshake_makes_room(
    transport, serve, no_errors_logged
) -> None:
    server = await serve(hold, limits=Limits(pending_handshakes=2))
    async with await dial(server.port) as one, await dial(server.port) as two:
        await entered(server, 1)
        await two.send(upgrade_request()[:20])
        await entered(server, 2)
        async with await dial(server.port) as three:
            assert b" 101 " in await three.shake()
            assert await ended(one)
            await two.send(upgrade_request()[20:])
            assert b" 101 " in await two.read_head()
            assert server.statistics().handshakes_dropped == 1
    texts = [record.getMessage() for record in no_errors_logged.records]
    room = "the oldest of too many handshakes makes room"
    assert [text for text in texts if text.startswith(room)]


async def test_a_newcomer_is_served_at_once_however_many_are_silent(
    transport, serve, memory, autojump_clock, no_errors_logged
) -> None:
    server = await serve(hold, listeners=[memory], limits=Limits(pending_handshakes=10))
    silent = [Peer(memory.connect()) for _ in range(100)]
    for _ in range(3):
        await wait_all_tasks_blocked()
        assert server.statistics().handshakes <= 10
        async with Peer(memory.connect()) as peer:
            assert b" 101 " in await peer.shake()
    assert trio.current_time() < 1
    assert server.statistics().handshakes_dropped >= 90
    for peer in silent[:80]:
        assert await ended(peer)
    for peer in silent:
        await peer.stream.aclose()


async def test_a_request_that_is_there_is_read_before_its_peer_goes(serve) -> None:
    # One batch of accepts, in front of all reads: none of these is silent.
    server = await serve(hold, limits=Limits(pending_handshakes=1))
    peers = []
    for _ in range(20):
        peer = await dial(server.port)
        await peer.send(upgrade_request())
        peers.append(peer)
    for peer in peers:
        assert b" 101 " in await peer.read_head()
        await peer.stream.aclose()
    assert server.statistics().handshakes_dropped == 0


async def test_tls_handshakes_make_room_too(
    transport, serve, memory, server_tls, client_tls, no_errors_logged
) -> None:
    server = await serve(
        hold,
        listeners=[memory],
        ssl_context=server_tls,
        limits=Limits(pending_handshakes=3),
    )
    silent = [Peer(memory.connect()) for _ in range(9)]
    await wait_all_tasks_blocked()
    assert server.statistics().handshakes == 3
    stream = trio.SSLStream(
        memory.connect(), client_tls, server_hostname="localhost", https_compatible=True
    )
    async with Peer(stream) as peer:
        assert b" 101 " in await peer.shake()
    assert [await ended(peer) for peer in silent[:7]] == [True] * 7
    for peer in silent:
        await peer.stream.aclose()


async def test_who_waits_for_a_decision_is_the_last_to_make_room(
    transport, serve, memory, no_errors_logged
) -> None:
    go_on = trio.Event()
    cancelled = []

    async def on_request(request: Request) -> None:
        if request.path == "/slow":
            try:
                await go_on.wait()
            except trio.Cancelled:
                cancelled.append(request.query)
                raise

    options = {"listeners": [memory], "limits": Limits(pending_handshakes=2)}
    server = await serve(hold, on_request=on_request, **options)
    async with Peer(memory.connect()) as slow, Peer(memory.connect()) as silent:
        await slow.send(upgrade_request(target="/slow"))
        await wait_all_tasks_blocked()
        async with Peer(memory.connect()) as peer:
            assert b" 101 " in await peer.shake()
        assert await ended(silent)
        # With nobody else to go, the oldest of them does.
        async with Peer(memory.connect()) as later:
            await later.send(upgrade_request(target="/slow?later"))
            await wait_all_tasks_blocked()
            assert server.statistics().handshakes == 2
            async with Peer(memory.connect()) as peer:
                assert b" 101 " in await peer.shake()
            assert cancelled == [""]
            go_on.set()
            assert b" 101 " in await later.read_head()
        assert await ended(slow)
    assert server.statistics().handshakes == 0


@pytest.mark.parametrize("on_request", [None, lambda _: Response(200, body="page")])
async def test_refused_handshakes_and_pages_that_linger_are_bounded(
    transport, serve, memory, no_errors_logged, on_request
) -> None:
    options = {"listeners": [memory], "limits": Limits(pending_handshakes=5)}
    server = await serve(hold, on_request=on_request, **options)
    peers = []
    for _ in range(50):
        peer = Peer(memory.connect())
        peers.append(peer)
        await peer.send(plain_request())
        await peer.read_head()
        await wait_all_tasks_blocked()
    # Each has its answer, and none of them closes.
    for peer in peers[:45]:
        await peer.read_rest()
        with pytest.raises(trio.BrokenResourceError):
            await peer.send(b"still here")
    for peer in peers[45:]:
        await peer.send(b"still here")
    async with Peer(memory.connect()) as peer:
        assert b" 101 " in await peer.shake() or on_request is not None
    assert server.statistics().handshakes_dropped >= 45
    for peer in peers:
        await peer.stream.aclose()


async def test_pages_that_nobody_reads_make_room(
    transport, serve, memory, no_errors_logged
) -> None:
    options = {"listeners": [memory], "limits": Limits(pending_handshakes=3)}
    body = bytes(1_000_000)
    server = await serve(hold, on_request=lambda _: Response(200, (), body), **options)
    peers = []
    for _ in range(9):
        peer = Peer(memory.connect(lockstep_stream_pair))
        peers.append(peer)
        await peer.send(plain_request())
        await wait_all_tasks_blocked()
        assert server.statistics().handshakes <= 3
    assert server.statistics().handshakes_dropped == 6
    await peers[-1].read_head()
    assert await peers[-1].read_rest() == body
    for peer in peers:
        await peer.stream.aclose()
