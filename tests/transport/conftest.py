"""Sockets that are closed again, and dispatchers over a clock that stands still."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest
import trio
import trio.testing
from trio.testing import wait_all_tasks_blocked

from tests.transport.support import Clock, Pumped, Recorder
from trio_fastws._transport import loop as loops
from trio_fastws._transport.epoll import EpollDispatcher, SocketLink
from trio_fastws._transport.loop import Loop, new_dispatcher

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    """Give a list whose sockets are closed after the dispatcher."""
    made: list[socket.socket] = []
    yield made
    for sock in made:
        sock.close()


@pytest.fixture
def dispatcher(clock: Clock, sockets) -> Iterator[EpollDispatcher]:
    dispatcher = EpollDispatcher(clock)
    yield dispatcher
    dispatcher.close()


@pytest.fixture
def unix_pair(sockets) -> Callable[..., Pair]:
    """Give what makes connected, non-blocking sockets, with small buffers if asked."""

    def make(buffer: int | None = None) -> Pair:
        pair = socket.socketpair()
        sockets.extend(pair)
        for sock in pair:
            sock.setblocking(False)
            if buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        return pair

    return make


@pytest.fixture
def tcp_pair(sockets) -> Callable[..., Pair]:
    """As `unix_pair`, over TCP: only there is a reset."""

    def make(buffer: int | None = None) -> Pair:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _address = listener.accept()
        sockets.extend((ours, theirs))
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        return ours, theirs

    return make


@pytest.fixture
def connect(dispatcher, unix_pair):
    """Give what makes an owner, its link and the peer's socket."""

    def make(owner=None, pair=None):
        ours, theirs = pair or unix_pair()
        owner = Recorder() if owner is None else owner
        return owner, SocketLink(dispatcher, owner, ours.detach()), theirs

    return make


@contextlib.asynccontextmanager
async def running(dispatcher, loop):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.run, nursery)
        await wait_all_tasks_blocked()
        yield dispatcher
        nursery.cancel_scope.cancel()
    dispatcher.close()


@pytest.fixture(params=["epoll", "plain"])
async def running_dispatcher(request, monkeypatch):
    """Give the dispatcher of a running loop of each kind."""
    monkeypatch.setattr(loops, "HAVE_EPOLL", request.param == "epoll")
    async with running(*new_dispatcher()) as dispatcher:
        yield dispatcher


@pytest.fixture
async def watched(monkeypatch):
    """Give the dispatcher of a running loop, and the count of its turns."""
    dispatcher = EpollDispatcher(trio.current_time)
    counted = CountedWork(dispatcher.turn)

    async def wait() -> None:
        await trio.lowlevel.wait_readable(dispatcher.epoll)

    async with running(dispatcher, Loop(dispatcher, counted, wait)):
        yield dispatcher, counted


class CountedWork:
    def __init__(self, work) -> None:
        self.work = work
        self.turns = 0

    def __call__(self) -> bool:
        self.turns += 1
        return self.work()


@pytest.fixture
async def pump(nursery):
    """Give what starts a pump and its loop."""

    async def start(owner=None, pair=None) -> Pumped:
        stream, peer = pair or trio.testing.memory_stream_pair()
        pumped = Pumped(owner or Recorder(), stream, peer, nursery)
        nursery.start_soon(pumped.loop.run, nursery)
        nursery.start_soon(pumped.run)
        await wait_all_tasks_blocked()
        return pumped

    return start
