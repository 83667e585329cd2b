"""A peer that takes bytes is alive, even if it sends none: the kernel is asked.

Real sockets with small buffers and a mock clock: so much is read each second.
"""

from __future__ import annotations

import contextlib

import pytest
import trio

from tests.serving import pair
from tests.wire import (
    Peer,
    socket_pair,
)
from trio_fastws import ConnectionBroken, Timeouts, open_websocket

SIZE = 600_000
PACE = 10_000
# The kernel's own timers run in real time, of which a virtual second has little: an
# acknowledgement may come some of them later. And it is asked every 5 s, or 10.
SLACK = 60


async def read_slowly(stream: trio.abc.Stream, size: int) -> None:
    """Read so many bytes, some each second."""
    while size > 0:
        data = await stream.receive_some(min(size, PACE))
        assert data, "given up"
        size -= len(data)
        await trio.sleep(len(data) / PACE)


async def check_given_up(ws, reader, silent_for: int) -> None:
    """Send to a peer, which then neither reads on nor says anything."""
    await ws.send(bytes(SIZE * 2))
    await reader
    assert ws.state == "open"
    stopped = trio.current_time()
    with pytest.raises(ConnectionBroken) as caught:
        await ws.receive()
    assert trio.current_time() - stopped <= 20 + SLACK
    reason = caught.value.close_reason
    assert "20 s after it last took one of ours (Timeouts.ping_timeout)" in reason
    assert silent_for <= float(reason.split()[6]) < silent_for + 20 + SLACK


@pytest.mark.parametrize("kind", ["tcp", "unix", "tls"])
async def test_a_client_does_not_give_up_a_server_that_reads_slowly(
    transport, autojump_clock, kind, server_tls, client_tls
) -> None:
    ours, theirs = socket_pair(kind != "unix")
    if kind == "tls":
        theirs = trio.SSLStream(theirs, server_tls, server_side=True)
    peer = Peer(theirs)
    async with peer, trio.open_nursery() as nursery:
        nursery.start_soon(peer.welcome)
        scheme = "wss" if kind == "tls" else "ws"
        async with open_websocket(
            f"{scheme}://localhost/",
            stream=ours,
            ssl_context=client_tls if kind == "tls" else None,
        ) as ws:
            await check_given_up(ws, read_slowly(theirs, SIZE), 60)


async def test_a_server_does_not_give_up_a_client_that_reads_slowly(
    transport, autojump_clock
) -> None:
    async with pair(small=True, timeouts=Timeouts()) as (ws, peer):
        await check_given_up(ws, read_slowly(peer.stream, SIZE), 60)


async def test_a_peer_that_takes_a_little_has_not_stalled(
    transport, autojump_clock
) -> None:
    # The kernel asks for more when a third of its buffer is free: that is a minute.
    timeouts = Timeouts(ping_interval=None, write_stall=20)
    ours, theirs = socket_pair(True, send_buffer=2**20)
    peer = Peer(theirs)
    async with peer, trio.open_nursery() as nursery:
        nursery.start_soon(peer.welcome)
        url = "ws://localhost/"
        async with open_websocket(url, stream=ours, timeouts=timeouts) as ws:
            await ws.send(bytes(3_000_000))
            await read_slowly(theirs, SIZE)
            assert ws.state == "open"
            stopped = trio.current_time()
            words = r"took no byte for 20 s \(Timeouts\.write_stall\)"
            with pytest.raises(ConnectionBroken, match=words):
                await ws.receive()
            assert trio.current_time() - stopped <= 20 + SLACK


async def test_a_peer_that_has_everything_and_is_silent_is_given_up(
    transport, autojump_clock
) -> None:
    timeouts = Timeouts(ping_interval=10, ping_timeout=5)
    async with pair(timeouts=timeouts) as (ws, peer):
        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, peer)
            with contextlib.suppress(ConnectionBroken):
                while True:
                    # Pushing to a hung application is not answered either.
                    await ws.send(b"news")
                    await trio.sleep(0.5)
            nursery.cancel_scope.cancel()
        assert trio.current_time() - started < 10 + 5 + 0.6
        assert ws.close_reason.endswith("5 s after a ping (Timeouts.ping_timeout)")


async def drain(peer: Peer) -> None:
    while await peer.stream.receive_some(65536):
        pass


async def test_the_answer_to_a_ping_is_due_when_the_peer_can_have_read_it(
    transport, autojump_clock
) -> None:
    # Behind what it reads in 30 s; then it has its whole timeout.
    timeouts = Timeouts(ping_interval=10, ping_timeout=20)
    async with pair(small=True, timeouts=timeouts) as (ws, peer):
        await ws.send(bytes(300_000))
        await read_slowly(peer.stream, 300_000)
        read = trio.current_time()
        await ws.wait_closed()
        assert 15 <= trio.current_time() - read <= 20 + SLACK
