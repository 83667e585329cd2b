"""Streams and listeners of somebody's own: what they raise costs themselves alone."""

from __future__ import annotations

import gc
import logging
import ssl
from functools import partial

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.handlers import Echo, echo
from tests.wire import (
    CLOSE,
    TEXT,
    Frame,
    MemoryListener,
    Peer,
    close,
    dial,
    plain_request,
    unmasked,
    upgrade_request,
)
from trio_fastws import (
    Accept,
    ConnectionBroken,
    Listen,
    Request,
    Response,
    WebSocket,
    open_websocket,
    serve_websocket,
    upgrade,
)


class Odd(trio.abc.HalfCloseableStream):
    """A stream that raises where it is told to, once it is armed."""

    def __init__(self, inner, errors: dict[str, BaseException]) -> None:
        self.inner = inner
        self.errors = errors
        self.armed = True

    def _check(self, name: str) -> None:
        if self.armed and name in self.errors:
            raise self.errors[name]

    async def send_all(self, data) -> None:
        self._check("send_all")
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes=None):
        self._check("receive_some")
        data = await self.inner.receive_some(max_bytes)
        self._check("received")
        return data

    async def send_eof(self) -> None:
        self._check("send_eof")
        await self.inner.send_eof()

    async def aclose(self) -> None:
        try:
            await self.inner.aclose()
        finally:
            self._check("aclose")


class Wrapping(MemoryListener):
    """A listener each of whose streams goes through what it is given."""

    def __init__(self, wrap=lambda stream: stream) -> None:
        super().__init__()
        self.wrap = wrap

    async def accept(self):
        stream = await super().accept()
        return self.wrap(stream)


async def lives(listener: Wrapping) -> None:
    """Check that the server serves the next connection."""
    listener.wrap = lambda stream: stream
    async with Peer(listener.connect()) as peer:
        await peer.shake()
        await peer.send(Frame(TEXT, b"alive"))
        assert await peer.read_frame() == Frame(TEXT, b"alive")
        await peer.send(close(1000))
        await peer.read_close()


ERRORS = [
    ValueError("bad PROXY header"),
    OSError(5, "Input/output error"),
    ssl.SSLError("bad record"),
    LookupError(),
    ExceptionGroup("a nursery's", [ValueError("inner")]),
]


@pytest.mark.parametrize("handler", [echo, Echo()], ids=["async", "hooks"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "where", ["receive_some", "received", "send_all", "send_eof", "aclose"]
)
@pytest.mark.parametrize("when", ["at once", "later"])
async def test_a_stream_that_raises_ends_itself_alone(
    transport, serve, caplog, handler, error, where, when
) -> None:
    streams = []

    def wrap(stream):
        odd = Odd(stream, {where: error})
        odd.armed = when == "at once"
        streams.append(odd)
        return odd

    listener = Wrapping()
    server = await serve(handler, listeners=[listener])
    async with Peer(listener.connect()) as good:
        await good.shake()
        listener.wrap = wrap
        async with Peer(listener.connect()) as bad:
            if when == "later":
                await bad.shake()
                await wait_all_tasks_blocked()
                streams[0].armed = True
                await bad.send(Frame(TEXT, b"x"), close(1000))
            else:
                await bad.send(plain_request())
            await wait_all_tasks_blocked()
            await bad.stream.send_stream.aclose()
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert len(server.connections) == 1
        assert server.statistics().handshakes == 0
        await good.send(Frame(TEXT, b"still"))
        assert await good.read_frame() == Frame(TEXT, b"still")
    await lives(listener)
    loud = [r for r in caplog.records if r.levelno >= logging.WARNING]
    (record,) = loud
    assert (record.exc_info is None) == isinstance(error, OSError)


@pytest.mark.parametrize("error", [ValueError("odd"), OSError("odd")])
async def test_a_stream_that_raises_in_the_tls_handshake(
    transport, serve, server_tls, client_tls, caplog, error
) -> None:
    listener = Wrapping(lambda stream: Odd(stream, {"received": error}))
    await serve(echo, listeners=[listener], ssl_context=server_tls)
    async with Peer(listener.connect()) as bad:
        await bad.send(b"\x16\x03\x01")
        await wait_all_tasks_blocked()
    listener.wrap = lambda stream: stream
    stream = trio.SSLStream(
        listener.connect(),
        client_tls,
        server_hostname="localhost",
        https_compatible=True,
    )
    async with Peer(stream) as peer:
        assert b" 101 " in await peer.shake()
    assert [r.levelno >= logging.WARNING for r in caplog.records] == [True]


async def test_a_stream_that_is_none(transport, serve, caplog) -> None:
    listener = Wrapping(lambda _: None)
    await serve(echo, listeners=[listener])
    listener.connect()
    await wait_all_tasks_blocked()
    await lives(listener)
    assert caplog.records


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_client_learns_that_its_stream_is_broken(
    transport, caplog, error
) -> None:
    ours, theirs = memory_stream_pair()
    odd = Odd(ours, {"received": error})
    odd.armed = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Peer(theirs).welcome)
        async with open_websocket("ws://a/", stream=odd) as ws:
            odd.armed = True
            await theirs.send_all(unmasked(Frame(TEXT, b"x")))
            with pytest.raises(ConnectionBroken):
                await ws.receive()
    assert [r.levelno >= logging.WARNING for r in caplog.records] == [True]


