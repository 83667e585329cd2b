"""Limits of a server: connections, handshakes in progress, descriptors."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.handlers import hold
from tests.wire import (
    BINARY,
    WEBSOCKET_KEY,
    Frame,
    Peer,
    close,
    dial,
    masked,
    upgrade_request,
)
from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    Limits,
    Request,
    Sending,
    Timeouts,
    WebSocket,
    open_websocket,
    upgrade,
)


async def test_one_connection_too_many_is_a_503(
    transport, serve, no_errors_logged
) -> None:
    server = await serve(hold, limits=Limits(connections=2))
    async with await dial(server.port) as first, await dial(server.port) as second:
        await first.shake()
        await second.shake()
        async with await dial(server.port) as third:
            answer = await third.shake()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 5\r\n" in answer
            assert b"connection limit (2) reached" in await third.read_rest()
        await first.send(close(1000))
        await first.read_rest()
        async with await dial(server.port) as fourth:
            assert b" 101 " in await fourth.shake()


async def test_limit_of_none_at_all(transport, serve) -> None:
    server = await serve(hold, limits=Limits(connections=0))
    async with await dial(server.port) as peer:
        assert (await peer.shake()).startswith(b"HTTP/1.1 503 ")


async def test_limit_holds_for_handshakes_decided_at_once(transport, serve) -> None:
    go_on = trio.Event()

    async def on_request(_: object) -> None:
        await go_on.wait()

    server = await serve(
        EventHandler(), limits=Limits(connections=1), on_request=on_request
    )
    async with await dial(server.port) as one, await dial(server.port) as two:
        await one.send(upgrade_request())
        await two.send(upgrade_request())
        await wait_all_tasks_blocked()
        go_on.set()
        answers = [(await peer.read_head()).split()[1] for peer in (one, two)]
    assert sorted(answers) == [b"101", b"503"]


class Failing(trio.abc.Listener[trio.abc.Stream]):
    """A listener whose accept fails until it is allowed to work."""

    def __init__(self, inner: trio.abc.Listener[trio.abc.Stream]) -> None:
        self.inner = inner
        self.failures = 3

    async def accept(self) -> trio.abc.Stream:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return await self.inner.accept()

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_listener_out_of_descriptors_tries_again(
    transport, serve, memory, autojump_clock, caplog
) -> None:
    await serve(hold, listeners=[Failing(memory)])
    async with Peer(memory.connect()) as peer:
        assert b" 101 " in await peer.shake()
    assert trio.current_time() < 1
    # Said once, not at every try.
    assert [record.getMessage() for record in caplog.records] == [
        "cannot accept connections: Too many open files"
    ]


async def test_refused_peer_that_does_not_leave_is_dropped(
    transport, serve, memory, autojump_clock
) -> None:
    options = {"limits": Limits(connections=0), "timeouts": Timeouts(close=2)}
    await serve(hold, listeners=[memory], **options)
    async with Peer(memory.connect()) as peer:
        assert b" 503 " in await peer.shake()

        async def send_on() -> None:
            while True:
                await peer.send(b"x")
                await trio.sleep(0.1)

        with pytest.raises(trio.BrokenResourceError):
            await send_on()
        assert 2 <= trio.current_time() < 2.3


# --- the size of a message ------------------------------------------------------


MIB = 2**20


@pytest.mark.parametrize("limits", [None, Limits(), Limits(connections=9)])
async def test_what_a_client_takes_by_default_is_sixteen_times_what_a_server_does(
    transport, serve, limits
) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.send(bytes(16 * MIB))
        await ws.send(bytes(16 * MIB + 1))
        await ws.wait_closed()

    # In one frame, whose size is known before it has come.
    whole = Sending(frame_size=None)
    server = await serve(handler, limits=limits, sending=whole)
    url = f"ws://127.0.0.1:{server.port}/"
    async with open_websocket(url, limits=limits) as ws:
        assert len(await ws.receive()) == 16 * MIB
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
    assert caught.value.close_code == 1009
    size = 16 * MIB
    assert caught.value.close_reason == (
        f"message of {size + 1} bytes is over the limit of {size} (Limits.message_size)"
    )
    async with open_websocket(url, limits=limits, sending=whole) as ws:
        await ws.send(bytes(MIB + 1))
        with pytest.raises(ConnectionBroken, match=r"limit of 1048576 \(Limits\.mess"):
            async for _ in ws:
                pass


async def test_what_an_upgrade_takes_by_default_is_what_a_server_does(
    transport,
) -> None:
    ours, theirs = memory_stream_pair()
    fields = [
        ("Host", "a"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", WEBSOCKET_KEY),
        ("Sec-WebSocket-Version", "13"),
    ]
    async with upgrade(ours, Request("GET", "/", fields)) as ws:
        await theirs.send_all(
            masked(Frame(BINARY, bytes(MIB))) + masked(Frame(BINARY, bytes(MIB + 1)))
        )
        assert len(await ws.receive()) == MIB
        with pytest.raises(ConnectionBroken, match=r"limit of 1048576 \(Limits\.mess"):
            await ws.receive()
        await theirs.aclose()


@pytest.mark.parametrize("side", ["server", "client"])
async def test_a_size_that_is_given_holds_for_both_sides(serve, side) -> None:
    async def handler(ws: WebSocket) -> None:
        async for message in ws:
            await ws.send(bytes(10) + message)

    limits = Limits(message_size=100)
    server = await serve(handler, limits=limits if side == "server" else None)
    url = f"ws://127.0.0.1:{server.port}/"
    async with open_websocket(url, limits=None if side == "server" else limits) as ws:
        await ws.send(bytes(90))
        assert len(await ws.receive()) == 100
        await ws.send(bytes(101))
        with pytest.raises(ConnectionBroken, match=r"100 \(Limits\.message_size\)"):
            await ws.receive()


def test_limits_say_what_they_are() -> None:
    assert "message_size='default'" in repr(Limits())
    assert Limits().message_size == "default"
    assert Limits(message_size="default") == Limits()
    assert Limits(message_size=2**20) != Limits()
    assert replace(Limits(), connections=1) == Limits(connections=1)
