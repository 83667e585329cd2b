"""Peers that go while nobody receives what they have sent.

Reading is paused then, by `Limits.receive_buffer` or by hand, and their end lies
behind what is unread. Whoever is gone is let go all the same; whoever only ended
its own direction, and reads on, is served.
"""

from __future__ import annotations

import pytest
import trio
from trio.testing import lockstep_stream_pair, wait_all_tasks_blocked

from tests.handlers import Keeper
from tests.serving import pair, serving
from tests.wire import (
    BINARY,
    PING,
    Frame,
    Peer,
    binary,
    close,
    masked,
    socket_pair,
    text,
)
from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    Limits,
    Sending,
    Timeouts,
    open_websocket,
)

TIMEOUTS = Timeouts(ping_interval=1, ping_timeout=1, close=1)
MESSAGE = bytes(60_000)


class Deaf(EventHandler):
    """Hooks that stop reading at once."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.codes: list[object] = []
        self.over = trio.Event()

    def on_open(self, ws) -> None:
        ws.pause_reading()

    def on_close(self, ws) -> None:
        self.codes.append(ws.close_code)
        if len(self.codes) == self.count:
            self.over.set()


async def go(peer: Peer, how: str) -> None:
    """End a peer's side, so or so."""
    if how == "reset":
        peer.reset()
        return
    if how == "close":
        await peer.send(close(1000))
    await peer.stream.aclose()


@pytest.mark.parametrize("how", ["end", "close", "reset"])
@pytest.mark.parametrize("size", [1, 3, 5, 20])
async def test_peers_that_nobody_hears_are_let_go(
    transport, autojump_clock, how, size
) -> None:
    tasks = set()
    over = trio.Event()

    async def push(ws) -> None:
        tasks.add(ws)
        ws.start_soon(trio.sleep_forever)
        try:
            await trio.sleep_forever()
        finally:
            tasks.discard(ws)
            if not tasks:
                over.set()

    options = {"timeouts": TIMEOUTS, "sending": Sending(on_disconnect="cancel")}
    async with serving(push, **options) as site:
        peers = [await site.dial() for _ in range(5)]
        async with trio.open_nursery() as nursery:
            for peer in peers:
                # As much as the kernel takes: nobody reads it.
                nursery.start_soon(peer.send, masked(binary(MESSAGE)) * size)
            await wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()
        assert len(tasks) == 5
        for peer in peers:
            with trio.move_on_after(1):
                await go(peer, how)
            await trio.aclose_forcefully(peer.stream)
        with trio.fail_after(10):
            await over.wait()
        await wait_all_tasks_blocked(0.01)
        assert not site.server.connections


@pytest.mark.parametrize("how", ["end", "close", "reset"])
@pytest.mark.parametrize("interval", [1, None])
async def test_hooks_that_paused_reading_are_told(
    autojump_clock, how, interval
) -> None:
    handler = Deaf(5)
    timeouts = Timeouts(ping_interval=interval, ping_timeout=1, close=1)
    async with serving(handler, timeouts=timeouts) as site:
        for _ in range(5):
            peer = await site.dial()
            await peer.send(Frame(BINARY, b"unread"))
            await go(peer, how)
        with trio.fail_after(10):
            await handler.over.wait()
        assert handler.codes == [1006] * 5
        assert not site.server.connections


async def test_what_a_peer_sent_before_it_went_can_be_received_after(
    autojump_clock,
) -> None:
    async with pair(timeouts=TIMEOUTS) as (ws, peer):
        await peer.send(*(Frame(BINARY, b"%d" % n * 60_000) for n in range(5)))
        await wait_all_tasks_blocked(0.01)
        await peer.send(close(1000, "done"))
        await peer.stream.aclose()
        with trio.fail_after(10):
            await ws.wait_closed()
        # Nothing was lost, not even the code, and no descriptor is held for it.
        assert ws.local_address is None
        assert ws.close_code == 1000
        for number in range(5):
            assert await ws.receive() == b"%d" % number * 60_000
        with pytest.raises(trio.EndOfChannel):
            await ws.receive()


async def test_more_than_is_kept_is_there_as_long_as_somebody_receives(
    autojump_clock,
) -> None:
    limits = Limits(receive_buffer=1000)
    async with pair(timeouts=TIMEOUTS, limits=limits) as (ws, peer):
        await peer.send(*(Frame(BINARY, b"%d" % n * 900) for n in range(9)))
        await wait_all_tasks_blocked(0.01)
        peer.reset()
        for number in range(9):
            # Each of them just in time.
            await trio.sleep(0.9)
            assert await ws.receive() == b"%d" % number * 900
        with pytest.raises(ConnectionBroken):
            await ws.receive()