@pytest.mark.parametrize("where", ["received", "send_all"])
async def test_upgrade_says_that_its_stream_is_broken(transport, caplog, where) -> None:
    ours, theirs = memory_stream_pair()
    odd = Odd(ours, {where: ValueError("odd")})
    odd.armed = False
    fields = [
        line.split(": ") for line in upgrade_request().decode().split("\r\n")[1:-2]
    ]
    async with upgrade(odd, Request("GET", "/", fields)) as ws:
        peer = Peer(theirs)
        assert b" 101 " in await peer.read_head()
        odd.armed = True
        await peer.send(Frame(TEXT, b"x"))
        with pytest.raises(ConnectionBroken):  # noqa: PT012 - one of the two
            while True:
                await ws.send(await ws.receive())
    assert len(caplog.records) == 1


# --- listeners ---------------------------------------------------------------


class Stumbling(MemoryListener):
    """A listener whose `accept` raises as long as it is told to."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error = error
        self.tries = 0

    async def accept(self):
        self.tries += 1
        if self.error is not None:
            raise self.error
        return await super().accept()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_accept_that_raises_is_tried_again(
    transport, serve, autojump_clock, caplog, error
) -> None:
    odd, good = Stumbling(error), Wrapping()
    await serve(echo, listeners=[odd, good])
    await trio.sleep(1)
    await lives(good)
    assert 5 <= odd.tries <= 12
    odd.error = None
    async with Peer(odd.connect()) as peer:
        assert b" 101 " in await peer.shake()
    # Said once, not at every try.
    assert [r.levelno for r in caplog.records] == [logging.ERROR]


async def test_accept_that_fails_as_it_is_cancelled_costs_no_goodbye(
    transport, caplog
) -> None:
    class Stubborn(MemoryListener):
        async def accept(self):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._fail)
                stream = await super().accept()
                nursery.cancel_scope.cancel()
            return stream

        async def _fail(self) -> None:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                if self.closing:
                    raise ValueError("odd") from None
                raise

        closing = False

    stubborn = Stubborn()
    async with trio.open_nursery() as nursery:
        await nursery.start(
            partial(serve_websocket, echo, Listen(listeners=[stubborn]))
        )
        async with Peer(stubborn.connect()) as peer:
            await peer.shake()
            await wait_all_tasks_blocked()
            stubborn.closing = True
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                assert (await peer.read_close())[0] == 1001
                await peer.send(close(1001))
                await peer.read_rest()
    assert [r.levelno for r in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("how", [trio.ClosedResourceError, trio.EndOfChannel])
async def test_a_listener_that_was_closed_ends_itself(
    transport, serve, autojump_clock, no_errors_logged, how
) -> None:
    odd, good = Stumbling(how()), Wrapping()
    await serve(echo, listeners=[odd, good])
    await trio.sleep(10)
    assert odd.tries == 1
    await lives(good)


async def test_a_socket_listener_that_is_closed_outside(
    serve, server_tls, no_errors_logged
) -> None:
    # With TLS, trio accepts: without, the library has taken the socket over.
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    other = Wrapping()
    server = await serve(echo, listeners=[listener, other], ssl_context=server_tls)
    await wait_all_tasks_blocked()
    await listener.aclose()
    await wait_all_tasks_blocked()
    other.connect()
    await wait_all_tasks_blocked()
    assert server.statistics().handshakes == 1


async def test_aclose_of_a_listener_that_raises_costs_no_goodbye(
    transport, caplog
) -> None:
    class Stuck(MemoryListener):
        async def aclose(self) -> None:
            await super().aclose()
            raise ValueError("odd")

    stuck = Stuck()
    async with trio.open_nursery() as nursery:
        await nursery.start(
            partial(serve_websocket, echo, Listen(listeners=[stuck, MemoryListener()]))
        )
        async with Peer(stuck.connect()) as peer:
            await peer.shake()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                assert (await peer.read_close())[0] == 1001
                await peer.send(close(1001))
                await peer.read_rest()
    assert {r.exc_info[1].exceptions[0].args for r in caplog.records} == {("odd",)}


# --- what users give ---------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"status": "200"}, "status must be an int, not '200'"),
        ({"status": True}, "status must be an int, not True"),
        ({"body": 5}, "body must be str or bytes-like, not 5"),
        ({"body": None}, "body must be str or bytes-like, not None"),
        ({"body": ["a"]}, "body must be str or bytes-like"),
        ({"reason": b"x"}, "reason must be a str"),
        ({"headers": [("A", 1)]}, "must be a str, not 1"),
    ],
)
def test_a_response_of_wrong_types_is_refused_where_it_is_made(
    arguments, message
) -> None:
    with pytest.raises(TypeError, match=message):
        Response(**{"status": 200, **arguments})


@pytest.mark.parametrize("body", [bytearray(b"page"), memoryview(b"page"), "page"])
def test_a_response_holds_its_body_as_bytes(body) -> None:
    response = Response(200, body=body)
    assert type(response.body) is bytes
    assert response.body == b"page"


async def test_a_response_of_a_class_of_ones_own(transport, serve) -> None:
    class Page(Response):
        pass

    server = await serve(echo, on_request=lambda _: Page(200, body="page"))
    async with await dial(server.port) as peer:
        await peer.send(plain_request())
        assert b" 200 " in await peer.read_head()


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize("answer", [5, "page", b"", [], Response, Unspeakable()])
@pytest.mark.parametrize("later", [False, True])
async def test_an_answer_of_the_wrong_type_is_a_500(
    transport, serve, caplog, answer, later
) -> None:
    async def on_request_later(_: Request):
        return answer

    server = await serve(
        echo, on_request=on_request_later if later else lambda _: answer
    )
    for request in (plain_request(), upgrade_request()):
        async with await dial(server.port) as peer:
            await peer.send(request)
            assert b" 500 " in await peer.read_head()
    assert [r.levelno for r in caplog.records] == [logging.ERROR] * 2


@pytest.mark.parametrize("choice", [5, b"a", Unspeakable(), ["a"], trio.sleep])
async def test_a_choice_of_the_wrong_type_is_a_500(
    transport, serve, caplog, choice
) -> None:
    server = await serve(echo, on_request=lambda _: Accept(subprotocol=choice))
    async with await dial(server.port) as peer:
        assert b" 500 " in await peer.shake("Sec-WebSocket-Protocol: a")
    assert [r.levelno for r in caplog.records] == [logging.ERROR]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("hooks", [False, True])
async def test_a_session_that_cannot_go_quietly(
    transport, serve, caplog, hooks
) -> None:
    class Session:
        def __init__(self, ws: WebSocket) -> None:
            self.ws = ws

        def __del__(self) -> None:
            self.ws.send_nowait("too late")
            raise ValueError("no")

    class Handler(Echo):
        def on_open(self, ws: WebSocket) -> None:
            ws.session = Session(ws)

        def on_close(self, ws: WebSocket) -> None:
            ws.session = None

    async def handler(ws: WebSocket) -> None:
        ws.session = Session(ws)
        await echo(ws)
        ws.session = None

    server = await serve(Handler() if hooks else handler)
    for _ in range(2):
        async with await dial(server.port) as peer:
            await peer.shake()
            await peer.send(Frame(TEXT, b"hi"))
            assert await peer.read_frame() == Frame(TEXT, b"hi")
            await peer.send(close(1000))
            assert (await peer.read_frame()).opcode == CLOSE
    while server.connections:
        await trio.lowlevel.checkpoint()
    gc.collect()


async def test_addresses_of_odd_streams_are_unknown(transport, serve) -> None:
    seen = []

    async def handler(ws: WebSocket) -> None:
        seen.append((ws.remote_address, ws.local_address))

    listener = Wrapping(lambda stream: Odd(stream, {}))
    await serve(handler, listeners=[listener])
    async with Peer(listener.connect()) as peer:
        await peer.shake()
        await peer.read_close()
    assert seen == [(None, None)]


def test_a_context_for_clients_cannot_serve() -> None:
    async def main() -> None:
        await serve_websocket(echo, 0, ssl_context=ssl.create_default_context())

    with pytest.raises(ValueError, match="ssl_context is a context for clients"):
        trio.run(main)


# --- bugs of our own ---------------------------------------------------------


class Buggy(logging.Filter):
    """Raises in the middle of whatever says such a thing."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    def filter(self, record: logging.LogRecord) -> bool:
        if self.words in record.msg:
            raise LookupError("in a filter")
        return True


