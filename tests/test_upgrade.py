"""`upgrade`: taking over a connection whose request somebody else has read."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

from tests.wire import (
    TEXT,
    WEBSOCKET_ACCEPT,
    WEBSOCKET_KEY,
    Frame,
    Peer,
    close,
    masked,
)
from trio_fastws import HandshakeError, Request, Timeouts, upgrade


def request(*fields: tuple[str, str], target: str = "/chat?x=y") -> Request:
    return Request(
        "GET",
        target,
        [
            ("Host", "example.com"),
            ("Upgrade", "websocket"),
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Key", WEBSOCKET_KEY),
            ("Sec-WebSocket-Version", "13"),
            *fields,
        ],
    )


async def test_answers_and_speaks(transport) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    async with upgrade(ours, request()) as ws:
        assert ws.request is not None
        assert ws.request.path == "/chat"
        assert f"Accept: {WEBSOCKET_ACCEPT}\r\n".encode() in await peer.read_head()
        await peer.send(Frame(TEXT, b"hi"))
        assert await ws.receive() == "hi"
        await ws.send("ho")
        assert await peer.read_frame() == Frame(TEXT, b"ho")
        await peer.send(close(1000))
        await peer.send_eof()
    assert await peer.read_close() == (1000, "")
    assert await peer.read_rest() == b""


@pytest.mark.parametrize("cut", range(10))
async def test_early_bytes_belong_to_the_websocket(transport, cut) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    data = masked(Frame(TEXT, b"one")) + masked(Frame(TEXT, b"two"))
    await peer.send(data[cut:])
    async with upgrade(ours, request(), early=data[:cut]) as ws:
        assert await ws.receive() == "one"
        assert await ws.receive() == "two"
        await peer.send(close(1000))
        await peer.send_eof()


async def test_more_early_bytes_than_a_read_are_refused(transport) -> None:
    ours, _ = memory_stream_pair()
    with pytest.raises(ValueError, match="early has 262145 bytes; it must be 262144"):
        async with upgrade(ours, request(), early=bytes(2**18 + 1)):
            pytest.fail("entered")


async def test_what_is_no_request_and_no_bytes_is_refused_at_once() -> None:
    ours, _ = memory_stream_pair()
    with pytest.raises(
        TypeError, match=r"request must be a Request, .* Request\.parse$"
    ):
        async with upgrade(ours, b"GET / HTTP/1.1\r\n\r\n"):  # type: ignore[arg-type]
            pytest.fail("entered")
    with pytest.raises(TypeError, match="early must be bytes-like, not 'x'"):
        async with upgrade(ours, request(), early="x"):  # type: ignore[arg-type]
            pytest.fail("entered")


async def test_subprotocol_and_origin(transport) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    fields = ("Sec-WebSocket-Protocol", "a, b"), ("Origin", "https://a")
    async with upgrade(
        ours, request(*fields), subprotocols=["b"], origins=["https://a"]
    ) as ws:
        assert ws.subprotocol == "b"
        assert b"Sec-WebSocket-Protocol: b\r\n" in await peer.read_head()
        await peer.send(close(1000))
        await peer.send_eof()


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (request(("Sec-WebSocket-Key", WEBSOCKET_KEY)), 400),
        (request(("Origin", "https://b")), 403),
        (Request("GET", "/", [("Host", "a")]), 426),
    ],
)
async def test_bad_request_is_answered_and_raised(transport, bad, status) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    with pytest.raises(HandshakeError) as caught:
        async with upgrade(ours, bad, origins=["https://a"]):
            pytest.fail("entered")
    assert caught.value.status == status
    assert f"HTTP/1.1 {status} ".encode() in await peer.read_head()
    assert caught.value.reason.encode() in await peer.read_rest()


async def test_bad_request_of_a_client_that_is_gone(transport) -> None:
    ours, theirs = lockstep_stream_pair()
    await theirs.aclose()
    with pytest.raises(HandshakeError):
        async with upgrade(ours, Request("GET", "/", [("Host", "a")])):
            pytest.fail("entered")


async def test_exception_comes_out_as_it_is_and_the_peer_gets_1011(transport) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    await peer.send(close(1000))
    await peer.send_eof()
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:
        async with upgrade(ours, request()):
            raise error
    assert caught.value is error
    assert await peer.read_head()
    assert await peer.read_close() == (1011, "")


async def test_stream_is_closed_even_if_it_never_began(transport) -> None:
    ours, _ = memory_stream_pair()
    with trio.CancelScope() as scope:
        scope.cancel()
        async with upgrade(ours, request()):
            await trio.lowlevel.checkpoint()
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ("end", (1000, "")),
        ("own code", (4000, "mine")),
        ("cancelled", (1001, "")),
        ("error", (1011, "")),
    ],
)
async def test_the_close_code_says_how_the_block_was_left(
    transport, autojump_clock, how, seen
) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    with trio.move_on_after(5), suppress(ValueError):
        async with upgrade(ours, request(), timeouts=Timeouts(close=1)) as ws:
            if how == "own code":
                ws.close_nowait(4000, "mine")
            elif how == "cancelled":
                await trio.sleep_forever()
            elif how == "error":
                raise ValueError("x")
    await peer.read_head()
    assert await peer.read_close() == seen
