"""Unix sockets: `Listen(unix=)`, and the file in which clients find one."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time

import pytest
import trio
import trio.testing

from tests.handlers import echo
from tests.wire import (
    TEXT,
    Frame,
    Peer,
    close,
)
from trio_fastws import Listen, Server, open_websocket, serve_websocket

fcntl = pytest.importorskip("fcntl")
pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here"
)


@pytest.fixture
def path(tmp_path) -> str:
    return str(tmp_path / "ws")


def bind(path: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(path)
    return sock


def is_there(path: str) -> bool:
    return os.path.lexists(path)


async def greet(path: str) -> str:
    """Return what the server behind a path answers to a "hi"."""
    stream = await trio.open_unix_socket(path)
    async with open_websocket("ws://localhost/", stream=stream) as ws:
        await ws.send("hi")
        answer = await ws.receive()
        assert isinstance(answer, str)
        return answer


async def test_serves_and_dials(transport, serve, path) -> None:
    server = await serve(echo, port=Listen(unix=path))
    assert server.addresses == (path,)
    assert path in repr(server)
    with pytest.raises(RuntimeError, match="listens on 0 TCP ports, not one"):
        _ = server.port
    stream = await trio.open_unix_socket(path)
    async with open_websocket("ws://localhost/", stream=stream) as ws:
        assert ws.remote_address == path
        await ws.send("hi")
        assert await ws.receive() == "hi"


async def test_closing_handshake(transport, serve, path) -> None:
    await serve(echo, port=Listen(unix=path))
    async with Peer(await trio.open_unix_socket(path)) as peer:
        await peer.shake(early=Frame(TEXT, b"hi"))
        assert await peer.read_frame() == Frame(TEXT, b"hi")
        await peer.send(close(4001, "x"))
        assert await peer.read_close() == (4001, "x")
        assert await peer.read_rest() == b""


@pytest.mark.parametrize("kind", ["str", "bytes", "Path"])
async def test_a_path_of_any_kind(serve, tmp_path, kind) -> None:
    path = tmp_path / "ws"
    given = {"str": str, "bytes": os.fsencode, "Path": lambda path: path}[kind](path)
    server = await serve(echo, port=Listen(unix=given))
    assert server.addresses == (str(path),)
    assert await greet(str(path)) == "hi"


# --- what is there already ---------------------------------------------------


async def test_a_socket_that_nobody_listens_behind_is_replaced(serve, path) -> None:
    bind(path).close()
    await serve(echo, port=Listen(unix=path))
    assert await greet(path) == "hi"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_socket_in_use_is_kept(path, kind) -> None:
    with bind(path, kind) as other:
        if kind == socket.SOCK_STREAM:
            other.listen(0)
            # Whether it has room for one more, or not.
            waiting = [socket.socket(socket.AF_UNIX) for _ in range(4)]
            for client in waiting:
                client.setblocking(False)
                client.connect_ex(path)
        with pytest.raises(OSError, match="Address already in use") as caught:
            await serve_websocket(echo, Listen(unix=path))
        assert (caught.value.errno, caught.value.filename) == (errno.EADDRINUSE, path)
        if kind == socket.SOCK_STREAM:
            for client in waiting:
                client.close()
    assert stat.S_ISSOCK(os.stat(path).st_mode)


async def test_a_server_is_not_replaced_by_another(serve, path) -> None:
    await serve(echo, port=Listen(unix=path))
    with pytest.raises(OSError, match="Address already in use"):
        await serve_websocket(echo, Listen(unix=path))
    assert await greet(path) == "hi"


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling"])
async def test_what_is_no_socket_is_kept(path, tmp_path, kind) -> None:
    other = tmp_path / "other"
    if kind == "file":
        os.mknod(path)
    elif kind == "folder":
        os.mkdir(path)
    else:
        if kind == "link":
            bind(str(other)).close()
        os.symlink(other, path)
    before = os.lstat(path)
    with pytest.raises(FileExistsError, match="a file that is no socket") as caught:
        await serve_websocket(echo, Listen(unix=path))
    assert caught.value.filename == path
    assert os.path.samestat(os.lstat(path), before)


async def test_what_cannot_be_made_names_the_path(tmp_path) -> None:
    path = str(tmp_path / "missing" / "ws")
    with pytest.raises(FileNotFoundError) as caught:
        await serve_websocket(echo, Listen(unix=path))
    assert caught.value.filename == path


# --- the mode ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "expected"), [(None, 0o750), (0o600, 0o600), (0o777, 0o777), (0, 0)]
)
async def test_the_mode_of_the_file(serve, path, mode, expected) -> None:
    before = os.umask(0o027)
    try:
        await serve(echo, port=Listen(unix=path, unix_mode=mode))
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == expected


async def test_nobody_can_connect_before_the_mode_is_set(
    serve, path, monkeypatch
) -> None:
    chmod, seen = os.chmod, []

    def connect_first(*args: object) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            seen.append(sock.connect_ex(path))
        chmod(*args)

    monkeypatch.setattr(os, "chmod", connect_first)
    await serve(echo, port=Listen(unix=path, unix_mode=0o600))
    assert seen == [errno.ECONNREFUSED]
    assert await greet(path) == "hi"


async def test_a_start_that_fails_leaves_no_file(path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(os, "chmod", fail)
    with pytest.raises(PermissionError):
        await serve_websocket(echo, Listen(unix=path, unix_mode=0o600))
    assert not is_there(path)


# --- two servers at once -------------------------------------------------------


async def test_a_server_that_starts_at_the_same_time_keeps_its_file(
    path, monkeypatch
) -> None:
    # It has bound its socket, and does not listen yet: as if the file were left over.
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    with bind(path) as other:

        def go_on(_: float) -> None:
            other.listen()
            fcntl.flock(directory, fcntl.LOCK_UN)

        monkeypatch.setattr(time, "sleep", go_on)
        with pytest.raises(OSError, match="in use"):
            await serve_websocket(echo, Listen(unix=path))
        assert is_there(path)
    os.close(directory)


async def test_a_lock_of_a_strangers_only_delays_a_start(
    serve, path, monkeypatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    bind(path).close()
    await serve(echo, port=Listen(unix=path))
    os.close(directory)
    assert 0 < sum(pauses) < 1
    assert await greet(path) == "hi"


async def test_one_starts_in_a_directory_that_it_cannot_read(serve, tmp_path) -> None:
    directory = tmp_path / "dark"
    directory.mkdir(mode=0o300)
    await serve(echo, port=Listen(unix=directory / "ws"))
    assert await greet(str(directory / "ws")) == "hi"


# --- the backlog -------------------------------------------------------------


async def test_the_backlog_is_what_the_kernel_keeps(serve, tmp_path) -> None:
    async def count(path: str, **options: int) -> int:
        await serve(echo, port=Listen(unix=path, **options))
        # Nothing is accepted meanwhile: no other task runs.
        clients = [socket.socket(socket.AF_UNIX) for _ in range(64)]
        for client in clients:
            client.setblocking(False)
        results = [client.connect_ex(path) for client in clients]
        for client in clients:
            client.close()
        assert set(results) <= {0, errno.EAGAIN}
        return results.count(0)

    # Linux keeps one more than it is told.
    assert await count(str(tmp_path / "a"), backlog=3) == 4
    assert await count(str(tmp_path / "b")) == 64


# --- the end -----------------------------------------------------------------


async def test_the_file_is_removed_at_the_end(transport, path, tmp_path) -> None:
    folder = os.getcwd()
    os.chdir(tmp_path)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_websocket, echo, Listen(unix="ws"))
            os.chdir(folder)
            assert is_there(path)
            nursery.cancel_scope.cancel()
    finally:
        os.chdir(folder)
    assert not is_there(path)


async def test_that_it_is_gone_already_is_no_error(path, no_errors_logged) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_websocket, echo, Listen(unix=path))
        os.unlink(path)
        nursery.cancel_scope.cancel()


async def test_the_file_of_a_newer_server_is_kept(transport, path) -> None:
    async def newer(ws) -> None:
        await ws.receive()
        await ws.send("new")

    async with trio.open_nursery() as outer:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_websocket, echo, Listen(unix=path))
            await outer.start(serve_websocket, newer, Listen(unix=f"{path}.new"))
            os.rename(f"{path}.new", path)
            nursery.cancel_scope.cancel()
        assert await greet(path) == "new"
        outer.cancel_scope.cancel()


async def test_a_newer_file_is_kept_though_the_older_server_still_ends(
    transport, path
) -> None:
    # By then all sockets are closed, and so the newer file may get the same inode.
    let_go = trio.Event()

    async def stubborn(ws) -> None:
        with trio.CancelScope(shield=True):
            await let_go.wait()

    async def serve(task_status: trio.TaskStatus[Server]) -> None:
        with scope:
            await serve_websocket(stubborn, Listen(unix=path), task_status=task_status)

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        async with Peer(await trio.open_unix_socket(path)) as peer:
            await peer.shake()
            scope.cancel()
            assert (await peer.read_close())[0] == 1001
            await peer.send(close(1001))
            assert await peer.read_rest() == b""
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ConnectionRefusedError):
            await trio.open_unix_socket(path)
        os.unlink(path)
        bind(path).close()
        let_go.set()
    assert is_there(path)


async def test_a_file_that_cannot_be_removed_is_a_warning(
    path, monkeypatch, caplog
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(errno.EPERM, "not permitted")

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_websocket, echo, Listen(unix=path))
            monkeypatch.setattr(os, "unlink", fail)
            scope.cancel()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == f"cannot remove {path!r}: not permitted"


async def test_it_leaves_no_descriptor_open(path) -> None:
    async def serve_once(listen: Listen) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_websocket, echo, listen)
            nursery.cancel_scope.cancel()

    await serve_once(Listen(unix=path))
    before = os.listdir("/proc/self/fd")
    await serve_once(Listen(unix=path))
    assert len(os.listdir("/proc/self/fd")) == len(before)
