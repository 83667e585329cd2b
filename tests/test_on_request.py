"""`on_request`: plain HTTP beside WebSockets, and who may connect."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import lockstep_stream_pair, wait_all_tasks_blocked

from tests.handlers import echo
from tests.wire import (
    TEXT,
    Frame,
    Peer,
    dial,
    masked,
    plain_request,
    upgrade_request,
)
from trio_fastws import Request, Response, Timeouts

PAGE = Response(200, [("Content-Type", "text/html")], b"<h1>hello</h1>")


def page(request: Request) -> Response | None:
    return PAGE if request.path == "/page" else None


async def page_later(request: Request) -> Response | None:
    await trio.lowlevel.checkpoint()
    return page(request)


both = pytest.mark.parametrize("on_request", [page, page_later])


@both
async def test_get_is_answered_and_the_connection_ends(
    transport, serve, no_errors_logged, on_request
) -> None:
    server = await serve(echo, on_request=on_request)
    async with await dial(server.port) as peer:
        await peer.send(plain_request("/page"))
        answer = await peer.read_head()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Type: text/html\r\n" in answer
        assert b"Content-Length: 14\r\n" in answer
        assert b"Connection: close\r\n" in answer
        assert await peer.read_rest() == b"<h1>hello</h1>"


@both
async def test_head_gets_the_same_head_and_no_body(
    transport, serve, on_request
) -> None:
    server = await serve(echo, on_request=on_request)
    async with await dial(server.port) as peer:
        await peer.send(plain_request("/page", "GET"))
        expected = await peer.read_head()
    async with await dial(server.port) as peer:
        await peer.send(plain_request("/page", "HEAD"))
        assert await peer.read_head() == expected
        assert await peer.read_rest() == b""


@both
async def test_none_accepts_the_upgrade(transport, serve, on_request) -> None:
    server = await serve(echo, on_request=on_request)
    async with await dial(server.port) as peer:
        assert b" 101 " in await peer.shake()
        await peer.send(Frame(TEXT, b"hi"))
        assert await peer.read_frame() == Frame(TEXT, b"hi")


@both
async def test_none_for_a_plain_request_is_a_426(transport, serve, on_request) -> None:
    server = await serve(echo, on_request=on_request)
    for method in ("GET", "OPTIONS"):
        async with await dial(server.port) as peer:
            await peer.send(plain_request("/ws", method))
            answer = await peer.read_head()
            # RFC 9110 15.5.22: MUST send an Upgrade field in a 426
            assert answer.startswith(b"HTTP/1.1 426 ")
            assert b"Upgrade: websocket\r\n" in answer
            assert b"Sec-WebSocket-Version: 13\r\n" in answer
            assert b"header is missing; /ws is for WebSockets" in await peer.read_rest()
    async with await dial(server.port) as peer:
        fields = b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
        await peer.send(plain_request("/ws")[:-2] + fields)
        assert b"426" in await peer.read_head()
        assert b"header is not 'websocket'; /ws is" in await peer.read_rest()


@both
@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /page HTTP/1.0\r\n\r\n",
        b"OPTIONS /page HTTP/1.0\r\n\r\n",
        b"HEAD /page HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
        b"GET /page HTTP/1.0\r\nHost: a:1\r\nConnection: close\r\n\r\n",
        b"OPTIONS /page HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"GET http://a/page HTTP/1.0\r\n\r\n",
    ],
)
async def test_health_checks_and_old_proxies_get_the_page(
    transport, serve, no_errors_logged, on_request, request_head
) -> None:
    server = await serve(echo, on_request=on_request)
    async with await dial(server.port) as peer:
        await peer.send(request_head)
        answer = await peer.read_head()
        # RFC 9112 2.3: the version of the answer is the server's own
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close\r\n" in answer
        body = b"" if request_head.startswith(b"HEAD") else b"<h1>hello</h1>"
        assert await peer.read_rest() == body


async def test_it_is_told_method_and_version(transport, serve) -> None:
    seen = []

    def on_request(request: Request) -> Response:
        seen.append((request.method, request.path, request.http_version, request.host))
        return Response(204)

    server = await serve(echo, on_request=on_request)
    for data in (
        b"OPTIONS * HTTP/1.0\r\n\r\n",
        plain_request("/a"),
        plain_request("/b", "HEAD"),
    ):
        async with await dial(server.port) as peer:
            await peer.send(data)
            assert b" 204 " in await peer.read_head()
            await peer.read_rest()
    assert seen == [
        ("OPTIONS", "*", "1.0", ""),
        ("GET", "/a", "1.1", "example.com"),
        ("HEAD", "/b", "1.1", "example.com"),
    ]


@pytest.mark.parametrize("without", [(), ("Upgrade", "Connection"), ("Host",)])
async def test_upgrade_over_1_0_is_refused_before_it_is_asked(
    transport, serve, no_errors_logged, without
) -> None:
    server = await serve(echo, on_request=lambda _: PAGE)
    async with await dial(server.port) as peer:
        await peer.send(upgrade_request(version="HTTP/1.0", without=without))
        answer = await peer.read_head()
        assert answer.startswith(b"HTTP/1.1 426 ")
        assert b"Upgrade: websocket\r\n" in answer
        assert b"proxy_http_version 1.1" in await peer.read_rest()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n", 405),
        (b"GET / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", 400),
        (b"OPTIONS / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET * HTTP/1.0\r\n\r\n", 400),
    ],
)
async def test_what_is_refused_before_it_is_asked(
    transport, serve, no_errors_logged, request_head, status
) -> None:
    server = await serve(echo, on_request=lambda _: PAGE)
    async with await dial(server.port) as peer:
        await peer.send(request_head)
        assert int((await peer.read_head()).split()[1]) == status


@both
async def test_response_refuses_an_upgrade(transport, serve, on_request) -> None:
    server = await serve(echo, on_request=on_request)
    async with await dial(server.port) as peer:
        await peer.send(upgrade_request(target="/page"))
        assert b" 200 " in await peer.read_head()
        assert await peer.read_rest() == b"<h1>hello</h1>"
    assert server.statistics().accepted == 0


async def test_request_says_all_there_is(transport, serve) -> None:
    seen = []

    def on_request(request: Request) -> Response | None:
        headers = request.headers
        seen.append((request.method, request.path, request.query, headers["X-A"]))
        return None

    server = await serve(echo, on_request=on_request)
    async with await dial(server.port) as peer:
        await peer.send(upgrade_request("X-A: b", target="/p?q=1"))
        await peer.read_head()
    assert seen == [("GET", "/p", "q=1", "b")]


def fail(request: Request) -> Response | None:
    raise ValueError("on purpose")


async def fail_later(request: Request) -> Response | None:
    await trio.lowlevel.checkpoint()
    raise ValueError("on purpose")


def wrong(request: Request) -> Response | None:
    return Response(204, [("Content-Length", "0")])


def nonsense(request: Request) -> Response | None:
    return "a page"  # type: ignore[return-value]


@pytest.mark.parametrize("on_request", [fail, fail_later, wrong, nonsense])
async def test_failure_is_a_500_and_is_logged_once(
    transport, serve, caplog, on_request
) -> None:
    server = await serve(echo, on_request=on_request)
    for request in (plain_request(), upgrade_request()):
        caplog.clear()
        async with await dial(server.port) as peer:
            await peer.send(request)
            assert b" 500 " in await peer.read_head()
            assert b"on purpose" not in await peer.read_rest()
        (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert record.exc_info is not None


async def test_early_frames_are_kept_while_it_decides(
    transport, serve, no_errors_logged
) -> None:
    go_on = trio.Event()

    async def on_request(_: Request) -> Response | None:
        await go_on.wait()
        return None

    server = await serve(echo, on_request=on_request)
    async with await dial(server.port) as peer:
        # With the head, in the read after it, and in one that must wait.
        await peer.send(upgrade_request(), Frame(TEXT, b"1"))
        await wait_all_tasks_blocked()
        await peer.send(Frame(TEXT, b"2"))
        await wait_all_tasks_blocked()
        await peer.send(Frame(TEXT, b"3"))
        await wait_all_tasks_blocked()
        go_on.set()
        assert b" 101 " in await peer.read_head()
        for text in (b"1", b"2", b"3"):
            assert await peer.read_frame() == Frame(TEXT, text)


async def test_flood_of_early_data_is_held_back(transport, serve) -> None:
    go_on = trio.Event()

    async def on_request(_: Request) -> Response | None:
        await go_on.wait()
        return None

    server = await serve(echo, on_request=on_request)
    data = masked(Frame(TEXT, b"x" * 50_000)) * 400
    async with await dial(server.port) as peer, trio.open_nursery() as nursery:
        await peer.send(upgrade_request())
        await wait_all_tasks_blocked()
        sent = trio.Event()

        async def send_all() -> None:
            await peer.send(data)
            sent.set()

        nursery.start_soon(send_all)
        await wait_all_tasks_blocked()
        assert not sent.is_set()
        go_on.set()
        await peer.read_head()
        for _ in range(400):
            assert await peer.read_frame() == Frame(TEXT, b"x" * 50_000)


async def test_it_shares_the_handshake_timeout(
    transport, serve, memory, autojump_clock, no_errors_logged
) -> None:
    cancelled = []

    async def on_request(_: Request) -> Response | None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(trio.current_time())

    options = {"listeners": [memory], "timeouts": Timeouts(handshake=6)}
    server = await serve(echo, on_request=on_request, **options)
    async with Peer(memory.connect()) as peer:
        await trio.sleep(2)
        await peer.send(upgrade_request())
        await peer.read_rest()
    assert len(cancelled) == 1
    assert 6 <= cancelled[0] < 6.1
    assert server.statistics().handshakes == 0


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_peer_that_leaves_meanwhile_cancels_it(
    transport, serve, no_errors_logged, how
) -> None:
    asked, cancelled = trio.Event(), trio.Event()

    async def on_request(_: Request) -> Response | None:
        try:
            asked.set()
            await trio.sleep_forever()
        finally:
            cancelled.set()

    server = await serve(echo, on_request=on_request)
    peer = await dial(server.port)
    await peer.send(upgrade_request())
    await asked.wait()
    if how == "reset":
        peer.reset()
    else:
        await peer.stream.aclose()
    await cancelled.wait()
    assert server.statistics().handshakes == 0


async def test_large_answer_goes_out_whole_to_a_slow_reader(transport, serve) -> None:
    body = bytes(range(256)) * 40_000
    server = await serve(echo, on_request=lambda _: Response(200, (), body))
    async with await dial(server.port, receive_buffer=4096) as peer:
        await peer.send(plain_request())
        await wait_all_tasks_blocked()
        await peer.read_head()
        assert await peer.read_rest() == body


async def test_large_answer_goes_on_when_more_bytes_come(
    transport, serve, memory
) -> None:
    body = bytes(1_000_000)

    async def on_request(_: Request) -> Response:
        await wait_all_tasks_blocked()
        return Response(200, (), body)

    await serve(echo, on_request=on_request, listeners=[memory])
    async with Peer(memory.connect(lockstep_stream_pair)) as peer:
        await peer.send(plain_request())
        await wait_all_tasks_blocked()
        await peer.send(b"more")
        await peer.read_head()
        assert await peer.read_rest() == body


@pytest.mark.parametrize("size", [50_000, 1_000_000])
async def test_answer_that_nobody_reads_is_given_up(
    transport, serve, memory, autojump_clock, no_errors_logged, size
) -> None:
    body = bytes(size)
    timeouts = Timeouts(handshake=6, close=2, write_stall=20)
    options = {"listeners": [memory], "timeouts": timeouts}
    server = await serve(echo, on_request=lambda _: Response(200, (), body), **options)
    async with Peer(memory.connect(lockstep_stream_pair)) as peer:
        await peer.send(plain_request())
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012 - at some time
            while True:
                await peer.send(b"still here")
                await trio.sleep(0.5)
        assert 20 <= trio.current_time() < 24
    assert server.statistics().handshakes == 0


async def read_slowly(peer: Peer, pause: float, size: int) -> int:
    """Read an answer in small bites; return how many bytes there were."""
    count = 0
    while data := await peer.stream.receive_some(size):
        count += len(data)
        await trio.sleep(pause)
    return count


async def test_slow_but_steady_reader_gets_all_of_a_page(
    transport, serve, memory, autojump_clock, no_errors_logged
) -> None:
    body = bytes(300_000)
    timeouts = Timeouts(handshake=2, close=2, write_stall=20)
    options = {"listeners": [memory], "timeouts": timeouts}
    server = await serve(echo, on_request=lambda _: Response(200, (), body), **options)
    async with Peer(memory.connect(lockstep_stream_pair)) as peer:
        await peer.send(plain_request())
        # 10 kB/s: half a minute, and seven for each piece that the stream takes.
        assert await read_slowly(peer, 1, 10_000) > len(body)
        assert trio.current_time() > 30
    assert server.statistics().handshakes == 0


@pytest.mark.parametrize("kind", ["plain", "TLS"])
async def test_page_that_the_system_holds_goes_out_whole(
    transport, serve, autojump_clock, no_errors_logged, server_tls, client_tls, kind
) -> None:
    # All of it fits into what two systems hold; the peer takes its time.
    body = bytes(200_000)
    options = {"ssl_context": server_tls} if kind == "TLS" else {}
    await_all = Timeouts(handshake=2, close=2, write_stall=20)
    server = await serve(
        echo,
        on_request=lambda _: Response(200, (), body),
        timeouts=await_all,
        **options,
    )
    async with await dial(server.port, receive_buffer=8192) as peer:
        if kind == "TLS":
            peer.stream = trio.SSLStream(
                peer.stream,
                client_tls,
                server_hostname="localhost",
                https_compatible=True,
            )
        await peer.send(plain_request())
        assert await read_slowly(peer, 0.5, 3000) > len(body)
    assert trio.current_time() > 30


async def test_peer_that_ends_its_direction_behind_the_request_is_answered(
    transport, serve, memory, no_errors_logged
) -> None:
    # As `nc -N` does, and some health checks.
    decide = trio.Event()

    async def on_request(_: Request) -> Response:
        await decide.wait()
        return PAGE

    server = await serve(echo, listeners=[memory], on_request=on_request)
    async with Peer(memory.connect()) as peer:
        await peer.send(plain_request())
        await peer.send_eof()
        await wait_all_tasks_blocked()
        decide.set()
        assert await peer.read_head()
        assert await peer.read_rest() == b"<h1>hello</h1>"
    await wait_all_tasks_blocked()
    assert server.statistics().handshakes == 0


async def test_the_same_over_tcp(transport, serve, no_errors_logged) -> None:
    ended = trio.Event()

    async def on_request(_: Request) -> Response:
        await ended.wait()
        await trio.sleep(0.01)
        return PAGE

    server = await serve(echo, on_request=on_request)
    async with await dial(server.port) as peer:
        await peer.send(plain_request())
        await peer.send_eof()
        ended.set()
        assert await peer.read_head()
        assert await peer.read_rest() == b"<h1>hello</h1>"


async def test_large_answer_goes_out_whole_to_a_peer_that_has_ended_its_direction(
    transport, serve, memory, no_errors_logged
) -> None:
    body = bytes(1_000_000)

    async def on_request(_: Request) -> Response:
        # Meanwhile the connection is read.
        await trio.lowlevel.checkpoint()
        return Response(200, (), body)

    await serve(echo, listeners=[memory], on_request=on_request)
    async with Peer(memory.connect(lockstep_stream_pair)) as peer:
        await peer.send(plain_request())
        await wait_all_tasks_blocked()
        await peer.send_eof()
        await wait_all_tasks_blocked()
        await peer.read_head()
        assert await peer.read_rest() == body
