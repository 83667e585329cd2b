"""What the tests share: guards, transports, a server, TLS, memory listeners."""

from __future__ import annotations

import inspect
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
import trustme

import trio_fastws._transport.loop as loops
from tests.measuring import check_zlib
from tests.wire import (
    MemoryListener,
    Peer,
    dial,
)
from trio_fastws import Listen, Server, WebSocket, serve_websocket
from trio_fastws._transport.slow_build import warn_of_slow_build

# On the real clock a test that takes longer hangs. A mock clock jumps over any
# number of seconds: there a test hangs when nothing but this deadline is left.
REAL_SECONDS = 10
VIRTUAL_SECONDS = 100_000
# Behind those, for what no cancel scope can end.
ALARM_SECONDS = 30


def pytest_configure() -> None:
    """Let Ctrl-C reach the programs that tests start.

    A shell lets what it starts in the background ignore it, and so would they.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Once in a process: here, and not in the first test that reads the log.
    warn_of_slow_build()


def _on_alarm(*_: object) -> None:
    raise RuntimeError(f"the test took more than {ALARM_SECONDS} s")


@pytest.fixture(autouse=True)
def guard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that hangs."""
    test = request.node.obj
    if inspect.iscoroutinefunction(test):
        virtual = {"autojump_clock", "mock_clock"} & set(request.fixturenames)
        seconds = VIRTUAL_SECONDS if virtual else REAL_SECONDS

        @wraps(test)
        async def guarded(**kwargs: Any) -> None:
            with trio.fail_after(seconds):
                await test(**kwargs)

        request.node.obj = guarded
        signal.signal(signal.SIGALRM, _on_alarm)
        signal.alarm(ALARM_SECONDS)
    yield
    signal.alarm(0)


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    """A clock that jumps when nothing happens, for 10 ms.

    A loaded kernel may take a moment to bring what was sent over the loopback;
    pytest-trio's own clock, which waits for nothing, would jump to the deadline.
    """
    return trio.testing.MockClock(autojump_threshold=0.01)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the C programs of the benchmarks are built, once."""
    check_zlib()
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(params=["epoll", "pump"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test twice: sockets in one epoll, and every stream behind a pump."""
    if request.param == "pump":
        monkeypatch.setattr(loops, "HAVE_EPOLL", False)
    elif not loops.HAVE_EPOLL:
        pytest.skip("this platform has no epoll")
    return str(request.param)


Serve = Callable[..., Awaitable[Server]]
Connect = Callable[..., Awaitable[tuple[WebSocket, Peer]]]


@pytest.fixture
def serve(nursery: trio.Nursery) -> Serve:
    """Give what starts a server, on a free port unless told otherwise.

    Its ``listeners`` are those of a `Listen`.
    """

    async def start(handler: Any, **options: Any) -> Server:
        if "listeners" in options:
            options["port"] = Listen(listeners=options.pop("listeners"))
        elif not isinstance(options.setdefault("port", 0), Listen):
            options.setdefault("host", "127.0.0.1")
        server: Server = await nursery.start(
            partial(serve_websocket, handler, **options)
        )
        return server

    return start


@pytest.fixture
async def connect(serve: Serve) -> AsyncIterator[Connect]:
    """Give what starts a server and connects to it.

    What it returns: the server's `WebSocket`, in whose handler nothing happens,
    and a bare peer after its handshake.
    """
    peers: list[Peer] = []

    async def start(
        stream: trio.abc.Stream | None = None, **options: Any
    ) -> tuple[WebSocket, Peer]:
        send, receive = trio.open_memory_channel[WebSocket](1)

        async def handler(ws: WebSocket) -> None:
            send.send_nowait(ws)
            await trio.sleep_forever()

        server = await serve(handler, **options)
        peer = await dial(server.port) if stream is None else Peer(stream)
        peers.append(peer)
        await peer.shake()
        return await receive.receive(), peer

    yield start
    for peer in peers:
        await trio.aclose_forcefully(peer.stream)


@pytest.fixture
def memory() -> MemoryListener:
    """Give a listener of memory streams, for tests with a mock clock."""
    return MemoryListener()


@pytest.fixture
def no_errors_logged(
    caplog: pytest.LogCaptureFixture,
) -> Iterator[pytest.LogCaptureFixture]:
    """Fail if a warning, an error or a traceback was logged; gives ``caplog``."""
    caplog.set_level(logging.DEBUG, "trio_fastws")
    yield caplog
    loud = [
        record
        for record in caplog.get_records("call")
        if record.levelno >= logging.WARNING or record.exc_info
    ]
    assert not loud, [record.getMessage() for record in loud]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Give a certificate authority of our own."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """Give the context of a server at 127.0.0.1 and localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """Give the context of a client that trusts that server."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
