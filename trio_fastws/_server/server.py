"""The server: listeners, handshakes, connections and handlers in one scope.

Owns who lives how long. The loop and the pumps live in a nursery that outlives
every handler; both are shielded from the cancellation that ends the server, so
that it can end in order: stop accepting; refuse handshakes in progress with 503;
queue a Close with 1001 to everybody; cancel handlers; write and wait for
replies, all together for `Timeouts.shutdown` seconds; abort what is left.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import trio

from trio_fastws._connection.handler import ChooseSubprotocol, EventHandler, OnRequest
from trio_fastws._connection.naming import name_of
from trio_fastws._connection.statistics import ServerStatistics
from trio_fastws._connection.websocket import WebSocket
from trio_fastws._transport import loop as loops
from trio_fastws._transport.epoll import EpollDispatcher
from trio_fastws._transport.lifetimes import in_turns, shielded_nursery, wait_lingering
from trio_fastws._transport.listening import Listener, close_listeners

from .admission import Admission
from .handshake import open_socket
from .nurseries import Handlers
from .streams import StreamAcceptor

if TYPE_CHECKING:
    import ssl

    from trio_fastws._config.compression import Negotiator
    from trio_fastws._config.options import Limits, Timeouts
    from trio_fastws._connection.shared import Shared
    from trio_fastws._transport.contract import Dispatcher

Handler = Callable[[WebSocket], Awaitable[object]] | EventHandler
Origins = Iterable[Any]


class Server:
    """A running server; `serve_websocket` hands it to ``nursery.start``."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        timeouts: Timeouts,
        subprotocols: Sequence[str] | ChooseSubprotocol,
        origins: Origins | None,
        on_request: OnRequest | None,
        negotiator: Negotiator | None,
    ) -> None:
        self.limits = limits
        self.timeouts = timeouts
        self.subprotocols = subprotocols
        self.origins: tuple[Any, ...] | None = (
            None if origins is None else tuple(origins)
        )
        self.on_request = on_request
        # Of compression; None without it.
        self.negotiator = negotiator
        self._handler = handler
        # Of all its tasks: trio would make one for each.
        self.handler_name: str = name_of(handler)
        self._listeners: list[Listener] = []
        self._addresses: list[Any] = []
        # Set by `run`.
        self._streams: StreamAcceptor = cast("StreamAcceptor", None)
        self.shared: Shared = cast("Shared", None)
        self._admission: Admission = cast("Admission", None)
        self._links: trio.Nursery = cast("trio.Nursery", None)
        self._handlers: Handlers = cast("Handlers", None)

    # --- for users ----------------------------------------------------------

    @property
    def addresses(self) -> tuple[Any, ...]:
        """Where the server listens, as the socket module gives addresses."""
        return tuple(self._addresses)

    @property
    def port(self) -> int:
        """The one TCP port on which the server listens.

        Raises:
            RuntimeError: It listens on none, or on several; see `addresses`.
        """
        ports: set[int] = {a[1] for a in self._addresses if type(a) is tuple}
        if len(ports) != 1:
            raise RuntimeError(f"the server listens on {len(ports)} TCP ports, not one")
        return ports.pop()

    @property
    def connections(self) -> frozenset[WebSocket]:
        """The open WebSockets, now."""
        return frozenset(self.shared.connections)

    def statistics(self) -> ServerStatistics:
        """Return the server's counters."""
        admission = self._admission
        budget = self.shared.budget
        return ServerStatistics(
            connections=len(self.shared.connections),
            handshakes=len(admission.handshakes()) + len(admission.answers),
            accepted=admission.accepted,
            handshakes_dropped=admission.dropped,
            bytes_held=budget.held,
            paused_for_total=budget.count_paused(),
            closed_for_total=budget.closed,
        )

    def __repr__(self) -> str:
        return f"<Server on {', '.join(map(str, self._addresses)) or 'streams'}>"

    # --- handlers -----------------------------------------------------------

    def _start_handler(self, ws: WebSocket) -> None:
        handler = cast("Callable[[WebSocket], Awaitable[object]]", self._handler)
        self._handlers.start_soon(ws._run_handler, handler, name=self.handler_name)

    def spawn_handler(
        self, async_fn: Callable[..., Any], *args: object, name: object = None
    ) -> None:
        """Start a task that is cancelled when the server shuts down."""
        self._handlers.start_soon(async_fn, *args, name=name)

    # --- running ------------------------------------------------------------

    def _receive(self) -> Admission:
        shared = self.shared
        admission = Admission(
            shared,
            self.limits,
            self.timeouts.handshake,
            self.spawn_handler,
            self._start_handler if shared.handler is None else None,
        )
        admission.subprotocols = self.subprotocols
        admission.origins = self.origins
        admission.on_request = self.on_request
        admission.negotiator = self.negotiator
        return admission

    async def run(
        self,
        listeners: Sequence[trio.abc.Listener[Any]],
        tls: ssl.SSLContext | None,
        shared: Callable[[Any, Callable[..., None]], Shared],
        task_status: trio.TaskStatus[Server],
    ) -> None:
        """Serve until cancelled; then end in order."""
        dispatcher, loop = loops.new_dispatcher()
        try:
            await self._run(dispatcher, loop, listeners, tls, shared, task_status)
        finally:
            dispatcher.close()

    async def _run(
        self,
        dispatcher: Dispatcher,
        loop: loops.Loop,
        listeners: Sequence[trio.abc.Listener[Any]],
        tls: ssl.SSLContext | None,
        shared: Callable[[Any, Callable[..., None]], Shared],
        task_status: trio.TaskStatus[Server],
    ) -> None:
        # Before the shielded nurseries: an error between them could not get out.
        self.shared = shared(dispatcher, self.spawn_handler)
        self._admission = self._receive()
        async with trio.open_nursery() as nursery:
            self._links, links_scope = await nursery.start(shielded_nursery)
            self._handlers = Handlers(nursery)
            try:
                await self._handlers.open()
            except BaseException:
                links_scope.cancel()
                raise
            try:
                self._streams = StreamAcceptor(self._admission, tls, self._links)
                self._links.start_soon(self._run_loop, loop)
                for listener in listeners:
                    self._listen(listener, tls, nursery)
                task_status.started(self)
                await trio.sleep_forever()
            finally:
                nursery.cancel_scope.cancel()
                try:
                    self._stop_accepting()
                    with trio.CancelScope(shield=True):
                        await self._begin_shutdown()
                        await close_listeners(listeners)
                        await self._finish_shutdown(loop)
                finally:
                    # Whatever has failed: shielded, they would never end.
                    self._handlers.cancel_at_once()
                    links_scope.cancel()
                    self.shared.budget.close()

    def _listen(
        self,
        listener: trio.abc.Listener[Any],
        tls: ssl.SSLContext | None,
        nursery: trio.Nursery,
    ) -> None:
        if isinstance(listener, trio.SocketListener):
            inner: trio.socket.SocketType = listener.socket
            self._addresses.append(inner.getsockname())
            dispatcher = self.shared.dispatcher
            if tls is None and isinstance(dispatcher, EpollDispatcher):
                sock = socket.socket(fileno=inner.detach())
                sock.setblocking(False)
                _no_delay(sock)
                begin = partial(open_socket, self._admission)
                self._listeners.append(Listener(dispatcher, sock, begin))
                return
        nursery.start_soon(self._streams.accept_all, listener)

    def _stop_accepting(self) -> None:
        self._admission.closed = True
        for listener in self._listeners:
            listener.close()

    async def _begin_shutdown(self) -> None:
        # To everybody, and in turns: others live on while this server ends.
        dispatcher = self.shared.dispatcher
        await in_turns(dispatcher, self._admission.handshakes(), _refuse)
        await in_turns(dispatcher, tuple(self.shared.connections), _send_away)
        await self._handlers.cancel()

    async def _finish_shutdown(self, loop: loops.Loop) -> None:
        with trio.move_on_after(self.timeouts.shutdown):
            await self._wait_empty(loop)
            for link in tuple(self._streams.pumps):
                await link.written.wait()
            await wait_lingering(self.shared.dispatcher)
        dispatcher, admission = self.shared.dispatcher, self._admission
        await in_turns(
            dispatcher, (*admission.handshakes(), *admission.answers), _close
        )
        await in_turns(dispatcher, tuple(self.shared.connections), _abort)
        # on_close of those is called in a turn of the loop.
        await self._wait_empty(loop)

    async def _run_loop(self, loop: loops.Loop) -> None:
        try:
            await loop.run(self._links)
        finally:
            # A hook raised SystemExit, or the like: nobody else ends that wait.
            if self.shared.emptied is not None:
                self.shared.emptied.set()

    async def _wait_empty(self, loop: loops.Loop) -> None:
        while self.shared.connections and not loop.ended:
            self.shared.emptied = trio.Event()
            await self.shared.emptied.wait()


def _refuse(opening: Any) -> None:
    opening.refuse_for_shutdown()


def _send_away(ws: Any) -> None:
    ws._start_close(1001, "the server is shutting down")


def _close(owner: Any) -> None:
    owner.close()


def _abort(ws: Any) -> None:
    ws._abort("the server has shut down")


def _no_delay(sock: socket.socket) -> None:
    # Inherited by accepted connections, which saves a syscall for each. Frames
    # leave in whole batches already; Nagle would only delay the last one.
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
