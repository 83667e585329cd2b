"""Servers that say no, or nothing that can be understood."""

from __future__ import annotations

import copy
import pickle

import pytest
import trio
from trio.testing import memory_stream_pair

from tests.handlers import echo
from tests.wire import (
    Peer,
    upgrade_response,
)
from trio_fastws import HandshakeRefused, Limits, Timeouts, open_websocket


async def refused_by(
    data: bytes, *, end: bool = True, **options: object
) -> HandshakeRefused:
    """Dial a server that answers so; return what is raised."""
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)

    async def server() -> None:
        await peer.read_head()
        await peer.send(data)
        if end:
            await theirs.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(HandshakeRefused) as caught:
            async with open_websocket("ws://a/", stream=ours, **options):
                pytest.fail("entered")
        nursery.cancel_scope.cancel()
    return caught.value


@pytest.mark.parametrize("end", [False, True], ids=["open", "closed"])
async def test_refusal_carries_status_headers_and_body(transport, end) -> None:
    error = await refused_by(
        b"HTTP/1.1 403 Go Away\r\nContent-Length: 5\r\nX-Why: you\r\n\r\nnever",
        end=end,
    )
    assert str(error) == "server answered 403 Go Away: never"
    response = error.response
    assert response is not None
    assert (response.status, response.reason) == (403, "Go Away")
    assert response.headers["X-Why"] == "you"
    assert response.body == b"never"


async def test_body_without_a_length_goes_to_the_end(transport) -> None:
    error = await refused_by(b"HTTP/1.1 500 Oops\r\n\r\nsome words")
    assert error.response is not None
    assert error.response.body == b"some words"


@pytest.mark.parametrize("length", ["", "Content-Length: 200000\r\n"])
async def test_body_is_cut_at_64_kib(transport, length) -> None:
    error = await refused_by(
        f"HTTP/1.1 500 Oops\r\n{length}\r\n".encode() + bytes(200_000), end=False
    )
    assert error.response is not None
    assert error.response.body == bytes(65536)


async def test_body_that_ends_early_is_what_came(transport) -> None:
    error = await refused_by(b"HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\nhalf")
    assert error.response is not None
    assert error.response.body == b"half"


CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("handshake", [0.5, 5])
@pytest.mark.parametrize(
    ("framing", "body", "read"),
    [
        (b"", b"and then", b"and then"),
        (b"Content-Length: 100\r\n", b"and then", b"and then"),
        (CHUNKED, b"8\r\nand then\r\n5\r\n", b"and then"),
        (CHUNKED, b"", b""),
    ],
)
async def test_body_that_never_ends_is_waited_for_a_second(
    transport, autojump_clock, handshake, framing, body, read
) -> None:
    data = b"HTTP/1.1 302 Found\r\nLocation: /\r\n" + framing + b"\r\n" + body
    ours, theirs = memory_stream_pair()
    await theirs.send_all(data)
    with pytest.raises((HandshakeRefused, trio.TooSlowError)) as caught:
        async with open_websocket(
            "ws://a/", stream=ours, timeouts=Timeouts(handshake=handshake)
        ):
            pytest.fail("entered")
    assert trio.current_time() < min(handshake, 1) + 0.1
    # The answer is known, if not to its end: it says more than "too slow".
    assert isinstance(caught.value, HandshakeRefused)
    assert str(caught.value) == "server answered 302 Found to /"
    assert caught.value.response is not None
    assert caught.value.response.status == 302
    assert caught.value.response.body == read


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 403 No\r\n\r\n",
        b"HTTP/1.1 403 No\r\nContent-Length: 9999\r\n\r\n",
        b"HTTP/1.1 403 No\r\n" + CHUNKED + b"\r\nffff\r\n",
        b"SSH-2.0",
    ],
)
async def test_a_peer_that_trickles_is_not_waited_for_longer(
    transport, autojump_clock, data
) -> None:
    ours, theirs = memory_stream_pair()

    async def server() -> None:
        await theirs.send_all(data)
        while True:
            await trio.sleep(0.3)
            await theirs.send_all(b"x")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(HandshakeRefused):
            async with open_websocket("ws://a/", stream=ours):
                pytest.fail("entered")
        assert 1 <= trio.current_time() < 1.1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        # node's writeHead and end: chunks, on a connection that is kept
        (
            b"HTTP/1.1 401 Unauthorized\r\nConnection: keep-alive\r\n"
            + CHUNKED
            + b"\r\n4\r\nwho \r\n8\r\nare you?\r\n0\r\n\r\n",
            "server answered 401 Unauthorized: who are you?",
        ),
        (
            b"HTTP/1.1 403 No\r\n" + CHUNKED + b"\r\n4\r\nlong\r\nzz\r\n",
            "server answered 403 No: long",
        ),
        (b"HTTP/1.1 205 Reset Content\r\n\r\n", "server answered 205 Reset Content"),
        (
            b"HTTP/1.0 400 Bad Request\r\nContent-Length: 8\r\n\r\nuse TLS\n",
            "server answered 400 Bad Request: use TLS",
        ),
        (b"HTTP/1.1 777 Odd\r\nContent-Length: 0\r\n\r\n", "server answered 777 Odd"),
        (
            b"HTTP/1.1 403 No\r\n" + b"X: y\r\n" * 203 + b"\r\nno",
            "server answered 403 No; its 203 header fields are over the limit of 128 "
            "(Limits.request_fields)",
        ),
        (
            b"HTTP/1.1 301 Moved Permanently\r\nLocation: https://a/\r\n"
            b"Content-Length: 0\r\n\r\n",
            "server answered 301 Moved Permanently to https://a/",
        ),
        (
            b"HTTP/1.1 400 Bad Request\nContent-Length: 0\n\n",
            "server answered 400 Bad Request; malformed response: a line ends with LF "
            "alone, not with CR LF",
        ),
        (
            b"SSH-2.0-OpenSSH_9.2\r\n",
            "server sent 'SSH-2.0-OpenSSH_9.2', which is no HTTP response: it looks "
            "like an SSH server",
        ),
        (
            b"\x15\x03\x03\x00\x02\x02\x16",
            r"server sent '\x15\x03\x03\x00\x02\x02\x16', which is no HTTP response: "
            "it looks like TLS; use wss://",
        ),
    ],
)
async def test_what_is_complete_is_told_at_once(
    transport, autojump_clock, data, words
) -> None:
    error = await refused_by(data, end=False)
    assert str(error) == words
    assert trio.current_time() < 0.1
    assert (error.response is None) == words.startswith("server sent")


