"""The client: what it asks, what it accepts, how its block ends."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

import trio_fastws
from tests.handlers import echo
from tests.wire import (
    TEXT,
    Frame,
    Peer,
    close,
    unmasked,
)
from trio_fastws import (
    ConnectionBroken,
    HandshakeRefused,
    InvalidURL,
    Timeouts,
    WebSocket,
    open_websocket,
)


class Pair:
    """Both ends of a memory stream; ours is for the client."""

    def __init__(self) -> None:
        self.ours, theirs = memory_stream_pair()
        self.peer = Peer(theirs)


@pytest.fixture
def pair() -> Pair:
    return Pair()


async def goodbye(peer: Peer) -> tuple[int, str]:
    """End a connection as a server does; return the client's Close."""
    code = await peer.read_close()
    await peer.send(close(1000))
    await peer.stream.aclose()
    return code


async def test_request_says_what_was_asked(transport, pair) -> None:
    requests = []
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            line = "Sec-WebSocket-Protocol: v1"
            requests.append(await pair.peer.welcome(line, "X-Server: here"))
            await goodbye(pair.peer)

        nursery.start_soon(server)
        async with open_websocket(
            "ws://example.com:8080/path?query=1",
            stream=pair.ours,
            subprotocols=["v2", "v1"],
            headers=[("Authorization", "Bearer x"), ("Cookie", "a=b")],
            origin="https://example.com",
        ) as ws:
            assert ws.subprotocol == "v1"
            assert ws.response is not None
            assert ws.response.status == 101
            assert ws.response.headers["X-Server"] == "here"
    (request,) = requests
    lines = request.decode().split("\r\n")
    assert lines[0] == "GET /path?query=1 HTTP/1.1"
    for line in (
        "Host: example.com:8080",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: v2, v1",
        "Authorization: Bearer x",
        "Cookie: a=b",
        "Origin: https://example.com",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ([], [f"User-Agent: trio_fastws/{trio_fastws.__version__}"]),
        ([("user-agent", "mine/1")], ["User-Agent: mine/1"]),
        ([("User-Agent", "")], []),
    ],
)
async def test_user_agent_is_replaced_or_removed_by_headers(
    transport, pair, headers, sent
) -> None:
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            lines = (await pair.peer.welcome()).decode().split("\r\n")
            assert [line for line in lines if "agent" in line.lower()] == sent
            await goodbye(pair.peer)

        nursery.start_soon(server)
        async with open_websocket("ws://a/", stream=pair.ours, headers=headers):
            pass


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("ws://example.com/", "example.com"),
        ("ws://example.com:80/", "example.com"),
        ("ws://[::1]:9000/", "[::1]:9000"),
        ("ws://[2001:db8::1]/", "[2001:db8::1]"),
    ],
)
async def test_host_header(transport, pair, url, host) -> None:
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            assert f"\r\nHost: {host}\r\n".encode() in await pair.peer.welcome()
            await goodbye(pair.peer)

        nursery.start_soon(server)
        async with open_websocket(url, stream=pair.ours):
            pass


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_dials_ipv6(transport, serve) -> None:
    server = await serve(echo, host="::1")
    async with open_websocket(f"ws://[::1]:{server.port}/") as ws:
        await ws.send("six")
        assert await ws.receive() == "six"
        assert ws.remote_address[:2] == ("::1", server.port)


async def test_early_response_is_only_a_prelude(transport, pair) -> None:
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            await pair.peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            await pair.peer.welcome(behind=Frame(TEXT, b"first"))
            await goodbye(pair.peer)

        nursery.start_soon(server)
        async with open_websocket("ws://a/", stream=pair.ours) as ws:
            assert await ws.receive() == "first"
            assert ws.response is not None
            assert "Link" not in ws.response.headers


