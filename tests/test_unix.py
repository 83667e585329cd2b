"""Unix sockets, through ``listeners``."""

from __future__ import annotations

import socket

import pytest
import trio

from tests.handlers import echo
from tests.wire import (
    TEXT,
    Frame,
    Peer,
    close,
)
from trio_fastws import open_websocket

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here"
)


@pytest.fixture
async def listener(tmp_path) -> trio.SocketListener:
    sock = trio.socket.socket(socket.AF_UNIX)
    await sock.bind(str(tmp_path / "ws"))
    sock.listen()
    return trio.SocketListener(sock)


async def test_serves_and_dials(transport, serve, listener, tmp_path) -> None:
    path = str(tmp_path / "ws")
    server = await serve(echo, listeners=[listener])
    assert server.addresses == (path,)
    assert path in repr(server)
    with pytest.raises(RuntimeError, match="listens on 0 TCP ports, not one"):
        _ = server.port
    stream = await trio.open_unix_socket(path)
    async with open_websocket("ws://localhost/", stream=stream) as ws:
        assert ws.remote_address == path
        await ws.send("hi")
        assert await ws.receive() == "hi"


async def test_closing_handshake(transport, serve, listener, tmp_path) -> None:
    await serve(echo, listeners=[listener])
    stream = await trio.open_unix_socket(str(tmp_path / "ws"))
    async with Peer(stream) as peer:
        await peer.shake(early=Frame(TEXT, b"hi"))
        assert await peer.read_frame() == Frame(TEXT, b"hi")
        await peer.send(close(4001, "x"))
        assert await peer.read_close() == (4001, "x")
        assert await peer.read_rest() == b""
