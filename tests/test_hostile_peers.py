"""Peers that mean harm: what they do costs themselves, not the others."""

from __future__ import annotations

import errno
import logging

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

import trio_fastws._connection.connection as inputs
from tests.handlers import Echo
from tests.serving import serving
from tests.wire import (
    PING,
    PONG,
    TEXT,
    Frame,
    MemoryListener,
    Peer,
    plain_request,
    text,
    upgrade_request,
)
from trio_fastws import (
    EventHandler,
    HandshakeRefused,
    Limits,
    Listen,
    Response,
    Timeouts,
    open_websocket,
    serve_websocket,
)


async def refused_by(data: bytes) -> HandshakeRefused:
    """Dial a server that answers so; return what is raised."""
    ours, theirs = memory_stream_pair()
    await theirs.send_all(data)
    with pytest.raises(HandshakeRefused) as caught:
        async with open_websocket("ws://a/", stream=ours):
            pytest.fail("entered")
    return caught.value


# --- a hostile server -------------------------------------------------------


async def test_a_length_of_thousands_of_zeros_is_a_refusal(transport) -> None:
    zeros = b"0" * 5000
    data = b"HTTP/1.1 403 No\r\nContent-Length: " + zeros + b"5\r\n\r\nnever"
    error = await refused_by(data)
    assert error.response is not None
    assert (error.response.status, error.response.body) == (403, b"never")


async def test_1xx_answers_without_end_are_given_up(transport) -> None:
    error = await refused_by(b"HTTP/1.1 100 Continue\r\n\r\n" * 8000)
    assert str(error) == "server's 1xx answers have no end"
    assert error.response is None


# --- a hostile client -------------------------------------------------------


async def test_every_listener_accepts_again_after_a_flood(
    transport, serve, autojump_clock
) -> None:
    listeners = [MemoryListener(), MemoryListener()]
    await serve(
        Echo(),
        listeners=listeners,
        limits=Limits(pending_handshakes=1),
        timeouts=Timeouts(handshake=5, ping_interval=None),
    )
    silent = [listener.connect() for listener in listeners]
    for listener in listeners:
        async with Peer(listener.connect()) as peer:
            assert b" 101 " in await peer.shake()
    for stream in silent:
        await stream.aclose()


async def test_a_reset_in_front_of_kept_messages_is_no_error(transport, caplog) -> None:
    reasons = []

    class Flood(EventHandler):
        def on_message(self, ws, message) -> None:
            for _ in range(20):
                ws.send_nowait(b"x" * 100_000)

        def on_close(self, ws) -> None:
            reasons.append(ws.close_code)

    async with serving(Flood(), small=True) as site:
        peer = await site.dial()
        # The first fills what there is; the rest is kept meanwhile.
        await peer.send(*[text("go")] * 10)
        await wait_all_tasks_blocked(0.001)
        peer.reset()
        while not reasons:
            await trio.lowlevel.checkpoint()
    assert reasons == [1006]
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_empty_fragments_count_as_work(transport, connect, monkeypatch) -> None:
    looks = []

    def look() -> float:
        looks.append(None)
        return 0.0

    ws, peer = await connect()
    monkeypatch.setattr(inputs, "perf_counter", look)
    # One message, but the clock is looked at: it could be hundreds of them.
    message = [Frame(TEXT, b"", fin=False), *[Frame(0, b"", fin=False)] * 98]
    await peer.send(*[*message, Frame(0, b"")] * 10, Frame(PING, b"?"))
    assert await peer.read_frame() == Frame(PONG, b"?")
    assert ws.statistics().messages_received == 10
    assert 5 <= len(looks) <= 20


# --- together with a user's mistake -----------------------------------------


async def test_on_request_that_fails_when_cancelled_costs_no_shutdown(
    transport, memory, caplog
) -> None:
    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("on purpose")

    async def on_request(_: object) -> Response | None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(trio.sleep_forever)
        return None

    async with trio.open_nursery() as nursery:
        await nursery.start(
            lambda task_status: serve_websocket(
                Echo(),
                Listen(listeners=[memory]),
                on_request=on_request,
                task_status=task_status,
            )
        )
        async with Peer(memory.connect()) as upgrade, Peer(memory.connect()) as page:
            await upgrade.send(upgrade_request())
            await page.send(plain_request())
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    errors = [r.exc_info[1] for r in caplog.records if r.exc_info]
    assert len(errors) == 2


async def test_on_close_that_exits_does_not_hang_the_shutdown(
    transport, memory, autojump_clock
) -> None:
    class Exit(EventHandler):
        def on_close(self, ws) -> None:
            raise SystemExit(3)

    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012 - one story
        async with trio.open_nursery() as nursery:
            await nursery.start(
                lambda task_status: serve_websocket(
                    Exit(), Listen(listeners=[memory]), task_status=task_status
                )
            )
            peers = [Peer(memory.connect()) for _ in range(2)]
            for peer in peers:
                await peer.shake()
            # Nobody answers the Close: on_close comes after all patience.
            nursery.cancel_scope.cancel()
    assert caught.group_contains(SystemExit)


class FullEpoll:
    """An epoll that takes no further descriptor."""

    def __init__(self, epoll) -> None:
        self._epoll = epoll

    def __getattr__(self, name: str):
        return getattr(self._epoll, name)

    def register(self, fd: int, mask: int) -> None:
        raise OSError(errno.ENOSPC, "no space")


async def test_a_full_epoll_costs_one_connection(serve, caplog) -> None:
    server = await serve(Echo())
    url = f"ws://127.0.0.1:{server.port}/"
    turn = server.shared.dispatcher
    async with open_websocket(url) as ws:
        epoll = turn.epoll
        turn.epoll = FullEpoll(epoll)
        with pytest.raises((HandshakeRefused, OSError)):
            async with open_websocket(url):
                pytest.fail("accepted")
        turn.epoll = epoll
        await ws.send("alive")
        assert await ws.receive() == "alive"
        assert server.statistics().handshakes == 0
        async with open_websocket(url):
            pass
    assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == [
        "cannot watch a connection: no space"
    ]
