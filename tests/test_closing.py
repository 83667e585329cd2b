"""The closing handshake in every order, over sockets and with bare peers."""

from __future__ import annotations

import pytest
import trio
from trio.testing import (
    lockstep_stream_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from tests.wire import (
    BINARY,
    CLOSE,
    TEXT,
    Frame,
    Peer,
    close,
    dial,
    masked,
    unmasked,
)
from trio_fastws import ConnectionBroken, Timeouts, WebSocket, open_websocket

REASON = "tschüß, 再见"


async def test_server_closes_then_waits_for_the_peers_close(transport, connect) -> None:
    ws, peer = await connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ws.aclose, 4001, REASON)
        assert await peer.read_close() == (4001, REASON)
        await wait_all_tasks_blocked()
        assert ws.close_code is None
        await peer.send(close(4001, REASON))
        # The server ends TCP first (RFC 6455 7.1.1).
        assert await peer.read_rest() == b""
    assert (ws.close_code, ws.close_reason) == (4001, REASON)
    with pytest.raises(trio.ClosedResourceError):
        await ws.receive()
    with pytest.raises(trio.ClosedResourceError):
        await ws.send("late")


async def test_server_answers_a_close_and_ends_tcp_first(transport, connect) -> None:
    ws, peer = await connect()
    await peer.send(close(4001, REASON))
    # The whole payload is echoed (RFC 6455 5.5.1), as most peers do.
    assert await peer.read_close() == (4001, REASON)
    assert await peer.read_rest() == b""
    await ws.wait_closed()
    assert (ws.close_code, ws.close_reason) == (4001, REASON)
    with pytest.raises(ConnectionBroken, match="4001") as caught:
        await ws.receive()
    assert (caught.value.close_code, caught.value.close_reason) == (4001, REASON)
    with pytest.raises(ConnectionBroken):
        await ws.send("late")


async def test_closes_that_cross_close_cleanly(transport, connect) -> None:
    ws, peer = await connect()
    ws.close_nowait(4002, "mine")
    await peer.send(close(4003, "theirs"))
    # One Close each and no answer to it (RFC 6455 5.5.1).
    assert await peer.read_rest() == unmasked(close(4002, "mine"))
    await ws.wait_closed()
    assert (ws.close_code, ws.close_reason) == (4003, "theirs")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (close(1000), 1000),
        (close(1001, "going"), 1001),
        (Frame(CLOSE), 1005),
    ],
)
async def test_clean_end_is_the_end_of_the_channel(
    transport, connect, sent, code
) -> None:
    ws, peer = await connect()
    await peer.send(Frame(TEXT, b"last"), sent)
    # The end is seen before the message is taken, which is not lost.
    await ws.wait_closed()
    assert [message async for message in ws] == ["last"]
    assert ws.close_code == code
    with pytest.raises(trio.EndOfChannel):
        ws.receive_nowait()
    with pytest.raises(ConnectionBroken) as caught:
        ws.send_nowait("late")
    assert caught.value.close_code == code


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (unmasked(Frame(TEXT, b"x")), 1002, "not masked"),
        (Frame(3, b"x"), 1002, "opcode"),
        (Frame(TEXT, b"\xff"), 1007, "UTF-8"),
        (Frame(BINARY, bytes(2**20 + 1)), 1009, "1048576 (Limits.message_size)"),
        (close(1005), 1002, "1005"),
    ],
)
async def test_failing_peer_reads_why_and_then_the_end_but_no_reset(
    transport, connect, sent, code, words
) -> None:
    ws, peer = await connect()
    async with trio.open_nursery() as nursery:
        # Unread data must not turn into a reset that eats our Close.
        nursery.start_soon(peer.send, sent, bytes(3_000_000))
        got, reason = await peer.read_close()
        assert got == code
        assert words in reason
        assert await peer.read_rest() == b""
    await ws.wait_closed()
    assert ws.close_code == code
    with pytest.raises(ConnectionBroken) as caught:
        await ws.receive()
    assert caught.value.close_code == code


async def test_what_comes_behind_a_close_makes_no_reset(transport, connect) -> None:
    # It MUST NOT come (RFC 6455 5.5.1); all the same the peer is to have our answer.
    _ws, peer = await connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.send, close(1000), bytes(3_000_000))
        assert await peer.read_close() == (1000, "")
        assert await peer.read_rest() == b""


