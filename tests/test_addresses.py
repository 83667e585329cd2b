"""Where a peer is: known while the connection is open, and after its end."""

from __future__ import annotations

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.wire import (
    TEXT,
    Frame,
    Peer,
    close,
    dial,
    masked,
)
from trio_fastws import EventHandler, Limits, open_websocket

WAYS = ["we close", "peer closes", "fin", "reset", "reset unread", "kick", "protocol"]


async def end(how: str, peer: Peer, server) -> None:
    """End a connection in one of the ways."""
    if how == "kick":
        for ws in server.connections:
            ws.close_nowait(4000)
    elif how == "peer closes":
        await peer.send(close(1000))
    elif how == "protocol":
        await peer.send(b"\xff\xff")
    elif how == "we close":
        await peer.send(Frame(TEXT, b"close"))
    elif how == "reset unread":
        await peer.send(Frame(TEXT, b"pause"), masked(Frame(TEXT, b"x" * 50_000)) * 3)
        await wait_all_tasks_blocked()
        peer.reset()
    elif how == "reset":
        peer.reset()
    await peer.stream.aclose()


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("asked", [False, True])
async def test_an_async_handler_knows_it_after_its_loop(
    transport, serve, how, asked
) -> None:
    seen = []
    left = trio.Event()

    async def handler(ws) -> None:
        if asked:
            seen.append(ws.remote_address)
        try:
            async for message in ws:
                if message == "close":
                    break
                if message == "pause":
                    await wait_all_tasks_blocked(0.01)
            await ws.aclose()
        finally:
            seen.append(ws.remote_address)
            left.set()

    server = await serve(handler, limits=Limits(receive_buffer=1000))
    peer = await dial(server.port)
    await peer.shake()
    address = peer.stream.socket.getsockname()
    await wait_all_tasks_blocked()
    await end(how, peer, server)
    await left.wait()
    assert seen == [address] * (1 + asked)


@pytest.mark.parametrize("how", WAYS)
async def test_on_close_knows_it(transport, serve, how) -> None:
    seen = []

    class Handler(EventHandler):
        def on_message(self, ws, message) -> None:
            if message == "close":
                ws.close_nowait()
            elif message == "pause":
                ws.pause_reading()

        def on_close(self, ws) -> None:
            seen.append(ws.remote_address)

    server = await serve(Handler())
    peer = await dial(server.port)
    await peer.shake()
    address = peer.stream.socket.getsockname()
    while not server.connections:
        await trio.lowlevel.checkpoint()
    await end(how, peer, server)
    for ws in server.connections:
        ws.resume_reading()
    while not seen:
        await trio.lowlevel.checkpoint()
    assert seen == [address]


async def test_an_address_of_version_6(serve) -> None:
    try:
        listeners = await trio.open_tcp_listeners(0, host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    seen = []

    class Handler(EventHandler):
        def on_open(self, ws) -> None:
            seen.append(ws.remote_address)

        def on_close(self, ws) -> None:
            seen.append(ws.remote_address)

    server = await serve(Handler(), listeners=listeners)
    stream = await trio.open_tcp_stream("::1", server.port)
    peer = Peer(stream)
    await peer.shake()
    address = stream.socket.getsockname()
    peer.reset()
    while len(seen) < 2:
        await trio.lowlevel.checkpoint()
    assert seen == [address] * 2


async def test_over_tls_and_on_the_clients_side(serve, server_tls, client_tls) -> None:
    ends = []

    async def handler(ws) -> None:
        async for _ in ws:
            pass
        ends.append(ws.remote_address)

    for secure in (False, True):
        server = await serve(handler, ssl_context=server_tls if secure else None)
        url = f"{'wss' if secure else 'ws'}://127.0.0.1:{server.port}"
        async with open_websocket(
            url, ssl_context=client_tls if secure else None
        ) as ws:
            ours = ws.local_address
        while not ends:
            await trio.lowlevel.checkpoint()
        assert ends.pop() == ours
        assert ws.remote_address == ("127.0.0.1", server.port)


async def test_a_stream_without_a_socket_has_none(serve, memory) -> None:
    seen = []

    class Handler(EventHandler):
        def on_close(self, ws) -> None:
            seen.append(ws.remote_address)

    await serve(Handler(), listeners=[memory])
    async with Peer(memory.connect(memory_stream_pair)) as peer:
        await peer.shake()
    while not seen:
        await trio.lowlevel.checkpoint()
    assert seen == [None]


async def test_a_unix_socket(serve, tmp_path) -> None:
    seen = []

    class Handler(EventHandler):
        def on_close(self, ws) -> None:
            seen.append(ws.remote_address)

    sock = trio.socket.socket(trio.socket.AF_UNIX)
    await sock.bind(str(tmp_path / "server"))
    sock.listen()
    await serve(Handler(), listeners=[trio.SocketListener(sock)])
    for name in ("", str(tmp_path / "client"), b"\0fastws-abstract"):
        client = trio.socket.socket(trio.socket.AF_UNIX)
        if name:
            await client.bind(name)
        await client.connect(str(tmp_path / "server"))
        async with Peer(trio.SocketStream(client)) as peer:
            await peer.shake()
        while not seen:
            await trio.lowlevel.checkpoint()
        assert seen.pop() == name
