"""A peer that ends its direction of TCP right behind its Close, and still reads."""

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
    Frame,
    Peer,
    close,
    unmasked,
)
from trio_fastws import Limits, Sending, Timeouts, open_websocket

PAYLOAD = bytes(100_000)


async def test_what_was_sent_and_the_answer_to_a_close_go_out_after_a_fin(
    transport, connect
) -> None:
    # RFC 6455 5.5.1: MUST send a Close in response; what is committed before it is
    # a frame begun, which must not be torn.
    ws, peer = await connect(sending=Sending(high_water=2**23, hard_limit=2**24))
    for _ in range(60):
        await ws.send(PAYLOAD)
    await wait_all_tasks_blocked()
    await peer.send(close(4001))
    await peer.send_eof()
    await wait_all_tasks_blocked()
    received = await peer.read_rest()
    one = unmasked(Frame(BINARY, PAYLOAD))
    whole, answer = divmod(len(received), len(one))
    assert received[: len(one)] == one
    # The queue behind what is committed goes, as it does without a FIN.
    assert 0 < whole < 60
    assert received[-answer:] == unmasked(close(4001))
    await ws.wait_closed()
    assert ws.close_code == 4001


async def test_a_peer_that_ends_tcp_and_does_not_read_has_its_time_and_no_more(
    memory, connect, autojump_clock
) -> None:
    ws, peer = await connect(
        memory.connect(lockstep_stream_pair),
        listeners=[memory],
        timeouts=Timeouts(close=4),
    )
    ws.send_nowait(bytes(200_000))
    await wait_all_tasks_blocked()
    await peer.send(close(4001))
    await peer.send_eof()
    started = trio.current_time()
    await ws.wait_closed()
    assert 4 <= trio.current_time() - started < 4.1
    assert ws.close_code == 4001


async def test_what_was_queued_and_our_own_close_go_out_though_no_answer_will_come(
    transport, connect
) -> None:
    # While nobody receives, nobody sees the FIN; to close is to read on.
    ws, peer = await connect(limits=Limits(receive_buffer=len(PAYLOAD)))
    await peer.send(Frame(BINARY, PAYLOAD))
    await wait_all_tasks_blocked(0.01)
    await peer.send_eof()
    await wait_all_tasks_blocked(0.01)
    messages = [b"first", b"second", PAYLOAD]
    for message in messages:
        await ws.send(message)
    await ws.aclose(4000)
    assert ws.close_code == 1006
    received = await peer.read_rest()
    wanted = [unmasked(Frame(BINARY, message)) for message in messages]
    # A Ping has asked whether it still reads.
    assert received.removeprefix(b"\x89\x00") == (
        b"".join(wanted) + unmasked(close(4000))
    )


# The answer and the FIN are handled by two tasks, which trio runs in any order.
@pytest.mark.parametrize("attempt", range(8))
async def test_a_client_answers_a_server_that_ends_tcp_at_once(attempt) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    received = b""

    async def end_at_once() -> None:
        nonlocal received
        await peer.welcome()
        await wait_all_tasks_blocked()
        await peer.send(close(1000))
        await theirs.send_eof()
        received = await peer.read_rest()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_at_once)
        async with open_websocket("ws://example.com/", stream=ours) as ws:
            await ws.wait_closed()
    assert ws.close_code == 1000
    # Opcode and fin, mask and length, a key, two bytes of code.
    assert received[:2] == b"\x88\x82"
    assert len(received) == 8
