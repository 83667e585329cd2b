"""The server as a whole: arguments, addresses, what it tells of itself."""

from __future__ import annotations

import errno
import socket
from functools import partial

import pytest
import trio

import trio_fastws
from tests.handlers import Echo, echo
from tests.wire import (
    close,
    dial,
    upgrade_request,
)
from trio_fastws import (
    Limits,
    Listen,
    Sending,
    Timeouts,
    WebSocket,
    open_websocket,
    serve_websocket,
)


@pytest.mark.parametrize("handler", [echo, Echo()], ids=["async", "events"])
@pytest.mark.parametrize(
    "message", ["", "grüße", b"\0\xff", "c" * 300_000, bytes(range(256)) * 1000]
)
async def test_echoes(transport, serve, handler, message) -> None:
    server = await serve(handler)
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        await ws.send(message)
        assert await ws.receive() == message


async def test_many_messages_come_back_in_order(transport, serve) -> None:
    server = await serve(echo)
    async with (
        open_websocket(f"ws://127.0.0.1:{server.port}/") as ws,
        trio.open_nursery() as nursery,
    ):

        async def send_all() -> None:
            for number in range(2000):
                await ws.send(str(number))

        nursery.start_soon(send_all)
        assert [await ws.receive() for _ in range(2000)] == [
            str(number) for number in range(2000)
        ]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((), {}, TypeError, "missing 1 required positional argument: 'port'"),
        ((None,), {}, TypeError, "port must be an int or a Listen, not None"),
        ((-1,), {}, ValueError, "port is -1; it must be 0 to 65535"),
        ((65536,), {}, ValueError, "port is 65536; it must be 0 to 65535"),
        ((0,), {"subprotocols": "chat"}, TypeError, "subprotocols"),
        ((0,), {"origins": "https://a"}, TypeError, "origins"),
    ],
)
async def test_wrong_arguments_are_named(arguments, options, error, words) -> None:
    with pytest.raises(error, match=words):
        await serve_websocket(echo, *arguments, **options)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (partial(Limits, message_size=-1), "message_size is -1; it must be 0 or more"),
        (partial(Limits, request_head=9), "request_head is 9; it must be 256 or more"),
        (partial(Timeouts, close=0), "close is 0; it must be over 0 and finite"),
        (
            partial(Timeouts, shutdown=float("inf")),
            "shutdown is inf; it must be over 0 and finite",
        ),
        (partial(Sending, policy="never"), "policy is 'never'; it must be one of wait"),
        (
            partial(Sending, on_disconnect="die"),
            "on_disconnect is 'die'; it must be one of deliver, cancel",
        ),
        (partial(Sending, low_water=2**20), "low_water is 1048576; .* at most high"),
        (partial(Sending, hard_limit=1), "hard_limit is 1; .* at least high_water"),
    ],
)
def test_wrong_options_are_named_with_their_range(make, words) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    "make",
    [
        partial(Limits, receive_buffer=None),
        partial(Limits, connections=1.5),
        partial(Limits, fragments=True),
        partial(Timeouts, close=None),
        partial(Timeouts, ping_interval="20"),
        partial(Sending, high_water=None),
    ],
)
def test_options_of_a_wrong_type_are_refused(make) -> None:
    with pytest.raises(TypeError):
        make()


async def test_port_and_addresses_say_where_it_listens(transport, serve) -> None:
    server = await serve(echo)
    assert server.addresses == (("127.0.0.1", server.port),)
    assert 0 < server.port < 65536
    assert repr(server) == f"<Server on ('127.0.0.1', {server.port})>"


async def test_all_interfaces_share_one_port(transport, serve) -> None:
    server = await serve(echo, host=None)
    assert {address[1] for address in server.addresses} == {server.port}
    for host in ("127.0.0.1", "[::1]") if socket.has_ipv6 else ("127.0.0.1",):
        async with open_websocket(f"ws://{host}:{server.port}/") as ws:
            await ws.send(host)
            assert await ws.receive() == host


async def test_port_is_an_error_where_there_is_not_one(
    transport, serve, memory
) -> None:
    listeners = [
        listener
        for _ in range(2)
        for listener in await trio.open_tcp_listeners(0, host="127.0.0.1")
    ]
    two = await serve(echo, listeners=listeners)
    with pytest.raises(RuntimeError, match="listens on 2 TCP ports, not one"):
        _ = two.port
    none = await serve(echo, listeners=[memory])
    with pytest.raises(RuntimeError, match="listens on 0 TCP ports, not one"):
        _ = none.port
    assert none.addresses == ()
    assert repr(none) == "<Server on streams>"


async def test_address_in_use_is_an_oserror(serve) -> None:
    server = await serve(echo)
    words = f"in use: 127.0.0.1:{server.port}$"
    with pytest.raises(OSError, match=words) as caught:
        await serve_websocket(echo, server.port, host="127.0.0.1")
    assert caught.value.errno == errno.EADDRINUSE


async def test_connections_and_statistics(transport, serve) -> None:
    entered = trio.Event()

    async def handler(ws: WebSocket) -> None:
        entered.set()
        await ws.wait_closed()

    server = await serve(handler)
    assert server.statistics() == trio_fastws.ServerStatistics(0, 0, 0)
    async with await dial(server.port) as peer:
        await peer.shake()
        await entered.wait()
        (ws,) = server.connections
        assert ws.remote_address == peer.stream.socket.getsockname()
        assert ws.local_address == peer.stream.socket.getpeername()
        assert server.statistics() == trio_fastws.ServerStatistics(1, 0, 1)
        await peer.send(close(1000))
        await peer.read_rest()
    await ws.wait_closed()
    assert not server.connections
    assert server.statistics() == trio_fastws.ServerStatistics(
        0, 0, 1, closed={1000: 1}
    )


async def test_request_may_be_as_large_as_the_server_allows(transport, serve) -> None:
    seen = []

    async def handler(ws: WebSocket) -> None:
        assert ws.request is not None
        seen.append((ws.request.headers["X-199"], len(ws.request.headers["X"])))

    limits = Limits(request_head=200_000, request_fields=300)
    server = await serve(handler, limits=limits)
    fields = [f"X-{number}: {number}" for number in range(200)]
    async with await dial(server.port) as peer:
        assert b" 101 " in await peer.shake(*fields, f"X: {'x' * 100_000}")
        await peer.read_close()
    assert seen == [("199", 100_000)]


async def test_request_is_there_for_the_handler(transport, serve) -> None:
    seen = []

    async def handler(ws: WebSocket) -> None:
        assert ws.request is not None
        seen.append((ws.request.path, ws.request.query, ws.request.headers["X-Me"]))

    server = await serve(handler)
    async with await dial(server.port) as peer:
        await peer.send(upgrade_request("X-Me: you", target="/a/b?c=d"))
        await peer.read_head()
        assert await peer.read_close() == (1000, "")
    assert seen == [("/a/b", "c=d", "you")]


async def test_returning_handler_closes_with_1000(transport, serve) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.send("bye")

    server = await serve(handler)
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        assert [message async for message in ws] == ["bye"]
        assert ws.close_code == 1000


async def test_listeners_are_closed_when_the_server_ends(
    transport, nursery, memory
) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as inner:
            (tcp,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            server = await inner.start(
                partial(serve_websocket, echo, Listen(listeners=[tcp, memory]))
            )
            port = server.port
            scope.cancel()
    assert memory.closed
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", port)
