"""Who sends a request, for `on_request`: limits by address, and mutual TLS."""

from __future__ import annotations

import ssl
from collections import Counter
from typing import Any

import pytest
import trio
import trustme

from tests.wire import dial, upgrade_request
from trio_fastws import (
    Accept,
    EventHandler,
    HandshakeError,
    HandshakeRefused,
    Limits,
    Request,
    Response,
    WebSocket,
    open_websocket,
)


async def hold(ws: WebSocket) -> None:
    await ws.wait_closed()


@pytest.mark.parametrize("waits", [False, True], ids=["soon", "later"])
async def test_the_address_of_a_client(transport, serve, waits) -> None:
    seen: list[Any] = []

    def note(request: Request) -> None:
        seen.append(request.remote_address)
        seen.append(request.peer_certificate)

    async def note_later(request: Request) -> None:
        await trio.lowlevel.checkpoint()
        note(request)

    server = await serve(hold, on_request=note_later if waits else note)
    async with await dial(server.port) as peer:
        await peer.shake()
        assert seen == [peer.stream.socket.getsockname(), None]


async def test_a_limit_by_address(serve) -> None:
    # As a user would write it.
    most = 2
    open_by_host: Counter[str] = Counter()

    def on_request(request: Request) -> Accept[str] | Response:
        host = request.remote_address[0]
        if open_by_host[host] >= most:
            return Response(429, [("Retry-After", "10")])
        open_by_host[host] += 1
        return Accept(session=host)

    class Counting(EventHandler[str]):
        def on_close(self, ws: WebSocket[str]) -> None:
            open_by_host[ws.session] -= 1
            left.set()

    left = trio.Event()
    server = await serve(Counting(), on_request=on_request)
    url = f"ws://127.0.0.1:{server.port}"
    async with open_websocket(url), open_websocket(url) as second:
        with pytest.raises(HandshakeRefused) as caught:
            async with open_websocket(url):
                pass
        assert caught.value.status == 429
        assert ("Retry-After", "10") in caught.value.headers
        await second.aclose()
        await left.wait()
        async with open_websocket(url):
            pass


async def test_the_request_of_a_websocket_knows_it_too(transport, serve) -> None:
    seen: list[Any] = []
    done = trio.Event()

    async def look(ws: WebSocket) -> None:
        assert ws.request is not None
        seen.append(ws.request.remote_address)
        seen.append(ws.remote_address)
        done.set()
        await ws.wait_closed()

    for limits in (Limits(), Limits(keep_request=True)):
        server = await serve(look, limits=limits, on_request=lambda request: None)
        async with await dial(server.port) as peer:
            await peer.shake()
            await done.wait()
            assert seen == [peer.stream.socket.getsockname()] * 2
        seen.clear()
        done = trio.Event()


async def test_mutual_tls(transport, serve) -> None:
    ca = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(server_context)
    ca.configure_trust(server_context)
    server_context.verify_mode = ssl.CERT_OPTIONAL
    client_context = ssl.create_default_context()
    ca.configure_trust(client_context)
    names: list[str] = []

    def on_request(request: Request) -> Accept | Response:
        certificate = request.peer_certificate
        if certificate is None:
            return Response(403, body="a certificate, please\n")
        names.extend(value for _, value in certificate["subjectAltName"])
        return Accept(session=names[0])

    async def who(ws: WebSocket) -> None:
        await ws.send(ws.session)

    server = await serve(who, ssl_context=server_context, on_request=on_request)
    url = f"wss://localhost:{server.port}"
    with pytest.raises(HandshakeRefused, match="a certificate, please"):
        async with open_websocket(url, ssl_context=client_context):
            pass
    ca.issue_cert("ada@example.org").configure_cert(client_context)
    async with open_websocket(url, ssl_context=client_context) as ws:
        assert await ws.receive() == "ada@example.org"
    assert names == ["ada@example.org"]


def test_of_a_request_made_by_hand_nothing_is_known() -> None:
    request = Request("GET", "/", [("Host", "a")])
    assert (request.remote_address, request.peer_certificate) == (None, None)


def test_parse() -> None:
    head = upgrade_request("X-Name: Ada", target="/chat?room=1")
    request = Request.parse(head)
    assert (request.method, request.path, request.query) == ("GET", "/chat", "room=1")
    assert request.headers["x-name"] == "Ada"
    assert request.raw == head
    assert request.remote_address is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nmore", 400),
        (b"", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + bytes(70_000) + b"\r\n\r\n", 431),
    ],
)
def test_what_is_no_request_is_refused_in_words(head: bytes, status: int) -> None:
    with pytest.raises(HandshakeError) as caught:
        Request.parse(head)
    assert caught.value.status == status
    assert str(caught.value) == f"{status} {caught.value.reason}"


@pytest.mark.parametrize("head", ["GET / HTTP/1.1", bytearray(b"GET"), None])
def test_what_is_not_bytes_is_refused(head: Any) -> None:
    with pytest.raises(TypeError, match="head must be bytes, not"):
        Request.parse(head)
