"""The server: listeners, handshakes, connections and handlers in one scope.

Owns who lives how long. The loop and the pumps live in a nursery that outlives
every handler; both are shielded from the cancellation that ends the server, so
that it can end in order, as it does when it is told to (`Server.aclose`): stop
accepting; refuse handshakes in progress with 503; queue a Close to everybody; cancel
handlers; write and wait for replies, all together for `Timeouts.shutdown` seconds;
abort what is left.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from trio_fastws._config.compression import Negotiator
from trio_fastws._connection.ending import check_arguments
from trio_fastws._connection.statistics import ServerStatistics
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import check_close
from trio_fastws._transport import loop as loops
from trio_fastws._transport.lifetimes import (
    cancel,
    in_turns,
    shielded_nursery,
    wait_lingering,
)
from trio_fastws._transport.open_listeners import close_listeners

from .admission import Admission
from .departures import Departures
from .listeners import Listeners
from .nurseries import Handlers
from .refusals import SHUTTING_DOWN
from .streams import StreamAcceptor
from .variants import Variants

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from trio_fastws._connection.shared import Shared
    from trio_fastws._connection.websocket import WebSocket
    from trio_fastws._transport.contract import Dispatcher

    from .config import ServerConfig


class Server:
    """A running server; `serve_websocket` hands it to ``nursery.start``."""

    def __init__(
        self,
        config: ServerConfig,
        negotiator: Negotiator | None,
        dispatcher: Dispatcher,
        nursery: trio.Nursery,
        links: trio.Nursery,
    ) -> None:
        """Make the parts of one that does not listen yet; see `run_server`.

        Args:
            config: What it was asked for.
            negotiator: Of compression; None without it.
            dispatcher: Of all its connections.
            nursery: Cancelled when the server shuts down.
            links: Where the loop and the pumps run: it outlives every connection.
        """
        self._config = config
        self._nursery = nursery
        self._links = links
        self._handlers = Handlers(nursery)
        variants = Variants(config, dispatcher, self._handlers)
        self.shared: Shared = variants.usual
        self._admission = Admission(
            config, variants, negotiator, self._handlers.start_soon
        )
        self._streams = StreamAcceptor(self._admission, config.ssl_context, links)
        self._listening = Listeners(self._admission, self._streams, nursery)
        self._departures = Departures(self.shared.connections, self._admission)
        # Code and reason of the Close to everybody.
        self._goodbye: tuple[int, str] = (1001, SHUTTING_DOWN)
        self._told_to_end = trio.Event()
        self._ended = trio.Event()

    # --- for users ----------------------------------------------------------

    @property
    def addresses(self) -> tuple[Any, ...]:
        """Where the server listens, as the socket module gives addresses.

        Empty once it has stopped, and for listeners that are no sockets.
        """
        return tuple(self._listening.addresses)

    @property
    def port(self) -> int:
        """The one TCP port on which the server listens.

        Raises:
            RuntimeError: It listens on none, such as after its end, or on several; see
                `addresses`.
        """
        ports: set[int] = {a[1] for a in self.addresses if type(a) is tuple}
        if len(ports) != 1:
            why = "" if self._listening.accepting else ": it has stopped"
            raise RuntimeError(
                f"the server listens on {len(ports)} TCP ports, not one{why}"
            )
        return ports.pop()

    @property
    def connections(self) -> Collection[WebSocket]:
        """The open WebSockets: a live view, which copies nothing.

        ``len``, ``in`` and ``for`` see it as it is. Iterating visits each connection
        that is open all the time exactly once, also if others come and go between
        two of them; in the thread of the trio run only. No order is defined.
        """
        return self.shared.connections

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
            refused=admission.refused.counts(),
            closed=dict(self.shared.connections._closed),
        )

    async def drain(self) -> None:
        """Stop accepting, and wait until the last client has left by itself.

        Who has connected by then goes on as before: connections, handshakes in
        progress, answers being written, and what the kernel has accepted already (but
        for a listener of your own, which is only closed). When nobody is left it
        returns; the server runs on, without a listener, until `aclose` or until it is
        cancelled. So a process can make way for the next one::

            with trio.move_on_after(60):
                await server.drain()
            await server.aclose()

        A checkpoint. Cancelled, it has stopped accepting all the same, and the
        connections live on. May be called again, to wait again, and returns when the
        server ends. Not for a handler of this server, which would wait for itself.

        Raises:
            RuntimeError: This is another thread than that of the trio run.
        """
        self.shared.dispatcher.contexts.check_thread()
        await self._listening.drain()
        await self._departures.wait_all()

    async def aclose(self, code: int = 1001, reason: str = SHUTTING_DOWN) -> None:
        """End the server in order, as cancelling does, and wait for that.

        It stops accepting, answers handshakes in progress with 503, sends what is
        queued and this Close to every client, cancels the handlers and their tasks, and
        waits `Timeouts.shutdown` seconds at most; what is left is aborted. Then
        `serve_websocket` returns.

        A checkpoint. Cancelled, it only waits no longer: the server belongs to the task
        that serves, and goes on to end. May be called again, also when it has ended:
        the first code and reason count. A handler or a task of this server may call
        it, and is cancelled in it like all others; so do not shield it there.

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999.
            reason: At most 123 bytes of UTF-8.

        Raises:
            ValueError: The code or the reason cannot be sent.
            TypeError: They are not an int and a str.
            RuntimeError: This is another thread than that of the trio run.
        """
        self.shared.dispatcher.contexts.check_thread()
        check_arguments(code, reason)
        check_close(code, reason)
        if not self._told_to_end.is_set() and not self._admission.closed:
            self._goodbye = (code, reason)
            self._told_to_end.set()
        await self._ended.wait()

    def __repr__(self) -> str:
        where = ", ".join(map(str, self.addresses)) or "streams"
        return (
            f"<Server on {where}>" if self._listening.accepting else "<Server, stopped>"
        )

    # --- running ------------------------------------------------------------

    async def _serve(
        self,
        loop: loops.Loop,
        listeners: Sequence[trio.abc.Listener[Any]],
        task_status: trio.TaskStatus[Server],
    ) -> None:
        await self._handlers.open()
        try:
            self._links.start_soon(loop.run, self._links, self._departures.end)
            for listener in listeners:
                self._listening.open(listener, self._config.ssl_context is not None)
            task_status.started(self)
            await self._told_to_end.wait()
        finally:
            cancel(self._nursery.cancel_scope, SHUTTING_DOWN)
            try:
                self._admission.closed = True
                self._listening.close()
                with trio.CancelScope(shield=True):
                    await self._begin_shutdown()
                    await close_listeners(listeners)
                    await self._finish_shutdown()
            finally:
                # Whatever has failed: shielded, they would never end.
                self._handlers.cancel_at_once(SHUTTING_DOWN)
                self.shared.budget.close()

    async def _begin_shutdown(self) -> None:
        # To everybody, and in turns: others live on while this server ends.
        dispatcher = self.shared.dispatcher
        await in_turns(dispatcher, self._admission.handshakes(), _refuse)
        send_away = partial(_send_away, self._goodbye)
        await in_turns(dispatcher, tuple(self.shared.connections), send_away)
        code, reason = self._goodbye
        await self._handlers.cancel(f"the server ends: close code {code}, {reason!r}")

    async def _finish_shutdown(self) -> None:
        with trio.move_on_after(self._config.options.timeouts.shutdown):
            await self._departures.wait_connections()
            for link in tuple(self._streams.pumps):
                await link.written.wait()
            await wait_lingering(self.shared.dispatcher)
        dispatcher, admission = self.shared.dispatcher, self._admission
        await in_turns(
            dispatcher, (*admission.handshakes(), *admission.answers), _close
        )
        await in_turns(dispatcher, tuple(self.shared.connections), _abort)
        # on_close of those is called in a turn of the loop.
        await self._departures.wait_connections()


async def run_server(
    config: ServerConfig,
    listeners: Sequence[trio.abc.Listener[Any]],
    task_status: trio.TaskStatus[Server],
) -> None:
    """Serve until cancelled, or until `Server.aclose`; then end in order.

    Args:
        config: What was asked for.
        listeners: Closed at the end, but for what fails before it listens.
        task_status: Gets the `Server` when it listens.
    """
    deflate = config.options.deflate
    negotiator = None if deflate is None else Negotiator(Role.SERVER, deflate)
    dispatcher, loop = loops.new_dispatcher()
    server: Server | None = None
    try:
        async with trio.open_nursery() as nursery:
            links, links_scope = await nursery.start(shielded_nursery)
            try:
                server = Server(config, negotiator, dispatcher, nursery, links)
                await server._serve(loop, listeners, task_status)
            finally:
                # Shielded: nothing else would end it.
                links_scope.cancel()
    finally:
        dispatcher.close()
        if server is not None:
            server._ended.set()


def _refuse(handshake: Any) -> None:
    handshake.refuse_for_shutdown()


def _send_away(goodbye: tuple[int, str], ws: Any) -> None:
    ws._start_close(*goodbye)


def _close(owner: Any) -> None:
    owner.close()


def _abort(ws: Any) -> None:
    ws._abort("the server has shut down")