@pytest.mark.parametrize("opcode", [0x9, 0xA])
async def test_a_control_frame_behind_a_close_costs_nothing_that_was_sent(
    serve, opcode: int
) -> None:
    # RFC 6455 5.5.1 forbids data behind a Close; 5.5.2: a Pong to a Ping MUST come
    # until a Close has, and a Ping MAY. Our answers may still be on their way.
    async def answer(ws: WebSocket) -> None:
        await ws.receive()
        await ws.send(bytes(400_000))
        await ws.wait_closed()

    server = await serve(answer)
    async with await dial(server.port) as peer:
        await peer.shake()
        await peer.send(Frame(TEXT, b"go"))
        await wait_all_tasks_blocked()
        await peer.send(close(1000))
        await wait_all_tasks_blocked()
        await peer.send(Frame(opcode, b"late"))
        assert await peer.read_frame() == Frame(BINARY, bytes(400_000))
        assert await peer.read_close() == (1000, "")
        assert await peer.read_rest() == b""


async def test_closing_while_the_peer_sends_discards_it(transport, connect) -> None:
    ws, peer = await connect()
    flood = masked(Frame(BINARY, bytes(60_000))) * 100
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.send, flood + masked(close(1003)))
        await ws.receive()
        nursery.start_soon(ws.aclose, 1003, "no binary, please")
        assert await peer.read_close() == (1003, "no binary, please")
        assert await peer.read_rest() == b""
    assert ws.close_code == 1003


async def test_queued_messages_leave_before_the_close(transport, connect) -> None:
    ws, peer = await connect()
    for number in range(50):
        ws.send_nowait(bytes([number]))
    ws.close_nowait()
    for number in range(50):
        assert await peer.read_frame() == Frame(BINARY, bytes([number]))
    assert await peer.read_close() == (1000, "")


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_every_waiter_wakes_when_tcp_dies(transport, connect, how) -> None:
    ws, peer = await connect()
    woken = []

    async def until_broken(async_fn) -> None:
        while True:
            await async_fn()

    async def wait(name, async_fn) -> None:
        with pytest.raises(ConnectionBroken) as caught:
            await until_broken(async_fn)
        assert caught.value.close_code == 1006
        woken.append(name)

    async def wait_closed() -> None:
        await ws.wait_closed()
        woken.append("wait_closed")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "receive", ws.receive)
        nursery.start_soon(wait, "ping", ws.ping)
        nursery.start_soon(wait_closed)
        for name in ("send", "send again"):
            nursery.start_soon(wait, name, lambda: ws.send(bytes(60_000)))
        await wait_all_tasks_blocked()
        assert woken == []
        if how == "reset":
            peer.reset()
        else:
            await peer.stream.aclose()
    assert sorted(woken) == ["ping", "receive", "send", "send again", "wait_closed"]
    assert ws.close_code == 1006


async def test_aclose_returns_when_tcp_dies(transport, connect) -> None:
    ws, peer = await connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ws.aclose)
        await peer.read_close()
        peer.reset()
    assert ws.close_code == 1006


async def test_cancelled_aclose_ends_the_connection_at_once(transport, connect) -> None:
    ws, peer = await connect()
    with trio.CancelScope() as scope:
        scope.cancel()
        await ws.aclose()
    assert scope.cancelled_caught
    assert (ws.close_code, ws.close_reason) == (1006, "closing was cancelled")
    assert await peer.read_rest() in (b"", unmasked(close(1000)))


async def test_closing_again_changes_nothing(transport, connect) -> None:
    ws, peer = await connect()
    ws.close_nowait(4001, "first")
    ws.close_nowait(4002, "second")
    assert await peer.read_close() == (4001, "first")
    await peer.send(close(4001))
    await ws.aclose(4003)
    await ws.aclose()
    assert ws.close_code == 4001


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (1005, "", "1005"),
        (1006, "", "1006"),
        (999, "", "999"),
        (5000, "", "5000"),
        (1000, "ü" * 62, "123"),
    ],
)
async def test_close_that_cannot_be_sent_is_a_value_error(
    connect, code, reason, words
) -> None:
    ws, _ = await connect()
    with pytest.raises(ValueError, match=words):
        await ws.aclose(code, reason)
    assert ws.state == "open"


class Why(str):
    """A reason that is not quite a str."""

    __slots__ = ()


@pytest.mark.parametrize("behind", [False, True], ids=["at_once", "queued"])
async def test_a_reason_may_be_a_kind_of_str(connect, behind) -> None:
    ws, peer = await connect()
    if behind:
        await ws.send("before")
        await ws.send("in the outbox")
    ws.close_nowait(1000, Why("enough"))
    assert await peer.read_close() == (1000, "enough")


