"""nginx and HAProxy between client and server, set as the docs say."""

from __future__ import annotations

import re

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.handlers import Echo, echo
from tests.programs import ROOT
from tests.wire import (
    PING,
    PONG,
    TEXT,
    Frame,
    dial,
    plain_request,
    upgrade_request,
)
from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    HandshakeRefused,
    Limits,
    Listen,
    PerMessageDeflate,
    Request,
    Response,
    Timeouts,
    WebSocket,
    open_websocket,
)

pytestmark = pytest.mark.slow

CLOSE = b"\r\nConnection: close\r\n\r\n"
LARGE = bytes(range(256)) * (4 * 2**20 // 256)


@pytest.fixture(params=["async", "hooks"])
def handler(request: pytest.FixtureRequest):
    return echo if request.param == "async" else Echo()


def pages(request: Request) -> Response | None:
    """Answer everything but the WebSocket with a page."""
    if request.path == "/ws":
        return None
    return Response(200, {"Content-Type": "text/plain"}, f"{request.method}\n")


# --- a reverse proxy ---------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("deflate", [None, PerMessageDeflate()], ids=["", "deflate"])
async def test_messages_pass_both_ways(
    serve, proxy, handler, tls, deflate, client_tls, no_errors_logged
) -> None:
    server = await serve(handler, limits=Limits(message_size=2**23), deflate=deflate)
    port = proxy(server.port, tls=tls)
    url = f"ws{'s' * tls}://127.0.0.1:{port}/"
    context = client_tls if tls else None
    async with open_websocket(url, ssl_context=context, deflate=deflate) as ws:
        assert (ws.deflate is None) is (deflate is None)
        for message in ("grüße ✓", b"\x00\xff", "", LARGE):
            await ws.send(message)
            assert await ws.receive() == message
        assert await ws.ping() > 0
    assert ws.close_code == 1000


async def test_nginx_before_a_unix_socket(serve, proxies, tmp_path) -> None:
    guide = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^```nginx\n(.*\n)```$", guide, re.MULTILINE)
    path = tmp_path / "socket"
    await serve(echo, port=Listen(unix=path, unix_mode=0o660))
    port = proxies.nginx(line.replace("/run/chat.socket", str(path)))
    async with open_websocket(f"ws://127.0.0.1:{port}/") as ws:
        await ws.send("through a file")
        assert await ws.receive() == "through a file"


async def test_close_codes_pass_both_ways(serve, proxy, nursery) -> None:
    told: list[tuple[int | None, str | None]] = []

    async def close_when_asked(ws: WebSocket) -> None:
        if await ws.receive() == "you":
            await ws.aclose(4001, "as you wish")
        await ws.wait_closed()
        told.append((ws.close_code, ws.close_reason))

    server = await serve(close_when_asked)
    url = f"ws://127.0.0.1:{proxy(server.port)}/"
    async with open_websocket(url) as ws:
        await ws.send("you")
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        assert (caught.value.close_code, caught.value.close_reason) == (
            4001,
            "as you wish",
        )
    async with open_websocket(url) as ws:
        await ws.send("I")
        await ws.aclose(4002, "enough")
    while len(told) < 2:
        await wait_all_tasks_blocked(0.01)
    assert told[1] == (4002, "enough")


async def test_a_server_that_is_gone_is_an_abnormal_end(serve, proxy) -> None:
    async def gone(ws: WebSocket) -> None:
        await ws.receive()
        ws._abort("on purpose")

    server = await serve(gone)
    async with open_websocket(f"ws://127.0.0.1:{proxy(server.port)}/") as ws:
        await ws.send("go")
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        assert caught.value.close_code == 1006


# How long each of them lets a connection be silent.
IMPATIENT = {"nginx": "proxy_read_timeout 2s;", "haproxy": "timeout tunnel 2s"}


@pytest.fixture(params=list(IMPATIENT))
def impatient(request: pytest.FixtureRequest, proxies):
    """Give what starts a proxy that ends a connection after two silent seconds."""
    start = getattr(proxies, request.param)
    return lambda upstream: start(upstream, IMPATIENT[request.param])


async def test_pings_keep_a_connection_open(serve, impatient, handler) -> None:
    # With the default of ping_timeout, 20 s.
    server = await serve(handler, timeouts=Timeouts(ping_interval=0.7))
    async with await dial(impatient(server.port)) as peer:
        await peer.send(upgrade_request())
        assert (await peer.read_head()).startswith(b"HTTP/1.1 101 ")
        for _ in range(5):  # they take more than 2 s, whatever the first one's jitter
            frame = await peer.read_frame()
            assert frame.opcode == PING
            await peer.send(Frame(PONG, frame.payload))
        await peer.send(Frame(TEXT, b"still here"))
        assert await peer.read_frame() == Frame(TEXT, b"still here")


async def test_pings_of_a_client_keep_it_open_too(serve, impatient, nursery) -> None:
    pinged, heard = trio.open_memory_channel[None](5)

    class Pinged(EventHandler):
        def on_ping(self, ws: WebSocket, payload: bytes) -> None:
            pinged.send_nowait(None)

        def on_message(self, ws: WebSocket, message: str | bytes) -> None:
            ws.send_nowait(message)

    server = await serve(Pinged(), timeouts=Timeouts(ping_interval=None))
    url = f"ws://127.0.0.1:{impatient(server.port)}/"
    async with open_websocket(url, timeouts=Timeouts(ping_interval=0.7)) as ws:
        for _ in range(5):
            await heard.receive()
        await ws.send("still here")
        assert await ws.receive() == "still here"


async def test_without_pings_the_proxy_ends_it(serve, impatient, handler) -> None:
    quiet = Timeouts(ping_interval=None)
    server = await serve(handler, timeouts=quiet)
    url = f"ws://127.0.0.1:{impatient(server.port)}/"
    async with open_websocket(url, timeouts=quiet) as ws:
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        assert caught.value.close_code == 1006


# --- pages, and what nginx does untold ---------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_pages_pass(serve, proxy, method) -> None:
    server = await serve(echo, on_request=pages)
    await check_page(proxy(server.port), method)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_page_passes_an_nginx_that_speaks_http_1_0(
    serve, proxies, method
) -> None:
    server = await serve(echo, on_request=pages)
    await check_page(proxies.nginx(server.port, page=False), method)


async def check_page(port: int, method: str) -> None:
    async with await dial(port) as peer:
        await peer.send(plain_request(method=method).replace(b"\r\n\r\n", CLOSE))
        answer = await peer.read_rest()
    fields, _, body = answer.partition(b"\r\n\r\n")
    assert fields.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ncontent-type: text/plain" in fields.lower()
    assert body == (b"GET\n" if method == "GET" else b"")


async def test_an_nginx_that_was_not_told_to_upgrade_is_named(serve, proxies) -> None:
    server = await serve(echo, on_request=pages)
    port = proxies.nginx(server.port, page=False)
    with pytest.raises(HandshakeRefused) as caught:
        async with open_websocket(f"ws://127.0.0.1:{port}/ws"):
            pytest.fail("accepted")
    assert caught.value.response is not None
    assert caught.value.response.status == 426


# --- health checks -----------------------------------------------------------


class Checked:
    """Answers health checks, and tells when some have been answered."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.seen: list[str] = []
        self.enough = trio.Event()

    def __call__(self, request: Request) -> Response | None:
        self.seen.append(f"{request.method} {request.target}")
        if len(self.seen) == 4:
            self.enough.set()
        return Response(self.status, body="so it is\n")


# As fast as HAProxy can, and one answer decides.
OFTEN = "default-server inter 20ms fall 1 rise 1"


@pytest.mark.parametrize(
    ("check", "seen"),
    [
        ("option httpchk GET /health", "GET /health"),
        ("option httpchk HEAD /health", "HEAD /health"),
        ("option httpchk", "OPTIONS /"),
    ],
)
@pytest.mark.parametrize(
    ("status", "state"), [(200, ("UP", "L7OK")), (503, ("DOWN", "L7STS"))]
)
async def test_haproxy_checks_health(
    serve, proxies, check, seen, status, state, no_errors_logged
) -> None:
    checked = Checked(status)
    server = await serve(echo, on_request=checked)
    proxies.haproxy(server.port, OFTEN, check)
    await checked.enough.wait()
    assert set(checked.seen) == {seen}
    # Three checks at least were over when the fourth began.
    assert proxies.state_of_server() == state


async def test_haproxy_checks_that_somebody_listens(
    serve, proxies, no_errors_logged
) -> None:
    server = await serve(echo)
    proxies.haproxy(server.port, OFTEN)
    while (state := proxies.state_of_server())[1] in ("INI", ""):
        await wait_all_tasks_blocked(0.01)
    assert state == ("UP", "L4OK")
