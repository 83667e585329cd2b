"""Where a server listens: plain sockets in the dispatcher, everything else in tasks."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from trio_fastws._transport.epoll import EpollDispatcher
from trio_fastws._transport.listening import Listener

from .handshake import open_socket

if TYPE_CHECKING:
    from .admission import Admission
    from .streams import StreamAcceptor


class Listeners:
    """The listeners of one server.

    Attributes:
        addresses: Of those that are sockets, as the socket module gives addresses.
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
        self._admission = admission
        self._streams = streams
        self._nursery = nursery
        self._sockets: list[Listener] = []

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
        self._nursery.start_soon(self._streams.accept_all, listener)

    def close(self) -> None:
        """Stop accepting in the dispatcher; tasks stop with their nursery."""
        for listener in self._sockets:
            listener.close()


def _no_delay(sock: socket.socket) -> None:
    # Inherited by accepted connections, which saves a syscall for each. Frames
    # leave in whole batches already; Nagle's algorithm would only delay the last one.
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
