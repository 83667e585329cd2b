"""`Limits.total`: what all connections of a server hold together has a bound."""

from __future__ import annotations

import zlib

import pytest
import trio
import trio.testing
from trio.testing import wait_all_tasks_blocked

from tests.handlers import Echo, echo, hold
from tests.wire import (
    BINARY,
    CLOSE,
    TEXT,
    Frame,
    Peer,
    close,
    dial,
    masked,
)
from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    Limits,
    PerMessageDeflate,
    Request,
    Sending,
    Timeouts,
    open_websocket,
    upgrade,
)

MiB = 2**20
# A share of what is small enough here to be used up.
SMALL = Limits(total=MiB)
# And a time that is soon over: pressure is looked at 16 times a second.
QUIET = Timeouts(ping_interval=None, slow_consumer=3)
WHY = "out of memory for all connections (Limits.total): this one held"


def part(size: int) -> bytes:
    """Return a fragment: the rest of its message never comes."""
    return masked(Frame(BINARY, bytes(size), fin=False))


async def connect(memory, count: int) -> list[Peer]:
    peers = [Peer(memory.connect()) for _ in range(count)]
    for peer in peers:
        await peer.shake()
    return peers


async def trickle(peer: Peer, size: int) -> None:
    """Send fragments: the rest of their message never comes."""
    for opcode in (BINARY, *[0] * (size // 10_000 - 1)):
        await peer.send(Frame(opcode, bytes(10_000), fin=False))
        await wait_all_tasks_blocked()


async def settle(server) -> None:
    """Wait until a second of the server's clock has passed, or half of one."""
    await wait_all_tasks_blocked()
    await trio.sleep(0.5)


# --- what is counted --------------------------------------------------------


async def test_unfinished_messages_are_counted(
    transport, serve, memory, autojump_clock
) -> None:
    server = await serve(Echo(), listeners=[memory])
    one, two = await connect(memory, 2)
    assert server.statistics().bytes_held == 0
    await one.send(part(1000))
    await two.send(Frame(TEXT, b"x" * 500 + "\N{PILE OF POO}".encode(), fin=False))
    await wait_all_tasks_blocked()
    assert server.statistics().bytes_held == 1000 + 4 * 501
    await one.send(Frame(0, b"!"))
    assert await one.read_frame() == Frame(BINARY, bytes(1000) + b"!")
    await wait_all_tasks_blocked()
    assert server.statistics().bytes_held == 4 * 501
    await two.stream.aclose()
    await wait_all_tasks_blocked()
    assert server.statistics().bytes_held == 0


async def test_unread_messages_are_counted(
    transport, serve, memory, autojump_clock
) -> None:
    async def take_one(ws):
        await trio.sleep(1)
        await ws.receive()
        await ws.wait_closed()

    server = await serve(take_one, listeners=[memory])
    (peer,) = await connect(memory, 1)
    await peer.send(Frame(TEXT, b"x" * 100), Frame(BINARY, b"y" * 200))
    await wait_all_tasks_blocked()
    assert server.statistics().bytes_held == 100 + 64 + 200 + 64
    await trio.sleep(2)
    assert server.statistics().bytes_held == 200 + 64
    # The peer's end leaves them to the handler, whose own end does not.
    await peer.send(close(1000))
    assert await peer.read_close() == (1000, "")
    await trio.sleep(1)
    assert server.statistics().bytes_held == 0


async def test_what_waits_to_be_written_is_counted(
    transport, serve, memory, autojump_clock
) -> None:
    class Push(EventHandler):
        def on_message(self, ws, message):
            ws.send_nowait(bytes(500_000))

    server = await serve(Push(), listeners=[memory])
    make_pair = trio.testing.lockstep_stream_pair
    async with Peer(memory.connect(make_pair)) as peer:
        await peer.shake()
        await peer.send(Frame(TEXT, b"please"))
        await wait_all_tasks_blocked()
        # What the pump has taken is on its way.
        assert 300_000 < server.statistics().bytes_held < 500_000
        assert len((await peer.read_frame()).payload) == 500_000
        await wait_all_tasks_blocked()
        assert server.statistics().bytes_held == 0


@pytest.mark.parametrize("handler", [Echo(), hold, echo])
@pytest.mark.parametrize("how", ["close", "eof", "fail", "kick", "abort"])
async def test_nothing_is_counted_after_the_end(
    transport, serve, memory, autojump_clock, handler, how
) -> None:
    server = await serve(
        handler, listeners=[memory], timeouts=Timeouts(ping_interval=None, close=1)
    )
    (peer,) = await connect(memory, 1)
    await peer.send(Frame(BINARY, bytes(3000)), part(1000))
    await wait_all_tasks_blocked()
    assert server.statistics().bytes_held >= 1000
    (ws,) = server.connections
    if how == "close":
        await peer.send(Frame(0, b"end"), close(1000))
    elif how == "eof":
        await peer.stream.aclose()
    elif how == "fail":
        await peer.send(Frame(TEXT, b"in the middle"))
    elif how == "kick":
        ws.close_nowait(4000)
    else:
        with trio.CancelScope() as scope:
            scope.cancel()
            await ws.aclose()
    await trio.sleep(5)
    assert server.statistics().connections == 0
    assert server.statistics().bytes_held == 0


# --- the bound --------------------------------------------------------------


@pytest.mark.parametrize("handler", [Echo(), echo])
async def test_who_holds_much_waits_and_others_are_served(
    transport, serve, memory, autojump_clock, handler, caplog
) -> None:
    server = await serve(handler, listeners=[memory], limits=SMALL, timeouts=QUIET)
    big = await connect(memory, 8)
    (small,) = await connect(memory, 1)
    start = trio.current_time()
    async with trio.open_nursery() as senders:
        for peer in big:
            senders.start_soon(trickle, peer, 400_000)
    await settle(server)
    seen = server.statistics()
    assert 0.75 * MiB < seen.bytes_held < 1.5 * MiB
    assert 6 <= seen.paused_for_total <= 8
    while trio.current_time() < start + 2.5:
        await small.send(Frame(TEXT, b"hi"))
        assert await small.read_frame() == Frame(TEXT, b"hi")
        await trio.sleep(0.2)
        assert server.statistics().bytes_held < 2 * MiB
    assert server.statistics().closed_for_total == 0


async def test_who_does_not_get_below_its_share_is_closed(
    transport, serve, memory, autojump_clock, caplog
) -> None:
    timeouts = Timeouts(ping_interval=None)
    server = await serve(Echo(), listeners=[memory], limits=SMALL, timeouts=timeouts)
    peers = await connect(memory, 12)
    start = trio.current_time()
    for peer in peers:
        await peer.send(part(100_000))
    await settle(server)
    await trio.sleep(start + 9.5 - trio.current_time())
    assert server.statistics().closed_for_total == 0
    await trio.sleep(1)
    seen = server.statistics()
    assert seen.bytes_held <= 0.75 * MiB
    assert 4 <= seen.closed_for_total < 8  # no more than is needed
    await trio.sleep(1)
    assert server.statistics().paused_for_total == 0
    # Those that are left can finish; the others were let go of, a second after that.
    gone = 0
    for peer in peers:
        try:
            await peer.send(Frame(0, b"!"))
        except trio.BrokenResourceError:
            gone += 1
    assert gone == seen.closed_for_total
    answers = [await peer.read_frame() for peer in peers]
    finished = [a.payload for a in answers if a.opcode == BINARY]
    assert finished == [bytes(100_000) + b"!"] * (12 - seen.closed_for_total)
    reasons = {a.payload[2:].decode() for a in answers if a.opcode == CLOSE}
    assert reasons == {f"{WHY} 100000 bytes for 10 s"}
    # Told once, and not for each of them.
    assert len(caplog.records) == 1
    assert "Limits.total" in caplog.records[0].getMessage()


async def test_the_time_is_that_of_slow_consumers(
    transport, serve, memory, autojump_clock
) -> None:
    server = await serve(Echo(), listeners=[memory], limits=SMALL, timeouts=QUIET)
    peers = await connect(memory, 12)
    start = trio.current_time()
    for peer in peers:
        await peer.send(part(100_000))
    code, reason = await peers[0].read_close()
    assert (code, reason[-3:]) == (1013, "3 s")
    assert 3 <= trio.current_time() - start < 4
    assert server.statistics().closed_for_total > 0


async def test_messages_that_nobody_receives_are_dropped_with_their_connection(
    transport, serve, memory, autojump_clock
) -> None:
    ends = []

    async def late(ws):
        await trio.sleep(20)
        try:
            ends.append(len(await ws.receive()))
        except ConnectionBroken as error:
            ends.append(error.close_code)

    server = await serve(late, listeners=[memory], limits=SMALL)
    peers = await connect(memory, 3)
    for peer in peers:
        await peer.send(Frame(BINARY, bytes(380_000)))
    await trio.sleep(12)
    assert server.statistics().closed_for_total == 1
    assert server.statistics().bytes_held == 2 * (380_000 + 64)
    await trio.sleep(9)
    assert sorted(ends) == [1013, 380_000, 380_000]


@pytest.mark.parametrize("handler", [Echo(), echo])
@pytest.mark.parametrize("compressed", [False, True])
async def test_more_large_messages_than_fit_come_one_after_another(
    transport, serve, memory, autojump_clock, handler, compressed
) -> None:
    # Each of them needs a fourth of all, and there are forty.
    deflate = PerMessageDeflate(client_context_takeover=False) if compressed else None
    server = await serve(
        handler, listeners=[memory], limits=SMALL, timeouts=QUIET, deflate=deflate
    )
    message = bytes(250_000)
    most = 0

    async def client() -> None:
        nonlocal most
        stream = memory.connect()
        async with open_websocket(
            "ws://localhost", stream=stream, deflate=deflate, timeouts=QUIET
        ) as ws:
            async with ws.open_message() as outgoing:
                for start in range(0, len(message), 10_000):
                    await outgoing.write(message[start : start + 10_000])
                    most = max(most, server.statistics().bytes_held)
            assert await ws.receive() == message

    async with trio.open_nursery() as clients:
        for _ in range(40):
            clients.start_soon(client)
    assert 0.75 * MiB < most < 3 * MiB
    assert server.statistics().closed_for_total == 0
    await settle(server)
    assert server.statistics().bytes_held == 0


async def test_a_few_bytes_that_inflate_to_many_are_counted_as_those(
    transport, serve, memory, autojump_clock
) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    bomb = compressor.compress(bytes(MiB)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    unfinished = masked(Frame(BINARY, bomb, fin=False))
    unfinished = bytes([unfinished[0] | 0x40]) + unfinished[1:]
    server = await serve(
        Echo(),
        listeners=[memory],
        limits=Limits(total=4 * MiB),
        timeouts=QUIET,
        deflate=PerMessageDeflate(),
    )
    peers = [Peer(memory.connect()) for _ in range(30)]
    for peer in peers:
        await peer.shake("Sec-WebSocket-Extensions: permessage-deflate")
        await peer.send(unfinished)
    await trio.sleep(2)
    seen = server.statistics()
    assert 3 * MiB < seen.bytes_held < 6 * MiB
    assert seen.paused_for_total > 20
    await trio.sleep(2)
    assert server.statistics().closed_for_total > 0
    assert (await peers[0].read_close())[0] == 1013


async def test_a_peer_that_reads_is_not_closed_for_what_is_on_its_way(
    transport, serve, memory, autojump_clock
) -> None:
    class Push(EventHandler):
        def on_message(self, ws, message):
            for _ in range(10):
                ws.send_nowait(bytes(200_000))

    server = await serve(
        Push(),
        listeners=[memory],
        limits=SMALL,
        timeouts=QUIET,
        sending=Sending(hard_limit=16 * MiB),
    )
    make_pair = trio.testing.lockstep_stream_pair
    async with (
        Peer(memory.connect(make_pair)) as reads,
        Peer(memory.connect(make_pair)) as idles,
    ):
        for peer in (reads, idles):
            await peer.shake()
            await peer.send(Frame(TEXT, b"please"))
        while server.statistics().closed_for_total == 0:
            await reads.read_exactly(60_000)
            await trio.sleep(1)
        for _ in range(6):
            await reads.read_exactly(60_000)
            await trio.sleep(1)
        assert server.statistics().closed_for_total == 1
        assert server.statistics().connections >= 1


@pytest.mark.parametrize("handler", [Echo(), hold])
async def test_nothing_is_held_for_peers_that_are_gone(
    transport, serve, autojump_clock, handler
) -> None:
    # They reset their connections while they are held back.
    server = await serve(handler, limits=SMALL)
    peers = []
    for _ in range(12):
        peers.append(await dial(server.port))
        await peers[-1].shake()
        await peers[-1].send(part(100_000))
    while not server.statistics().paused_for_total:
        await trio.lowlevel.checkpoint()
    start = trio.current_time()
    for peer in peers:
        peer.reset()
    while server.statistics().connections:
        await trio.lowlevel.checkpoint()
    assert trio.current_time() == start
    assert server.statistics().bytes_held == 0
    assert server.statistics().closed_for_total == 0


async def test_who_is_gone_while_favoured_is_not_held_back(
    transport, serve, autojump_clock
) -> None:
    # The first ones are read from; then they are reset, with bytes left that nobody
    # has received, and it is the others' turn.
    server = await serve(hold, limits=Limits(total=MiB, receive_buffer=1000))
    peers = []
    for _ in range(12):
        peers.append(await dial(server.port))
        await peers[-1].shake()
        await peers[-1].send(Frame(BINARY, bytes(90_000)), part(90_000))
    await settle(server)
    for peer in peers:
        peer.reset()
    await trio.sleep(20)
    assert server.statistics().connections == 0
    assert server.statistics().bytes_held == 0


# --- one message ------------------------------------------------------------


async def test_a_message_larger_than_all_is_refused(
    transport, serve, memory, autojump_clock
) -> None:
    limits = Limits(total=200_000, message_size=None)
    server = await serve(Echo(), listeners=[memory], limits=limits)
    (peer,) = await connect(memory, 1)
    await peer.send(Frame(BINARY, bytes(100_000)))
    assert len((await peer.read_frame()).payload) == 100_000
    await peer.send(Frame(BINARY, bytes(300_000)))
    reason = "message takes more than 200000 bytes (Limits.total)"
    assert await peer.read_close() == (1009, reason)
    await peer.read_rest()
    assert server.statistics().bytes_held == 0


async def test_one_message_may_take_nearly_all(
    transport, serve, memory, autojump_clock
) -> None:
    limits = Limits(total=1_000_000, message_size=None)
    server = await serve(Echo(), listeners=[memory], limits=limits, timeouts=QUIET)
    (peer,) = await connect(memory, 1)
    data = masked(Frame(BINARY, bytes(990_000)))
    await peer.send(data[:980_000])
    await trio.sleep(5)  # nobody waits for it
    await peer.send(data[980_000:])
    assert len((await peer.read_frame()).payload) == 990_000
    assert server.statistics().closed_for_total == 0


async def test_a_client_has_a_total_for_its_one_connection(
    transport, memory, autojump_clock, nursery
) -> None:
    limits = Limits(total=100_000, message_size=None)

    async def server() -> None:
        peer = Peer(await memory.accept())
        await peer.welcome(behind=Frame(BINARY, bytes(300_000)))
        code, _ = await peer.read_close()
        assert code == 1009
        await peer.stream.aclose()

    async def dial() -> None:
        async with open_websocket(
            "ws://example.com", stream=memory.connect(), limits=limits
        ) as ws:
            with pytest.raises(ConnectionBroken, match=r"1009.*100000"):
                await ws.receive()

    async with trio.open_nursery() as both:
        both.start_soon(server)
        both.start_soon(dial)


async def test_an_upgrade_has_a_total_for_its_one_connection(
    transport, autojump_clock
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    fields = [
        ("Host", "example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ]
    limits = Limits(total=100_000, message_size=None)
    async with upgrade(theirs, Request("GET", "/", fields), limits=limits) as ws:
        peer = Peer(ours)
        await peer.read_head()
        await peer.send(part(150_000))
        with pytest.raises(ConnectionBroken, match=r"1009.*100000"):
            await ws.receive()
        await peer.stream.aclose()


# --- the option -------------------------------------------------------------


def test_total_is_checked() -> None:
    with pytest.raises(ValueError, match="total is 65535; it must be 65536 or more"):
        Limits(total=65535)
    with pytest.raises(ValueError, match=r"at least message_size \(2000000\)"):
        Limits(total=1_000_000, message_size=2_000_000)
    with pytest.raises(TypeError, match="total must be an int"):
        Limits(total=1e9)  # type: ignore[arg-type]
    Limits(total=2_000_000, message_size=2_000_000)
    Limits(total=2**62)  # never


async def test_no_limit_is_a_large_number(serve, memory, autojump_clock) -> None:
    limits = Limits(total=2**62, message_size=2**62)
    server = await serve(Echo(), listeners=[memory], limits=limits)
    (peer,) = await connect(memory, 1)
    await peer.send(Frame(TEXT, b"hi"))
    assert await peer.read_frame() == Frame(TEXT, b"hi")
    assert server.statistics().paused_for_total == 0