async def test_a_refusal_over_tcp_that_comes_byte_by_byte(transport) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]

    async def server() -> None:
        data = b"HTTP/1.1 403 No\r\n" + CHUNKED + b"\r\n2\r\nno\r\n0\r\n\r\n"
        async with Peer(await listener.accept()) as peer:
            await peer.read_head()
            for place in range(len(data)):
                await peer.send(data[place : place + 1])
            assert await peer.read_rest() == b""

    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(HandshakeRefused) as caught:
            async with open_websocket(f"ws://127.0.0.1:{port}/"):
                pytest.fail("entered")
    assert caught.value.response is not None
    assert caught.value.response.body == b"no"


async def test_a_refusal_survives_a_worker_process(transport) -> None:
    error = await refused_by(
        b"HTTP/1.1 777 Odd\r\nX: y\r\nContent-Length: 5\r\n\r\nwords"
    )
    for got in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert str(got) == "server answered 777 Odd: words"
        assert got.response == error.response
        assert got.response.body == b"words"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_refusal_that_has_no_body_is_not_waited_for(transport, status) -> None:
    error = await refused_by(f"HTTP/1.1 {status}\r\n\r\n".encode(), end=False)
    assert error.response is not None
    assert error.response.body == b""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (upgrade_response(accept="bm90IHJpZ2h0"), "Sec-WebSocket-Accept"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "Upgrade header is missing"),
    ],
)
async def test_101_that_is_not_good_says_why(transport, data, words) -> None:
    error = await refused_by(data, end=False)
    assert words in str(error)
    assert error.response is not None
    assert error.response.status == 101


@pytest.mark.parametrize(
    "field",
    ["Sec-WebSocket-Protocol: v9", "Sec-WebSocket-Extensions: permessage-deflate"],
)
async def test_what_was_not_offered_is_refused(transport, field) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.welcome, field)
        with pytest.raises(HandshakeRefused, match="was not offered"):
            async with open_websocket("ws://a/", stream=ours):
                pytest.fail("entered")
    await peer.read_rest()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x16\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
    ],
)
async def test_what_is_not_http_has_no_response(transport, data) -> None:
    error = await refused_by(data, end=False)
    assert error.response is None
    assert "server" in str(error)


@pytest.mark.parametrize(
    ("data", "message", "status"),
    [
        (
            b"",
            "server closed the connection without an answer; is it a wss:// port?",
            None,
        ),
        (
            b"HTTP/1.1 101 Swit",
            "server answered 101 Swit; it closed the connection in the middle of that",
            101,
        ),
        (b"\x15\x03", r"server sent '\x15\x03', which is no HTTP response", None),
    ],
)
async def test_server_that_closes_at_once(transport, data, message, status) -> None:
    error = await refused_by(data)
    assert str(error) == message
    assert (error.response and error.response.status) == status


async def test_a_server_of_tls_that_is_dialled_without(
    transport, serve, server_tls
) -> None:
    server = await serve(echo, ssl_context=server_tls)
    with pytest.raises(HandshakeRefused, match=r"is it a wss:// port|use wss://"):
        async with open_websocket(f"ws://127.0.0.1:{server.port}/"):
            pytest.fail("entered")


async def test_reset_is_named(transport, serve) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]

    async def server() -> None:
        peer = Peer(await listener.accept())
        await peer.read_head()
        peer.reset()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(HandshakeRefused, match=r"(?i)reset by peer"):
            async with open_websocket(f"ws://127.0.0.1:{port}/"):
                pytest.fail("entered")
    await listener.aclose()


async def test_endless_head_is_refused_at_the_limit(transport) -> None:
    error = await refused_by(
        b"HTTP/1.1 101 OK\r\nX: " + bytes(b"x" * 5000),
        end=False,
        limits=Limits(request_head=1000),
    )
    assert "over the limit of 1000" in str(error)


async def test_endless_preludes_are_bounded_by_the_timeout(
    transport, autojump_clock
) -> None:
    ours, theirs = memory_stream_pair()

    async def server() -> None:
        while True:
            await theirs.send_all(b"HTTP/1.1 102 Processing\r\n\r\n")
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(trio.TooSlowError):
            async with open_websocket("ws://a/", stream=ours):
                pytest.fail("entered")
        assert 10 <= trio.current_time() < 10.1
        nursery.cancel_scope.cancel()