async def test_more_than_is_kept_goes_when_nobody_receives(autojump_clock) -> None:
    limits = Limits(receive_buffer=1000)
    async with pair(timeouts=TIMEOUTS, limits=limits) as (ws, peer):
        await peer.send(*(Frame(BINARY, b"%d" % n * 900) for n in range(9)))
        await wait_all_tasks_blocked(0.01)
        peer.reset()
        with trio.fail_after(2):
            await ws.wait_closed()
        assert "nothing received for 1 s (Timeouts.close)" in ws.close_reason
        for number in range(3):  # over twice the receive buffer, with overhead
            assert await ws.receive() == b"%d" % number * 900
        with pytest.raises(ConnectionBroken, match="nothing received"):
            await ws.receive()


@pytest.mark.parametrize("pauses", ["inbox", "user"])
async def test_a_peer_that_ended_its_direction_and_reads_on_is_served(
    transport, autojump_clock, pauses
) -> None:
    limits = Limits(receive_buffer=20_000)
    async with pair(timeouts=TIMEOUTS, limits=limits) as (ws, peer):
        if pauses == "user":
            ws.pause_reading()
        for number in range(4):
            await peer.send(Frame(BINARY, b"%d" % number * 10_000))
        await wait_all_tasks_blocked(0.01)
        await peer.send_eof()
        for number in range(5):
            await trio.sleep(7)
            await ws.send(f"news {number}")
            frames = [await peer.read_frame()]
            while frames[-1].opcode == PING:
                frames.append(await peer.read_frame())
            assert frames[-1] == text(f"news {number}")
            assert {frame.opcode for frame in frames[:-1]} == {PING}
        assert ws.state == "open"
        ws.resume_reading()
        for number in range(4):
            assert await ws.receive() == b"%d" % number * 10_000
        with pytest.raises(ConnectionBroken):
            await ws.receive()


async def test_a_peer_that_only_reads_later_is_served_then(autojump_clock) -> None:
    # Both sides are slow: what we send waits in the kernels meanwhile.
    timeouts = Timeouts(ping_interval=1, ping_timeout=1, write_stall=None)
    limits = Limits(receive_buffer=1000)
    ours, theirs = socket_pair(False)
    peer = Peer(theirs)
    async with peer, trio.open_nursery() as nursery:
        nursery.start_soon(peer.welcome)
        async with open_websocket(
            "ws://localhost/", stream=ours, timeouts=timeouts, limits=limits
        ) as ws:
            await peer.send(Frame(BINARY, bytes(2000)))
            await wait_all_tasks_blocked(0.01)
            await ws.send(bytes(300_000))
            await trio.sleep(100)
            assert ws.state == "open"
            while (received := await peer.read_frame()).opcode == PING:
                pass
            assert received == Frame(BINARY, bytes(300_000))
            assert await ws.receive() == bytes(2000)


async def test_a_peer_behind_a_tunnel_that_takes_nothing_is_given_up(
    memory, connect, autojump_clock
) -> None:
    timeouts = Timeouts(ping_interval=10, ping_timeout=5)
    ws, _ = await connect(
        memory.connect(lockstep_stream_pair), listeners=[memory], timeouts=timeouts
    )
    ws.pause_reading()
    started = trio.current_time()
    await ws.wait_closed()
    assert trio.current_time() - started < 10 + 5 + 0.1
    reason = (
        "the peer acknowledged no byte for 5 s after a ping (Timeouts.ping_timeout)"
    )
    assert ws.close_reason == reason


async def test_a_client_lets_a_server_go_that_it_does_not_hear(
    autojump_clock,
) -> None:
    keeper = Keeper()
    async with serving(keeper) as site:
        url = f"ws://127.0.0.1:{site.server.port}/"
        async with open_websocket(url, timeouts=TIMEOUTS) as ws:
            server = await keeper.next()
            for _ in range(10):
                await server.send(MESSAGE)
            await wait_all_tasks_blocked(0.01)
            with trio.CancelScope() as scope:
                scope.cancel()
                await server.aclose()  # cancelled: TCP ends at once
            with trio.fail_after(10):
                await ws.wait_closed()
            for _ in range(8):
                assert await ws.receive() == MESSAGE
            assert ws.close_code == 1006