async def test_103_101_and_frames_may_come_in_one_read(transport, pair) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    behind = unmasked(Frame(TEXT, b"one")) + unmasked(Frame(TEXT, b"two"))[:3]
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            send, pair.peer.send = pair.peer.send, collect
            await pair.peer.welcome(behind=behind)
            pair.peer.send = send
            await send(early + sent[0])
            await wait_all_tasks_blocked()
            await send(unmasked(Frame(TEXT, b"two"))[3:])
            await goodbye(pair.peer)

        sent: list[bytes] = []

        async def collect(*items: Frame | bytes) -> None:
            sent.append(pair.peer.encode(*items))

        nursery.start_soon(server)
        async with open_websocket("ws://a/", stream=pair.ours) as ws:
            assert await ws.receive() == "one"
            assert await ws.receive() == "two"


@pytest.mark.parametrize("raised", [ValueError("x"), KeyboardInterrupt(), SystemExit()])
@pytest.mark.parametrize("broken", [False, True])
async def test_exception_of_the_body_comes_out_as_it_is(
    transport, pair, raised, broken
) -> None:
    closes = []

    async def server() -> None:
        await pair.peer.welcome()
        if broken:
            await pair.peer.stream.aclose()
        else:
            closes.append(await goodbye(pair.peer))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(type(raised)) as caught:  # noqa: PT012 - a block is tested
            async with open_websocket("ws://a/", stream=pair.ours) as ws:
                if broken:
                    await ws.wait_closed()
                raise raised
        assert caught.value is raised
    # Ctrl-C and `sys.exit` are no error: this endpoint is going away (RFC 6455 7.4.1).
    code = 1011 if isinstance(raised, ValueError) else 1001
    assert closes == ([] if broken else [(code, "")])


async def test_error_of_a_receive_in_the_body_comes_out_as_it_is(
    transport, serve
) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.aclose(4000, "go away")

    server = await serve(handler)
    with pytest.raises(ConnectionBroken) as caught:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
            await ws.receive()
    assert (caught.value.close_code, caught.value.close_reason) == (4000, "go away")


async def test_cancelled_body_is_cancelled_and_the_server_hears_of_it(
    transport, connect, serve
) -> None:
    gone = trio.Event()

    async def handler(ws: WebSocket) -> None:
        await ws.wait_closed()
        gone.set()

    server = await serve(handler)
    with trio.CancelScope() as scope:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/"):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    await gone.wait()


async def end_with_close(ws: WebSocket, how: str) -> None:
    """Leave a block in one of the ways there are."""
    if how == "own code":
        ws.close_nowait(4000, "mine")
    elif how == "error":
        raise ValueError("x")
    elif how == "error in a group":
        async with trio.open_nursery():
            raise ValueError("x")
    elif how == "cancelled in a nursery":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()
    elif how == "own code, cancelled":
        ws.close_nowait(4000, "mine")
        await trio.sleep_forever()
    elif how == "own code, error":
        ws.close_nowait(4000, "mine")
        raise ValueError("x")
    elif how == "timeout within":
        with trio.fail_after(1):
            await trio.sleep_forever()
    elif how != "end":
        await trio.sleep_forever()


WAYS_TO_LEAVE = [
    ("end", (1000, "")),
    ("own code", (4000, "mine")),
    # RFC 6455 7.4.1: "going away"
    ("cancelled", (1001, "")),
    ("cancelled in a nursery", (1001, "")),
    ("own code, cancelled", (4000, "mine")),
    ("error", (1011, "")),
    ("error in a group", (1011, "")),
    ("own code, error", (4000, "mine")),
    ("timeout within", (1011, "")),
]


@pytest.mark.parametrize(("how", "seen"), WAYS_TO_LEAVE)
async def test_the_close_code_says_how_the_block_was_left(
    transport, serve, autojump_clock, how, seen
) -> None:
    closes = []
    gone = trio.Event()

    async def handler(ws: WebSocket) -> None:
        await ws.wait_closed()
        closes.append((ws.close_code, ws.close_reason))
        gone.set()

    server = await serve(handler)
    with trio.move_on_after(5), suppress(ValueError, ExceptionGroup, trio.TooSlowError):
        async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
            await end_with_close(ws, how)
    await gone.wait()
    assert closes == [seen]


