"""What is logged says about which connection, in its text and as attributes."""

from __future__ import annotations

import logging
from functools import partial

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.handlers import echo
from tests.wire import (
    TEXT,
    Frame,
    Peer,
    close,
    dial,
    plain_request,
    upgrade_request,
)
from trio_fastws import EventHandler, Limits, open_websocket


@pytest.fixture(autouse=True)
def everything(caplog) -> None:
    caplog.set_level(logging.DEBUG, "trio_fastws")


async def shake(port: int, target: str = "/chat?secret=1") -> tuple[Peer, str]:
    """Shake hands; return the peer, and its address as a person reads it."""
    peer = await dial(port)
    await peer.send(upgrade_request(target=target))
    assert b" 101 " in await peer.read_head()
    return peer, ":".join(map(str, peer.stream.socket.getsockname()))


def find(caplog, start: str) -> logging.LogRecord:
    """Return the one record whose text begins so."""
    (record,) = [r for r in caplog.records if r.getMessage().startswith(start)]
    return record


def which(record: logging.LogRecord) -> str:
    """Return what stands in its brackets."""
    text = record.getMessage()
    assert text.endswith("]")
    return text[text.rindex("[") + 1 : -1]


class Chat(EventHandler):
    def on_message(self, ws, message) -> None:
        raise ValueError(message)


async def fail(ws) -> None:
    raise ValueError(await ws.receive())


async def fail_named(name, ws) -> None:
    await fail(ws)


class Callable:
    async def __call__(self, ws) -> None:
        await fail(ws)


@pytest.mark.parametrize(
    ("handler", "where", "name"),
    [
        (Chat(), "on_message", "Chat"),
        (fail, "a handler", "fail"),
        (partial(fail_named, "a"), "a handler", "fail_named"),
        (Callable(), "a handler", "Callable"),
    ],
)
async def test_an_exception_names_connection_and_handler(
    transport, serve, caplog, handler, where, name
) -> None:
    server = await serve(handler)
    peer, address = await shake(server.port)
    async with peer:
        await wait_all_tasks_blocked()
        (ws,) = server.connections
        await peer.send(Frame(TEXT, b"a"))
        assert (await peer.read_close())[0] == 1011
    record = find(caplog, f"exception in {where} [")
    assert which(record) == (
        f"connection {ws.id}, peer {address}, path /chat, handler {__name__}.{name}"
    )
    assert record.name == "trio_fastws"
    assert record.connection_id == ws.id
    assert record.remote_address == ws.remote_address
    assert record.path == "/chat"
    assert record.handler == f"{__name__}.{name}"


async def test_a_task_is_named(serve, caplog) -> None:
    async def handler(ws) -> None:
        ws.start_soon(fail, ws)
        await trio.sleep_forever()

    server = await serve(handler)
    peer, address = await shake(server.port)
    async with peer:
        await peer.send(Frame(TEXT, b"a"))
        await peer.read_close()
    record = find(caplog, f"exception in task {__name__}.fail [")
    assert f"peer {address}, path /chat" in which(record)


async def test_an_end_that_is_passed_on_names_it_too(serve, caplog) -> None:
    server = await serve(fail)
    for peer, _ in [await shake(server.port), await shake(server.port)]:
        async with peer:
            await peer.send(close(1000))
            await peer.read_rest()
    await wait_all_tasks_blocked()
    records = [r for r in caplog.records if " ended: " in r.getMessage()]
    assert len({r.connection_id for r in records}) == 2
    assert {r.levelno for r in records} == {logging.DEBUG}


async def test_a_peer_that_breaks_the_protocol_is_named(serve, caplog) -> None:
    server = await serve(Chat())
    peer, address = await shake(server.port)
    async with peer:
        await peer.send(b"\xff\xff")
        assert (await peer.read_close())[0] == 1002
    assert f"peer {address}, path /chat" in which(find(caplog, "failed a connection"))