async def test_closing_handshake_is_bounded_when_the_peer_does_not_answer(
    transport, connect, memory, autojump_clock
) -> None:
    ws, peer = await connect(
        memory.connect(), listeners=[memory], timeouts=Timeouts(close=4)
    )
    started = trio.current_time()
    await ws.aclose()
    assert 4 <= trio.current_time() - started < 4.1
    assert (ws.close_code, ws.close_reason) == (
        1006,
        "no closing handshake within 4 s (Timeouts.close)",
    )
    assert await peer.read_rest() == unmasked(close(1000))


async def test_chatter_does_not_prolong_the_closing_handshake(
    transport, connect, memory, autojump_clock
) -> None:
    ws, peer = await connect(
        memory.connect(), listeners=[memory], timeouts=Timeouts(close=4)
    )
    started = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def chat() -> None:
            while True:
                await peer.send(Frame(TEXT, b"bla"))
                await trio.sleep(0.5)

        nursery.start_soon(chat)
        await ws.aclose()
        assert 4 <= trio.current_time() - started < 4.1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("seconds", "expected"), [(4, 1), (0.5, 0.5)])
async def test_peer_that_keeps_tcp_open_is_dropped_a_second_after_both_closes(
    transport, connect, memory, autojump_clock, seconds, expected
) -> None:
    ws, peer = await connect(
        memory.connect(), listeners=[memory], timeouts=Timeouts(close=seconds)
    )
    await peer.send(close(1000))
    await ws.wait_closed()
    started = trio.current_time()
    assert await peer.read_rest() == unmasked(close(1000))

    async def send_on() -> None:
        while True:
            await peer.send(b"still here")
            await trio.sleep(0.1)

    with pytest.raises(trio.BrokenResourceError):
        await send_on()
    assert expected <= trio.current_time() - started < expected + 0.2


async def test_client_waits_for_the_server_to_end_tcp(
    transport, autojump_clock
) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.welcome)
        async with open_websocket("ws://a/", stream=ours) as ws:
            await peer.send(close(1001, "bye"))
            with pytest.raises(trio.EndOfChannel):
                await ws.receive()
            assert await peer.read_close() == (1001, "bye")
            with trio.move_on_after(0.5) as silence:
                await peer.read_rest()
            # RFC 6455 7.1.1: the client waits for the server to end TCP.
            assert silence.cancelled_caught
            await peer.stream.aclose()
        assert trio.current_time() == 0.5
    assert (ws.close_code, ws.close_reason) == (1001, "bye")


@pytest.mark.parametrize(("seconds", "expected"), [(10, 1), (0.5, 0.5)])
@pytest.mark.parametrize("first", ["client", "server"])
async def test_client_ends_tcp_when_the_server_does_not(
    transport, autojump_clock, first, seconds, expected
) -> None:
    # Its Close is there: only the end of TCP is waited for, and not for long.
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.welcome)
        timeouts = Timeouts(close=seconds)
        async with open_websocket("ws://a/", stream=ours, timeouts=timeouts) as ws:
            if first == "server":
                await peer.send(close(1000))
            else:
                ws.close_nowait()
                assert await peer.read_close() == (1000, "")
                await peer.send(close(1000))
        assert expected <= trio.current_time() < expected + 0.1
    if first == "server":
        assert await peer.read_close() == (1000, "")
    assert await peer.read_rest() == b""
    assert ws.close_code == 1000


async def test_what_is_still_being_written_has_all_of_the_close_timeout(
    transport, connect, memory, autojump_clock
) -> None:
    # Both Closes are said, but ours is behind what the peer reads slowly.
    ws, peer = await connect(
        memory.connect(lockstep_stream_pair),
        listeners=[memory],
        timeouts=Timeouts(close=9),
    )
    ws.send_nowait(bytes(100_000))
    await wait_all_tasks_blocked()
    await peer.send(close(1000, "bye"))
    await trio.sleep(5)
    assert await peer.read_frame() == Frame(BINARY, bytes(100_000))
    assert await peer.read_close() == (1000, "bye")
    assert await peer.read_rest() == b""
    assert ws.close_code == 1000


async def test_closing_has_one_deadline_and_not_one_for_each_step(
    transport, connect, memory, autojump_clock
) -> None:
    ws, peer = await connect(
        memory.connect(lockstep_stream_pair),
        listeners=[memory],
        timeouts=Timeouts(close=4),
    )
    ws.send_nowait(bytes(200_000))
    started = trio.current_time()
    ws.close_nowait()
    await trio.sleep(3)
    # Nothing of ours is read: neither the message nor the Close behind it.
    await peer.send(close(1000))
    await ws.wait_closed()
    assert 4 <= trio.current_time() - started < 4.1
