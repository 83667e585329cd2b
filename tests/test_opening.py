"""The opening handshake, seen by a peer at the other end of a real socket."""

from __future__ import annotations

import logging
import re

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.handlers import echo
from tests.wire import (
    TEXT,
    WEBSOCKET_ACCEPT,
    Frame,
    Peer,
    dial,
    masked,
    upgrade_request,
)
from trio_fastws import Limits, Timeouts, WebSocket


async def answer_to(port: int, request: bytes) -> tuple[int, bytes, bytes]:
    """Send a request; return status, head and body of an answer that ends."""
    async with await dial(port) as peer:
        await peer.send(request)
        answer = await peer.read_head()
        body = await peer.read_rest()
    length = re.search(rb"Content-Length: (\d+)", answer)
    assert length is not None
    assert int(length[1]) == len(body)
    assert b"close" in answer
    return int(answer.split()[1]), answer, body


async def test_101_carries_the_accept_key(transport, serve) -> None:
    server = await serve(echo)
    async with await dial(server.port) as peer:
        answer = await peer.shake()
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert f"Sec-WebSocket-Accept: {WEBSOCKET_ACCEPT}".encode() in answer


@pytest.mark.parametrize(
    ("request_head", "status", "words"),
    [
        (upgrade_request(without=("Host",)), 400, "Host header is missing"),
        (upgrade_request("Host: two"), 400, "Host header is repeated"),
        (
            upgrade_request(without=("Connection",)),
            400,
            "Connection header lacks 'Upgrade'",
        ),
        (upgrade_request(without=("Sec-WebSocket-Key",)), 400, "Sec-WebSocket-Key"),
        (upgrade_request("Content-Length: 5"), 400, "body"),
        (upgrade_request(method="POST"), 405, "not allowed"),
        (upgrade_request(without=("Upgrade",)), 426, "a proxy may have removed it"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426, "Upgrade header is missing"),
        (
            upgrade_request(
                "Sec-WebSocket-Version: 8", without=("Sec-WebSocket-Version",)
            ),
            426,
            "Sec-WebSocket-Version is not 13",
        ),
        (
            upgrade_request(*(f"X-{i}: 1" for i in range(200))),
            431,
            "over the limit of 128",
        ),
        (upgrade_request(f"Cookie: {'c' * 70_000}"), 431, "over the limit of 65536"),
        (upgrade_request(version="HTTP/1.0"), 426, "needs HTTP/1.1"),
        (upgrade_request(version="HTTP/2.0"), 505, "only HTTP/1.1 and 1.0"),
        (upgrade_request(method="OPTIONS"), 405, "a WebSocket needs GET"),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 426, None),
        (b"OPTIONS / HTTP/1.0\r\n\r\n", 426, "Upgrade header is missing"),
        (upgrade_request(method="BREW"), 501, "not known"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "not an HTTP request"),
    ],
)
async def test_refusal_tells_status_and_reason(
    transport, serve, no_errors_logged, request_head, status, words
) -> None:
    server = await serve(echo)
    if words is None:  # HEAD
        async with await dial(server.port) as peer:
            await peer.send(request_head)
            assert int((await peer.read_head()).split()[1]) == status
            assert await peer.read_rest() == b""
        return
    got, _, body = await answer_to(server.port, request_head)
    assert got == status
    assert words in body.decode()
    assert body.endswith(b".\n")


async def test_405_and_426_tell_what_would_do(transport, serve) -> None:
    server = await serve(echo)
    _, answer, _ = await answer_to(server.port, upgrade_request(method="POST"))
    assert b"Allow: GET, HEAD, OPTIONS\r\n" in answer
    _, answer, _ = await answer_to(server.port, upgrade_request(without=("Upgrade",)))
    assert b"Upgrade: websocket" in answer
    assert b"Sec-WebSocket-Version: 13" in answer


async def test_head_may_come_byte_by_byte(transport, serve) -> None:
    server = await serve(echo)
    async with await dial(server.port) as peer:
        for byte in upgrade_request():
            await peer.send(bytes([byte]))
            await trio.lowlevel.checkpoint()
        assert (await peer.read_head()).startswith(b"HTTP/1.1 101 ")


async def test_bytes_behind_the_head_belong_to_the_websocket(transport, serve) -> None:
    server = await serve(echo)
    async with await dial(server.port) as peer:
        await peer.shake(
            early=masked(Frame(TEXT, b"early")) + masked(Frame(TEXT, b"ly"))
        )
        assert await peer.read_frame() == Frame(TEXT, b"early")
        assert await peer.read_frame() == Frame(TEXT, b"ly")


async def test_frame_may_begin_in_the_read_of_the_head(transport, serve) -> None:
    server = await serve(echo)
    data = upgrade_request() + masked(Frame(TEXT, b"split"))
    for cut in range(len(upgrade_request()) - 5, len(data)):
        async with await dial(server.port) as peer:
            await peer.send(data[:cut])
            await wait_all_tasks_blocked()
            await peer.send(data[cut:])
            await peer.read_head()
            assert await peer.read_frame() == Frame(TEXT, b"split")


