"""What a slow peer sees of a feed is new: little of it is out of a policy's reach."""

from __future__ import annotations

import socket

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.deflate.cases import linked
from tests.handlers import Keeper
from tests.serving import pair, serving
from tests.wire import (
    Frame,
    Peer,
    binary,
    text,
)
from trio_fastws import EventHandler, Listen, Sending, serve_websocket

pytestmark = pytest.mark.usefixtures("transport")

LATEST = Sending(policy="drop_oldest", max_messages=1)
# What a price feed might send.
SIZE = 1000


def price(number: int) -> bytes:
    return b"%d" % number + b"," * SIZE


async def push(ws, count: int) -> list[bytes]:
    sent = [price(number) for number in range(count)]
    for message in sent:
        ws.send_nowait(message)
        await wait_all_tasks_blocked(0.0005)
    return sent


@pytest.mark.parametrize("side", ["server", "client"])
async def test_a_peer_that_was_away_gets_little_that_is_old(side):
    # Sockets as the system makes them: these would take megabytes.
    sending = Sending(policy="drop_oldest", max_messages=1)
    async with linked(side, None, sending=sending) as (ws, peer):
        peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sent = await push(ws, 1000)
        statistics = ws.statistics()
        # One message pending, and the rest of the frame that is on the wire.
        assert statistics.send_queue < 3 * SIZE
        assert statistics.dropped > 500
        received = await peer.read_payloads(1000 - statistics.dropped)
        assert received[-1] == sent[-1]
        # It took those from the start; all the others were still to be chosen from.
        assert received[:-1] == sent[: len(received) - 1]


async def test_drop_newest_keeps_what_waits_and_commits_no_more(transport):
    sending = Sending(policy="drop_newest", max_messages=2)
    async with pair(small=True, sending=sending) as (ws, peer):
        sent = await push(ws, 500)
        assert ws.statistics().send_queue < 4 * SIZE
        received = [binary(data) for data in sent[: 500 - ws.statistics().dropped]]
        assert await peer.read_frames(len(received)) == received
        # One at a time, as there is room.
        sent = await push(ws, 2)
        assert await peer.read_frames(2) == [binary(data) for data in sent]


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "close"])
async def test_a_burst_to_a_peer_that_takes_it_is_no_reason_for_a_policy(policy):
    # More at once than may wait; but it need not wait.
    sending = Sending(
        policy=policy,
        high_water=20_000,
        low_water=0,
        max_messages=3,
        unsent_limit=2**24,
    )
    async with pair(sending=sending) as (ws, peer):
        for _ in range(5):
            sent = [price(number) for number in range(30)]
            async with trio.open_nursery() as nursery:
                received: list[object] = []

                async def read(received=received) -> None:
                    received += await peer.read_frames(30)

                nursery.start_soon(read)
                for message in sent:
                    ws.send_nowait(message)
            assert received == [binary(message) for message in sent]
        assert ws.statistics().dropped == 0
        assert ws.state == "open"


async def test_it_can_be_limited_for_one_connection(transport):
    sending = Sending(high_water=2000, low_water=0)
    async with pair(sending=sending) as (ws, peer):
        peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ws.limit_unsent(2000)
        with pytest.raises(trio.WouldBlock):
            await push(ws, 5000)
        # Without a limit the socket buffers take megabytes.
        assert ws.statistics().bytes_sent < 500_000


@pytest.mark.parametrize("limit", [1024, 5000, 2**40])
@pytest.mark.parametrize("side", ["server", "client"])
async def test_everything_arrives_all_the_same(side, limit):
    sending = Sending(unsent_limit=limit, high_water=2**24)
    async with (
        linked(side, None, sending=sending) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        sent = [price(number) * (number % 50) for number in range(100)]

        async def send() -> None:
            for message in sent:
                await ws.send(message)

        nursery.start_soon(send)
        assert await peer.read_payloads(100) == sent


async def test_a_paused_connection_is_woken_for_the_rest():
    # Watched by its edge, and it was not the kernel who took no more.
    class Flood(EventHandler):
        def on_message(self, ws, message):
            for number in range(500):
                ws.send_nowait(price(number))

    async with serving(Flood(), sending=Sending(unsent_limit=3000)) as site:
        peer = await site.dial()
        for _ in range(2):
            await peer.send(Frame(1, b"go"), Frame(1, b"again"))
            expected = [binary(price(number)) for number in range(500)] * 2
            assert await peer.read_frames(1000) == expected


async def test_without_tcp_nothing_happens(tmp_path):
    path = str(tmp_path / "socket")
    keeper = Keeper()
    with trio.socket.socket(socket.AF_UNIX) as sock:
        await sock.bind(path)
        sock.listen()
        async with trio.open_nursery() as nursery:
            await nursery.start(
                lambda task_status: serve_websocket(
                    keeper,
                    Listen(listeners=[trio.SocketListener(sock)]),
                    sending=LATEST,
                    task_status=task_status,
                )
            )
            peer = Peer(await trio.open_unix_socket(path))
            assert (await peer.shake()).startswith(b"HTTP/1.1 101 ")
            ws = await keeper.next()
            ws.limit_unsent(1024)
            for number in range(3):
                ws.send_nowait(f"{number}")
                assert await peer.read_frame() == text(f"{number}")
            await peer.aclose()
            await ws.wait_closed()
            ws.limit_unsent(1024)
            nursery.cancel_scope.cancel()


async def test_a_limit_is_a_number_of_bytes():
    with pytest.raises(ValueError, match="unsent_limit is 0; it must be 1024 or more"):
        Sending(unsent_limit=0)
    with pytest.raises(TypeError, match="unsent_limit must be an int"):
        Sending(unsent_limit=1.5)
    async with pair() as (ws, _):
        with pytest.raises(ValueError, match="size is 0; it must be 1024 or more"):
            ws.limit_unsent(0)
        with pytest.raises(TypeError, match="size must be an int, not '3'"):
            ws.limit_unsent("3")