@pytest.mark.parametrize("given", [False, True])
async def test_an_error_comes_out_though_the_block_was_cancelled_too(
    transport, serve, given
) -> None:
    server = await serve(echo)
    stream = await trio.open_tcp_stream("127.0.0.1", server.port) if given else None

    async def fail() -> None:
        with trio.CancelScope() as scope:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/", stream=stream):
                scope.cancel()
                raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await fail()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_close_goes_out_behind_a_burst_though_leaving_is_cancelled(
    transport, serve, server_tls, client_tls, secure
) -> None:
    # Whatever order trio's tasks run in, which it makes at random.
    send, receive = trio.open_memory_channel[tuple[int, int | None]](1)

    async def handler(ws: WebSocket) -> None:
        messages = [message async for message in ws]
        await send.send((len(messages), ws.close_code))

    server = await serve(handler, ssl_context=server_tls if secure else None)
    scheme, tls = ("wss", client_tls) if secure else ("ws", None)
    for _ in range(20):
        with trio.CancelScope() as scope:
            url = f"{scheme}://127.0.0.1:{server.port}/"
            async with open_websocket(url, ssl_context=tls) as ws:
                for number in range(3):
                    ws.send_nowait(f"{number}")
                scope.cancel()
                await trio.sleep_forever()
        assert await receive.receive() == (3, 1001)


async def test_slow_handshake_is_too_slow(transport, pair, autojump_clock) -> None:
    with pytest.raises(trio.TooSlowError):
        async with open_websocket(
            "ws://a/", stream=pair.ours, timeouts=Timeouts(handshake=8)
        ):
            pytest.fail("entered")
    assert 8 <= trio.current_time() < 8.1
    assert (await pair.peer.read_rest()).startswith(b"GET / HTTP/1.1\r\n")


async def test_nobody_there_is_an_oserror(transport) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match="all attempts to connect"):
            async with open_websocket(f"ws://127.0.0.1:{port}/"):
                pytest.fail("entered")


@pytest.mark.parametrize("url", ["http://a/", "ws://", "ws://a/#fragment", "a"])
async def test_wrong_url_is_named(url) -> None:
    with pytest.raises(InvalidURL):
        async with open_websocket(url):
            pytest.fail("entered")


@pytest.mark.parametrize(
    "options",
    [
        {"subprotocols": ["a b"]},
        {"subprotocols": ["a", "a"]},
        {"headers": [("Upgrade", "h2c")]},
        {"headers": [("A", "b\r\nC: d")]},
        {"origin": "a\nb"},
    ],
)
async def test_request_that_cannot_be_written_is_a_value_error(options) -> None:
    with pytest.raises(ValueError, match=r".+"):
        async with open_websocket("ws://127.0.0.1:1/", **options):
            pytest.fail("entered")


async def test_tls_for_a_plain_url_is_a_value_error(client_tls) -> None:
    with pytest.raises(ValueError, match="not wss"):
        async with open_websocket("ws://a/", ssl_context=client_tls):
            pytest.fail("entered")


@pytest.mark.parametrize("why", ["refused", "cancelled", "entered"])
async def test_given_stream_is_closed_at_the_end(transport, pair, why) -> None:
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            if why == "entered":
                await pair.peer.welcome()
                await goodbye(pair.peer)
            elif why == "refused":
                await pair.peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

        nursery.start_soon(server)
        with trio.CancelScope() as scope:
            if why == "cancelled":
                scope.cancel()
            try:
                async with open_websocket("ws://a/", stream=pair.ours):
                    pass
            except HandshakeRefused:
                assert why == "refused"
    with pytest.raises(trio.ClosedResourceError):
        await pair.ours.send_all(b"x")


async def test_leaving_the_block_is_a_whole_closing_handshake(transport, pair) -> None:
    closes = []
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            await pair.peer.welcome()
            closes.append(await goodbye(pair.peer))

        nursery.start_soon(server)
        async with open_websocket("ws://a/", stream=pair.ours) as ws:
            ws.send_nowait("bye")
        assert closes == [(1000, "")]
    assert ws.close_code == 1000
    with pytest.raises(trio.ClosedResourceError):
        await ws.receive()
