"""Servers that say no, or nothing that can be understood."""

from __future__ import annotations

import pytest
import trio
from trio.testing import memory_stream_pair

from tests.bare import Peer, answer
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
    assert str(error) == "server answered 403 Go Away"
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


async def test_body_that_never_ends_is_bounded_by_the_timeout(
    transport, autojump_clock
) -> None:
    data = b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\nand then"
    ours, theirs = memory_stream_pair()
    await theirs.send_all(data)
    with pytest.raises((HandshakeRefused, trio.TooSlowError)) as caught:
        async with open_websocket(
            "ws://a/", stream=ours, timeouts=Timeouts(handshake=5)
        ):
            pytest.fail("entered")
    assert trio.current_time() < 5.1
    # The answer is known, if not to its end: it says more than "too slow".
    assert isinstance(caught.value, HandshakeRefused)
    assert caught.value.response is not None
    assert caught.value.response.status == 302
    assert caught.value.response.body == b"and then"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_refusal_that_has_no_body_is_not_waited_for(transport, status) -> None:
    error = await refused_by(f"HTTP/1.1 {status}\r\n\r\n".encode(), end=False)
    assert error.response is not None
    assert error.response.body == b""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (answer(accept="bm90IHJpZ2h0"), "Sec-WebSocket-Accept"),
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
    await peer.rest()


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


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 101 Swit", b"\x15\x03"])
async def test_server_that_closes_at_once(transport, data) -> None:
    error = await refused_by(data)
    assert str(error) == "server closed the connection without an answer"
    assert error.response is None


async def test_reset_is_named(transport, serve) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]

    async def server() -> None:
        peer = Peer(await listener.accept())
        await peer.read_head()
        await peer.reset()

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
