"""Where a server listens: plain sockets in the dispatcher, everything else in tasks."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from trio_fastws._transport.epoll import EpollDispatcher
from trio_fastws._transport.listening import BATCH, Listener
from trio_fastws._transport.open_listeners import (
    BACKLOG,
    close_listeners,
    open_listeners,
)
from trio_fastws._transport.unix_listener import unix_listener

from .handshake import open_socket
from .streams import AcceptingTask

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from trio_fastws._config.listen import Listen

    from .admission import Admission
    from .streams import StreamAcceptor


# When accepting ends, so many batches are taken of what the kernel has accepted: 4,096
# connections, as many as Linux queues for a listener (net.core.somaxconn). Clients that
# come faster than they are accepted must not keep it from ending.
LAST_BATCHES = 4096 // BATCH


@asynccontextmanager
async def opened(
    listen: Listen,
) -> AsyncGenerator[Sequence[trio.abc.Listener[Any]], None]:
    """Listen for the length of a block; closed when it is left, whatever was given.

    Args:
        listen: Where.

    Raises:
        OSError: The address cannot be bound.
    """
    listeners: Sequence[trio.abc.Listener[Any]]
    backlog = BACKLOG if listen.backlog is None else listen.backlog
    with ExitStack() as stack:
        if listen.port is not None:
            listeners = await open_listeners(
                listen.port, listen.host, backlog, listen.reuse_port
            )
        elif listen.unix is not None:
            file = unix_listener(os.fspath(listen.unix), listen.unix_mode, backlog)
            listeners = [stack.enter_context(file)]
        else:
            listeners = listen.listeners or ()
        try:
            yield listeners
        finally:
            with trio.CancelScope(shield=True):
                await close_listeners(listeners)


class Listeners:
    """The listeners of one server.

    Attributes:
        addresses: Of those that are sockets, as the socket module gives addresses;
            none when accepting has ended.
        accepting: Whether it has not.
    """

    def __init__(
        self, admission: Admission, streams: StreamAcceptor, nursery: trio.Nursery
    ) -> None:
        """Listen nowhere yet.

        Args:
            admission: Of the handshakes.
            streams: Accepts what cannot be watched by the dispatcher.
            nursery: Where tasks accept; cancelled when the server shuts down.
        """
        self.addresses: list[Any] = []
        self.accepting = True
        self._admission = admission
        self._streams = streams
        self._nursery = nursery
        self._sockets: list[Listener] = []
        self._tasks: list[AcceptingTask] = []

    def open(self, listener: trio.abc.Listener[Any], secure: bool) -> None:
        """Start to accept.

        Args:
            listener: A plain socket is taken out of it, if the dispatcher can watch it.
            secure: Whether TLS is started on each stream.
        """
        if isinstance(listener, trio.SocketListener):
            inner: trio.socket.SocketType = listener.socket
            self.addresses.append(inner.getsockname())
            dispatcher = self._admission.shared.dispatcher
            if not secure and isinstance(dispatcher, EpollDispatcher):
                sock = socket.socket(fileno=inner.detach())
                sock.setblocking(False)
                _no_delay(sock)
                begin = partial(open_socket, self._admission)
                self._sockets.append(Listener(dispatcher, sock, begin))
                return
        task = AcceptingTask(self._streams, listener)
        self._tasks.append(task)
        self._nursery.start_soon(task.run)

    async def drain(self) -> None:
        """Accept what the kernel has accepted already, then `close`; also if cancelled.

        A checkpoint. Who has connected before would see a reset otherwise.
        """
        try:
            await trio.lowlevel.checkpoint()
            for accept_now in (
                *(listener.accept_now for listener in self._sockets),
                *(task.accept_now for task in self._tasks),
            ):
                await self._accept_last(accept_now)
        finally:
            self.close()

    async def _accept_last(self, accept_now: Callable[[], bool]) -> None:
        for _ in range(LAST_BATCHES):
            # Between two turns its time is old.
            self._admission.shared.dispatcher.begin()
            if not accept_now():
                return
            await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Stop accepting; a task closes its listener. Not a checkpoint."""
        self.accepting = False
        self.addresses.clear()
        for listener in self._sockets:
            listener.close()
        for task in self._tasks:
            task.close()
        self._sockets.clear()
        self._tasks.clear()


def _no_delay(sock: socket.socket) -> None:
    # Inherited by accepted connections, which saves a syscall for each. Frames
    # leave in whole batches already; Nagle's algorithm would only delay the last one.
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
