"""`Listen`: where a server listens, and what goes with what."""

from __future__ import annotations

import dataclasses
import os
import socket
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.handlers import echo
from tests.wire import MemoryListener
from trio_fastws import Listen, open_websocket, serve_websocket

MEMORY = MemoryListener()
SOMAXCONN = int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "one of port, unix and listeners, not none"),
        ({"port": 0, "unix": "s"}, "not port and unix"),
        ({"port": 0, "listeners": []}, "not port and listeners"),
        (
            {"port": 0, "unix": "s", "listeners": [MEMORY]},
            "not port and unix and listeners",
        ),
        ({"unix": "s", "host": "::1"}, "host goes with port, not with unix"),
        ({"listeners": [MEMORY], "host": ""}, "host goes with port, not with listen"),
        ({"port": 0, "unix_mode": 0}, "unix_mode goes with unix, not with port"),
        ({"listeners": [MEMORY], "unix_mode": 0o600}, "unix_mode goes with unix, not"),
        (
            {"listeners": [MEMORY], "backlog": 0},
            "backlog goes with port or unix, not with listeners",
        ),
        ({"unix": "s", "reuse_port": True}, "reuse_port goes with port, not with unix"),
        ({"listeners": [MEMORY], "reuse_port": True}, "reuse_port goes with port, not"),
        (
            {"port": "80"},
            "port must be an int, not '80'; a path goes by unix=, a host by",
        ),
        ({"port": b"/s"}, "port must be an int, not b'/s'; a path goes by unix="),
        ({"port": True}, "port must be an int, not True"),
        ({"port": 0, "host": 5}, "host must be a str or bytes, not 5"),
        ({"unix": 5}, "unix must be a path, not 5"),
        ({"unix": "s", "unix_mode": "660"}, "unix_mode must be an int, not '660'"),
        ({"unix": "s", "unix_mode": True}, "unix_mode must be an int, not True"),
        ({"port": 0, "backlog": 1.5}, "backlog must be an int, not 1.5"),
        ({"port": 0, "reuse_port": 1}, "reuse_port must be True or False, not 1"),
        ({"listeners": MEMORY}, "listeners must be a list of listeners, not <"),
        ({"listeners": [5]}, "listeners holds 5, which is not a Listener"),
    ],
)
def test_what_does_not_go_together_is_a_type_error(options, words) -> None:
    with pytest.raises(TypeError, match=words):
        Listen(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": -1}, "port is -1; it must be 0 to 65535"),
        ({"port": 65536}, "port is 65536; it must be 0 to 65535"),
        ({"port": 0, "backlog": 0}, "backlog is 0; it must be 1 to 65535"),
        ({"unix": "s", "backlog": 65536}, "backlog is 65536; it must be 1 to 65535"),
        ({"unix": "s", "unix_mode": -1}, "it must be 0 to 0o777"),
        (
            {"unix": "s", "unix_mode": 660},
            r"unix_mode is 660 \(0o1224\); it must be 0 to 0o777",
        ),
        ({"unix": ""}, "unix is '', which is no path"),
        ({"unix": b""}, "unix is b'', which is no path"),
        ({"unix": "\0abstract"}, "which is no path"),
        ({"unix": "a" * 108}, "108 bytes; a path of a socket has at most 107"),
        # In UTF-8.
        ({"unix": "\xe4" * 60}, "120 bytes; a path of a socket has at most 107"),
        ({"listeners": []}, "listeners is empty"),
    ],
)
def test_what_is_out_of_its_range_is_a_value_error(options, words) -> None:
    with pytest.raises(ValueError, match=words):
        Listen(**options)


def test_it_is_frozen_and_holds_what_it_was_given(tmp_path) -> None:
    listen = Listen(unix=tmp_path, unix_mode=0o660, backlog=7)
    assert listen.unix == os.fspath(tmp_path)
    assert (listen.unix_mode, listen.backlog, listen.reuse_port) == (0o660, 7, False)
    assert Listen(listeners=iter([MEMORY])).listeners == (MEMORY,)
    with pytest.raises(dataclasses.FrozenInstanceError):
        listen.port = 5  # type: ignore[misc]


async def test_the_longest_path_can_be_had(serve, tmp_path) -> None:
    room = 107 - len(os.fsencode(tmp_path)) - 1
    if room < 1:
        pytest.skip("the folder's own path is too long")
    path = str(tmp_path / ("a" * room))
    server = await serve(echo, port=Listen(unix=path))
    assert server.addresses == (path,)


async def test_host_goes_into_it() -> None:
    with pytest.raises(TypeError, match=r"as in Listen\(8765, host='::1'\)"):
        await serve_websocket(echo, Listen(0), host="::1")


async def test_a_server_on_what_it_says(transport, serve) -> None:
    server = await serve(echo, port=Listen(0, host="127.0.0.1"))
    assert server.addresses == (("127.0.0.1", server.port),)
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        await ws.send("hi")
        assert await ws.receive() == "hi"


# --- the kernel's part -------------------------------------------------------


def listening(port: int) -> Iterator[socket.socket]:
    """Give the sockets of this process that listen on a port."""
    for name in os.listdir("/proc/self/fd"):
        try:
            fd = os.dup(int(name))
        except OSError:
            continue  # that of the listing itself
        try:
            sock = socket.socket(fileno=fd)
        except OSError:
            os.close(fd)
            continue
        with sock:
            inet = sock.family in (socket.AF_INET, socket.AF_INET6)
            if inet and sock.getsockname()[1] == port:
                yield sock


def backlog_of(sock: socket.socket) -> int:
    # `tcpi_sacked`, which for a listening socket is that: Linux, tcp_get_info().
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int(struct.unpack_from("8x6I", info)[5])


async def test_the_backlog_of_a_port(transport, serve) -> None:
    for backlog, expected in ((3, 3), (None, min(SOMAXCONN, 65535))):
        server = await serve(echo, port=Listen(0, backlog=backlog))
        found = [backlog_of(sock) for sock in listening(server.port)]
        assert found
        assert set(found) == {expected}


async def test_two_servers_share_a_port(transport, serve) -> None:
    first = await serve(echo, port=Listen(0, host="127.0.0.1", reuse_port=True))
    port = first.port
    second = await serve(echo, port=Listen(port, host="127.0.0.1", reuse_port=True))
    assert second.port == port
    # The kernel chooses by the client's address. It takes all of a thousand to one of
    # them about never.
    for _ in range(1000):
        async with open_websocket(f"ws://127.0.0.1:{port}/") as ws:
            await ws.send("hi")
            assert await ws.receive() == "hi"
        if first.statistics().accepted and second.statistics().accepted:
            break
    assert first.statistics().accepted
    assert second.statistics().accepted


@pytest.mark.parametrize(("first", "second"), [(False, True), (True, False)])
async def test_a_port_is_shared_only_by_who_wants_to(serve, first, second) -> None:
    listen = partial(Listen, host="127.0.0.1")
    server = await serve(echo, port=listen(0, reuse_port=first))
    with pytest.raises(OSError, match="in use"):
        await serve_websocket(echo, listen(server.port, reuse_port=second))


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")
async def test_a_shared_port_is_one_for_ipv4_and_ipv6(serve) -> None:
    first = await serve(echo, port=Listen(0, reuse_port=True))
    assert len(first.addresses) == 2
    second = await serve(echo, port=Listen(first.port, reuse_port=True))
    assert second.addresses == first.addresses