@pytest.mark.parametrize(
    ("origins", "origin", "status"),
    [
        (["https://a.example"], "https://a.example", 101),
        (["https://a.example"], "https://b.example", 403),
        (["https://a.example"], None, 403),
        (["https://a.example", None], None, 101),
        ([re.compile(r"https://\w+\.example")], "https://b.example", 101),
        ([re.compile(r"https://\w+\.example")], "https://b.example.evil", 403),
        ([re.compile(r"https://\w+\.example")], None, 403),
        (None, "https://anything", 101),
    ],
)
async def test_origin(transport, serve, origins, origin, status) -> None:
    server = await serve(echo, origins=origins)
    fields = [] if origin is None else [f"Origin: {origin}"]
    async with await dial(server.port) as peer:
        answer = await peer.shake(*fields)
        assert int(answer.split()[1]) == status
        if status == 403:
            assert b"Origin is" in await peer.read_rest()


@pytest.mark.parametrize(
    ("supported", "offered", "chosen"),
    [
        (["b", "a"], "a, b", "b"),
        (["c"], "a, b", None),
        (["a"], None, None),
        ([], "a", None),
    ],
)
async def test_subprotocol(transport, serve, supported, offered, chosen) -> None:
    seen = []

    async def handler(ws: WebSocket) -> None:
        seen.append(ws.subprotocol)
        await ws.wait_closed()

    server = await serve(handler, subprotocols=supported)
    fields = [] if offered is None else [f"Sec-WebSocket-Protocol: {offered}"]
    async with await dial(server.port) as peer:
        await peer.send(upgrade_request(*fields, target="/chat"))
        answer = await peer.read_head()
        await wait_all_tasks_blocked()
    assert seen == [chosen]
    line = f"Sec-WebSocket-Protocol: {chosen}\r\n".encode()
    assert (line in answer) == (chosen is not None)


@pytest.mark.parametrize(
    "noise",
    [b"", b"\0", b"\x16\x03\x01\x00\xa5\x01", b"GET / HT", b"SSH-2.0-scan\r\n"],
    ids=["health check", "zero", "TLS", "half a head", "ssh"],
)
@pytest.mark.parametrize("reset", [False, True])
async def test_noise_is_one_debug_line(
    transport, serve, no_errors_logged, noise, reset
) -> None:
    server = await serve(echo)
    peer = await dial(server.port)
    if noise:
        await peer.send(noise)
    if reset:
        peer.reset()
    else:
        await peer.stream.aclose()
    while server.statistics().handshakes or not no_errors_logged.records:
        await trio.lowlevel.checkpoint()
    await wait_all_tasks_blocked()
    assert [r.levelno for r in no_errors_logged.records] == [logging.DEBUG]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (b"GET / HTTP/1.1\nHost: a\n\n", b"LF alone"),
        (upgrade_request()[:-2] + b"X: y\n\n", b"LF alone"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", b"PROXY protocol"),
        (b"PROXY UNKNOWN\r\n" + upgrade_request(), b"PROXY protocol"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", None),
        (b"\x16\x03\x01\x02\x00\x01", b"TLS"),
        (b"GET / HTTP/1.1\r\nHost a\r\n", b"malformed request"),
        (b"POST / HTTP/1.1\r\n", b"not allowed"),
    ],
)
async def test_what_is_no_request_is_refused_at_once(
    transport, serve, memory, autojump_clock, no_errors_logged, noise, words, size
) -> None:
    await serve(echo, listeners=[memory])
    async with Peer(memory.connect()) as peer:
        for at in range(0, len(noise), size):
            await peer.send(noise[at : at + size])
            await wait_all_tasks_blocked()
        assert (await peer.read_head()).startswith(b"HTTP/1.1 40")
        body = await peer.read_rest()
        assert trio.current_time() < 1
    if words is not None:
        assert words in body
    elif size == 1000:
        assert b"PROXY protocol" in body


async def test_slow_head_is_given_up_after_the_handshake_timeout(
    transport, serve, memory, autojump_clock, no_errors_logged
) -> None:
    await serve(echo, listeners=[memory], timeouts=Timeouts(handshake=7))
    started = trio.current_time()
    async with Peer(memory.connect()) as peer, trio.open_nursery() as nursery:

        async def trickle() -> None:
            for byte in upgrade_request():
                await peer.send(bytes([byte]))
                await trio.sleep(1)

        nursery.start_soon(trickle)
        assert await peer.read_rest() == b""
        assert 7 <= trio.current_time() - started < 7.1
        nursery.cancel_scope.cancel()


async def test_silent_peer_is_given_up_after_the_handshake_timeout(
    transport, serve, memory, autojump_clock
) -> None:
    server = await serve(echo, listeners=[memory], timeouts=Timeouts(handshake=3))
    async with Peer(memory.connect()) as peer:
        await wait_all_tasks_blocked()
        assert server.statistics().handshakes == 1
        assert await peer.read_rest() == b""
        assert 3 <= trio.current_time() < 3.1
    assert server.statistics().handshakes == 0


async def test_head_limit_is_the_options(transport, serve) -> None:
    server = await serve(echo, limits=Limits(request_head=300, request_fields=8))
    status, _, _ = await answer_to(server.port, upgrade_request("X: " + "x" * 200))
    assert status == 431
    status, _, _ = await answer_to(
        server.port, upgrade_request("A: 1", "B: 1", "C: 1", "D: 1")
    )
    assert status == 431


async def test_head_without_an_end_is_refused_at_the_limit(transport, serve) -> None:
    server = await serve(echo, limits=Limits(request_head=300))
    endless = upgrade_request()[:-2] + b"X: " + b"x" * 400
    status, _, body = await answer_to(server.port, endless)
    assert status == 431
    assert b"over the limit of 300 bytes" in body