@pytest.mark.parametrize(
    ("data", "start"),
    [
        (
            upgrade_request(target="/chat", without=("Upgrade",)),
            "handshake refused: 426",
        ),
        (b"", "connection ended in its opening handshake"),
        (b"\x16\x03\x01\r\n", "handshake refused: 400"),
    ],
)
async def test_a_handshake_that_fails_names_its_peer(
    transport, serve, caplog, data, start
) -> None:
    server = await serve(Chat())
    async with await dial(server.port) as peer:
        address = ":".join(map(str, peer.stream.socket.getsockname()))
        await peer.send(data)
        await peer.send_eof()
        await peer.read_rest()
    record = find(caplog, start)
    path = ", path /chat" if data.startswith(b"GET") else ""
    assert which(record) == f"peer {address}{path}"
    assert record.connection_id is None


async def test_a_failing_on_request_names_its_peer(serve, caplog) -> None:
    def on_request(request):
        raise ValueError

    server = await serve(Chat(), on_request=on_request)
    async with await dial(server.port) as peer:
        address = ":".join(map(str, peer.stream.socket.getsockname()))
        await peer.send(plain_request("/page"))
        assert b" 500 " in await peer.read_rest()
    record = find(caplog, "exception in on_request")
    assert which(record) == f"peer {address}, path /page"


async def test_ids_are_of_the_process_and_a_client_has_one(serve) -> None:
    server = await serve(echo)
    async with open_websocket(f"ws://127.0.0.1:{server.port}/feed?key=1") as ws:
        await ws.send("a")
        await ws.receive()
        (ours,) = server.connections
        assert ours.id != ws.id
        where = f"peer 127.0.0.1:{server.port}, path /feed"
        assert repr(ws) == f"<WebSocket open, connection {ws.id}, {where}>"
        assert ws.request is None
        assert repr(ours).endswith(", path /feed>")
        assert ours.request is None


@pytest.mark.parametrize("keep", [False, True])
async def test_a_long_path_is_cut_and_a_kept_request_is_not(serve, keep) -> None:
    reprs = []

    class Opened(EventHandler):
        def on_message(self, ws, message) -> None:
            reprs.append(repr(ws))
            ws.send_nowait(ws.request.path if keep else "dropped")

    server = await serve(Opened(), limits=Limits(keep_request=keep))
    target = "/" + "a" * 1000
    peer, _ = await shake(server.port, target)
    async with peer:
        await peer.send(Frame(TEXT, b"a"))
        answer = target if keep else "dropped"
        assert await peer.read_frame() == Frame(TEXT, answer.encode())
    assert reprs[0].endswith(f"path /{'a' * 60}...>")


async def test_peers_of_other_kinds(serve, memory, tmp_path) -> None:
    reprs = []

    class Opened(EventHandler):
        def on_open(self, ws) -> None:
            reprs.append(repr(ws).split(", ")[2])

    server = await serve(Opened(), host="::1")
    async with Peer(await trio.open_tcp_stream("::1", server.port)) as peer:
        await peer.shake()
        port = peer.stream.socket.getsockname()[1]
    await serve(Opened(), listeners=[memory])
    async with Peer(memory.connect(memory_stream_pair)) as peer:
        await peer.shake()
    sock = trio.socket.socket(trio.socket.AF_UNIX)
    await sock.bind(str(tmp_path / "server"))
    sock.listen()
    await serve(Opened(), listeners=[trio.SocketListener(sock)])
    stream = await trio.open_unix_socket(str(tmp_path / "server"))
    async with Peer(stream) as peer:
        await peer.shake()
    assert reprs == [f"peer [::1]:{port}", "peer unknown", "peer unnamed"]


async def test_an_absolute_url_is_logged_by_its_path(serve) -> None:
    seen = trio.Event()
    reprs = []

    class Opened(EventHandler):
        def on_close(self, ws) -> None:
            reprs.append(repr(ws))
            seen.set()

    server = await serve(Opened())
    peer, _ = await shake(server.port, "http://example.com/where?a=b")
    async with peer:
        await peer.send(close(1000))
        await peer.read_close()
    await seen.wait()
    assert reprs[0].endswith("path /where>")