async def test_what_a_log_filter_raises_of_a_task(transport, memory, caplog) -> None:
    async def on_request(request: Request) -> None:
        if request.path == "/refused":
            raise ValueError("on purpose")

    async def handler(ws: WebSocket) -> None:
        if await ws.receive() == "fail":
            raise ValueError("on purpose")
        ws.send_nowait("alive")

    buggy = Buggy("exception in ")
    logger = logging.getLogger("trio_fastws")
    logger.addFilter(buggy)
    listen = Listen(listeners=[memory])
    try:
        async with trio.open_nursery() as nursery, Peer(memory.connect()) as good:
            await nursery.start(
                partial(serve_websocket, handler, listen, on_request=on_request)
            )
            await good.shake()
            async with Peer(memory.connect()) as bad:
                await bad.send(upgrade_request(target="/refused"))
                assert await bad.read_rest() == b""
            async with Peer(memory.connect()) as bad:
                await bad.shake()
                await bad.send(Frame(TEXT, b"fail"))
                await bad.read_rest()
            await good.send(Frame(TEXT, b"live"))
            assert await good.read_frame() == Frame(TEXT, b"alive")
            nursery.cancel_scope.cancel()
    finally:
        logger.removeFilter(buggy)
    assert len(caplog.records) == 2


async def test_what_a_log_filter_raises_costs_one_connection(
    transport, caplog, autojump_clock
) -> None:
    caplog.set_level(logging.DEBUG, "trio_fastws")
    listener = Wrapping()
    buggy = Buggy("handshake")
    logger = logging.getLogger("trio_fastws")
    logger.addFilter(buggy)
    try:
        async with trio.open_nursery() as nursery, Peer(listener.connect()) as good:
            await nursery.start(
                partial(serve_websocket, echo, Listen(listeners=[listener]))
            )
            await good.shake()
            for data in (plain_request(), b"\0\0\0\0", b""):
                bad = Peer(listener.connect())
                await bad.send(data)
                await wait_all_tasks_blocked()
                with pytest.raises((AssertionError, trio.BrokenResourceError)):
                    await bad.read_head()
            await good.send(Frame(TEXT, b"still"))
            assert await good.read_frame() == Frame(TEXT, b"still")
            # Refused as the server ends, with one more of them.
            last = Peer(listener.connect())
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                assert (await good.read_close())[0] == 1001
                await good.send(close(1001))
                assert await last.read_rest() == b""
    finally:
        logger.removeFilter(buggy)
    assert any(r.exc_info for r in caplog.records)
