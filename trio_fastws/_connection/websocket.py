"""`WebSocket`, the public face of a connection: what users call, and tasks that wait.

Everything here parks the calling task, hands work to the synchronous half
(`connection`), or looks. Each asynchronous method is a checkpoint, on success too.

Cancellation, in one place. Waiting comes first and has no effect that would
have to be undone; the effect comes last, without a checkpoint after it. So a
``Cancelled`` from `WebSocket.send` means that nothing was queued, and one from
`WebSocket.receive` that no message was taken. Nobody but the dispatcher or a
pump writes to a transport, and neither is cancelled in the middle of a frame.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVarTuple, cast

import trio
from trio.lowlevel import checkpoint, wait_task_rescheduled

from trio_fastws._config.checks import check_required, check_size
from trio_fastws._config.options import SMALLEST_UNSENT
from trio_fastws._protocol.controls import PING, to_control_payload
from trio_fastws._protocol.handshake.request import Request, parse_request
from trio_fastws._protocol.prepared import PreparedMessage, to_item
from trio_fastws._transport.lifetimes import is_no_failure
from trio_fastws._transport.logs import in_words

from . import steps, tasks
from .closing import CLOSED, CLOSING, OPEN
from .connection import Connection
from .ending import abandon, check_reason
from .inbox import BY_USER
from .parking import (
    get_waiters,
    wait_closed,
    wait_flushed,
    wait_for_close_frame,
    wait_for_room,
)
from .pieces import IncomingMessage, OutgoingMessage
from .postponed import commit_control, send_heartbeat
from .session import SessionT
from .statistics import Statistics, count

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from types import CoroutineType, TracebackType

    from trio_fastws._protocol.buffers import Buffer
    from trio_fastws._protocol.codes import CloseFrame
    from trio_fastws._protocol.deflate.negotiation import DeflateParameters
    from trio_fastws._protocol.handshake.response import Response

PosArgT = TypeVarTuple("PosArgT")


class WebSocket(Connection, trio.abc.Channel[str | bytes], Generic[SessionT]):
    """A WebSocket connection: a trio channel of ``str`` and ``bytes``.

    Made by `serve_websocket`, `open_websocket` and `upgrade`, never directly.
    ``async with ws:`` closes it when the block is left: with code 1000, 1001 (going
    away) if it was cancelled or interrupted, or 1011 if another exception leaves it.

    Belongs to the trio run (and thread) in which it was made: another thread may look
    at it, but whatever else it calls raises RuntimeError. Let it call
    ``trio.from_thread.run_sync(ws.send_nowait, message)``.

    Attributes:
        id: A number of its own in this process, as in log records and ``repr``.
        session: Yours; None at first, or what `Accept` has. Type checkers take it as
            a ``User`` of a ``WebSocket[User]``.
    """

    __slots__ = ("__weakref__",)

    if TYPE_CHECKING:
        session: SessionT

    # --- receiving ----------------------------------------------------------

    def receive(self) -> CoroutineType[Any, Any, str | bytes]:
        """Receive the next message: ``str`` for text, ``bytes`` for binary.

        Always a checkpoint. Safe to cancel: no message is lost. What arrived
        before the connection ended is delivered before the end is reported.

        Raises:
            trio.EndOfChannel: The peer closed with code 1000, 1001 or none.
            ConnectionBroken: It closed with another code, or was lost.
            trio.ClosedResourceError: This side has closed the connection.
            trio.BusyResourceError: Another task is receiving.
            RuntimeError: Messages go to an `EventHandler`; or another thread calls.
        """
        return self._next_message(False)  # type: ignore[return-value]  # it is one

    def __anext__(self) -> CoroutineType[Any, Any, str | bytes]:
        """`receive`, but a clean end, or our own, ends the iteration."""
        return self._next_message(True)  # type: ignore[return-value]  # it is one

    async def _next_message(self, iterating: bool) -> str | bytes:
        # One coroutine and no more: of each there is one for every parked task.
        inbox = steps.begin(self)
        try:
            if steps.is_ready(self, inbox):
                await checkpoint()
            while steps.must_wait(self, inbox, iterating):
                await wait_task_rescheduled(inbox.stop_waiting)
            message: str | bytes = steps.take(self, inbox)
            return message
        finally:
            inbox.receiving = False

    # A call without `await` warns of a coroutine of this name.
    _next_message.__name__ = "receive"
    _next_message.__qualname__ = "WebSocket.receive"

    def receive_nowait(self) -> str | bytes:
        """Receive a message that is here already. Not a checkpoint.

        Raises:
            trio.WouldBlock: There is none, or `Limits.tasks` run.
            trio.EndOfChannel: As `receive`, and so are the other errors.
            RuntimeError: This is another thread than that of the trio run.
        """
        inbox = steps.begin(self)
        inbox.receiving = False
        if inbox.messages is None or steps.waits_for_a_task(self):
            if self._state >= CLOSING:
                steps.check_end(self, False)
            raise trio.WouldBlock
        message: str | bytes = steps.take(self, inbox)
        return message

    def receive_stream(self) -> AbstractAsyncContextManager[IncomingMessage]:
        """Receive the next message piece by piece, as it arrives.

        ``async with ws.receive_stream() as message: async for piece in message``.
        Pieces are ``str`` for text and ``bytes`` for binary. Reading pauses while
        pieces are not taken, so that the memory needed does not depend on the size
        of the message; `Limits.message_size` holds. Leaving early discards the rest.
        """
        return IncomingMessage(self)

    # --- sending ------------------------------------------------------------

    # trio's word is "value"; here it is what goes on the wire.
    async def send(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        data: str | Buffer | PreparedMessage,
        *,
        text: bool | None = None,
        compress: bool = True,
    ) -> None:
        """Send a message: text for ``str``, binary for anything bytes-like.

        Always a checkpoint, which comes first, as does waiting for room, first
        come, first served (see `Sending`). Safe to cancel: the message is
        queued whole, or not at all. Returns when it is queued or on its way,
        not when the peer has it. ``bytes`` are kept by reference. Whatever else
        `memoryview` takes (``bytearray``, `array.array`, ctypes and NumPy arrays,
        `mmap.mmap`) is copied as it lies in memory, ``nbytes`` long; of what is
        not contiguous the elements, in order.

        Args:
            data: The message, or a `PreparedMessage`.
            text: True: send bytes as a text message, after a check that they are
                UTF-8 (RFC 6455 5.6); JSON libraries give bytes. False: send a
                ``str`` as a binary message, in UTF-8. None: by its type.
            compress: True: compress it if that was agreed upon and it has
                `PerMessageDeflate.threshold` bytes; over 32 KiB in steps, after
                this has returned. False: send it as it is.

        Raises:
            trio.ClosedResourceError: This side has closed the connection.
            ConnectionBroken: The peer has closed it, or it was lost.
            TypeError: ``data`` is of another type, or ``text`` no such value: a
                `PreparedMessage` was told before which it is.
            UnicodeEncodeError: It holds surrogates, which UTF-8 cannot carry.
            UnicodeDecodeError: ``text`` is True, and it is not UTF-8. Nothing was
                queued.
        """
        opcode, payload, prepared = to_item(data, text)
        await checkpoint()
        if self._waiters is not None or self._outbox is not None:
            await wait_for_room(self)
        steps.send(self, opcode, payload, prepared, compress)

    async def flush(self) -> None:
        """Wait until what was sent before is with the system: the kernel, or a stream.

        Always a checkpoint. Safe to cancel, without effect. What `Sending.delay` holds
        back is written now. Returns when the kernel has taken all that was sent on
        this connection before, by whomever and a Close included; over TLS, or another
        stream, when its ``send_all`` has returned. What is sent later, and what a
        policy drops, is not waited for. The peer need do nothing but read.

        Raises:
            trio.ClosedResourceError: The connection ended before, by this side.
            ConnectionBroken: It did, by the peer, or was lost.
        """
        await checkpoint()
        await wait_flushed(self)

    def open_message(
        self, *, text: bool = False, compress: bool = True
    ) -> AbstractAsyncContextManager[OutgoingMessage]:
        """Send one message piece by piece, as fragments (RFC 6455 5.4).

        ``async with ws.open_message() as message: await message.write(piece)``.
        A piece is a fragment, or several if it is over `Sending.frame_size`.
        Leaving the block ends the message. Leaving it by an exception fails the
        connection with code 1011, because the peer must not take a part for the
        whole. Meanwhile other sends wait and `send_nowait` raises
        `trio.WouldBlock`; control frames pass.

        Args:
            text: Whether it is a text message; then pieces are ``str``, or UTF-8
                that may be cut anywhere, but at the end.
            compress: Whether to compress it if that was agreed upon, however
                small it may be.
        """
        return OutgoingMessage(self, text, compress)

    async def ping(self, payload: Buffer = b"") -> float:
        """Ping the peer; return the round trip in seconds.

        A checkpoint; safe to cancel. RFC 6455 5.5.2, 5.5.3. While a compressed
        message leaves in fragments the Ping waits for its end, 2 s at the most.

        Args:
            payload: Anything bytes-like of at most 125 bytes, which the Pong repeats;
                it is told from others by that. Empty: one of its own.

        Raises:
            ValueError: ``payload`` is longer, or that of another ping which is not
                answered yet.
            TypeError: It is not bytes-like.
            trio.ClosedResourceError: This side has closed the connection.
            ConnectionBroken: It ended before the answer came.
        """
        wanted = to_control_payload(payload)
        await checkpoint()
        self._check_open()
        waiters = get_waiters(self)
        used, ping = waiters.add_ping(wanted, trio.current_time())
        try:
            commit_control(self, PING, self._endpoint.encode_ping(used))
            await ping.event.wait()
        finally:
            waiters.forget_ping(used, ping)
        if math.isnan(ping.answered):
            self._check_open()  # which it is not any more
        return ping.answered - ping.sent

    def pong_nowait(self, payload: Buffer = b"") -> None:
        """Send a Pong that nobody has asked for: a one-way heartbeat (RFC 6455 5.5.3).

        Not a checkpoint. The peer does not answer, and no policy of `Sending` delays
        or drops it; while a compressed message leaves in fragments it waits for its
        end, 2 s at the most, and a later one takes its place. To another connection
        that is closing or gone a hook sends nothing, as with `send_nowait`.

        Args:
            payload: Anything bytes-like of at most 125 bytes. A peer that has pinged
                without a payload may take an empty one for the answer.

        Raises:
            trio.WouldBlock: `Sending.hard_limit` bytes wait.
            trio.ClosedResourceError: This side has closed the connection.
            ConnectionBroken: The connection is gone.
            ValueError: ``payload`` is longer.
            TypeError: It is not bytes-like.
            RuntimeError: This is another thread than that of the trio run.
        """
        self._shared.dispatcher.contexts.check_thread()
        send_heartbeat(self, to_control_payload(payload))

    # --- closing ------------------------------------------------------------

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection: the whole closing handshake (RFC 6455 7.1.2).

        The Close is queued behind what was sent, before the first checkpoint.
        Unread messages are discarded, also those still to come. Returns when
        the connection is closed, at the latest after `Timeouts.close` seconds.
        Cancelled, it closes at once without the rest of the handshake: a peer
        that reads gets the Close all the same. May be called again, and after
        the peer has closed.

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999.
            reason: At most 123 bytes of UTF-8.

        Raises:
            ValueError: The code or the reason cannot be sent.
            TypeError: They are not an int and a str.
        """
        self.close_nowait(code, reason)
        try:
            await wait_closed(self)
        except trio.Cancelled:
            await wait_for_close_frame(self)
            raise
        finally:
            # Only if cancelled is anything left to abort.
            self._abort("closing was cancelled")

    def abort(self, reason: str = "") -> None:
        """End the connection at once, without a closing handshake. Not a checkpoint.

        For a peer that is to be got rid of, or that can be told nothing. What was not
        received and what is queued are dropped, and the transport is closed; what the
        system has taken already it still sends. Whoever waits is woken: sending and
        receiving raise `trio.ClosedResourceError`, as after `close_nowait`. In a hook
        too; `EventHandler.on_close` comes when that has returned. May be called at any
        time, again, and after the end, when it only drops what was not received.

        Args:
            reason: What `close_reason` is from now on, unless it was known before how
                it ends; `close_code` is 1006. The peer does not see it.

        Raises:
            TypeError: The reason is not a str.
            RuntimeError: This is another thread than that of the trio run.
        """
        self._shared.dispatcher.contexts.check_thread()
        check_reason(reason)
        self._abort(reason)
        abandon(self)

    async def wait_closed(self) -> None:
        """Wait until the connection is over. A checkpoint, safe to cancel."""
        self._shared.dispatcher.contexts.check_thread()
        await wait_closed(self)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection, with a code that says how the block was left.

        1000 if it ran to its end. RFC 6455 7.4.1: 1001 if it was cancelled, or by
        Ctrl-C, an endpoint is "going away"; 1011 if another exception left it, which
        comes out also when closing is cancelled.
        """
        if error is None:
            await self.aclose()
            return
        # The block's exception says more; the next checkpoint cancels.
        with suppress(trio.Cancelled):
            await self.aclose(1001 if is_no_failure(error) else 1011)

    # --- while it is open ---------------------------------------------------

    def start_soon(
        self,
        async_fn: Callable[[*PosArgT], Awaitable[object]],
        *args: *PosArgT,
        name: object = None,
    ) -> None:
        """Start a task that ends with the connection. Not a checkpoint.

        It is cancelled when the connection is over. If it raises, that is logged (see
        `EventHandler.on_error`) and the connection closed with code 1011. It begins
        with a copy of the connection's context variables, whoever starts it: those of
        the async handler, or of what hooks and `on_request` have set. While
        `Limits.tasks` of them run, no further message comes.

        A task that receives would lose what has arrived when the connection ends, and
        is not received yet. Start it, and work that must be finished, in a nursery of
        your own::

            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive_all, ws)

        Raises:
            trio.ClosedResourceError: The connection is closing or closed.
            TypeError: ``async_fn`` is no async function, or does not take ``args``.
            RuntimeError: This is another thread than that of the trio run.
        """
        tasks.start(self, async_fn, args, name)

    def receive_text_as_bytes(self) -> None:
        """Receive text as ``bytes``, from now on. Not a checkpoint.

        For JSON libraries, which decode it themselves. It is checked as before (close
        code 1007 if it is not UTF-8), but no ``str`` is made of it. True of every way
        to receive it, `EventHandler.on_message` too, and of what is here already and
        not received. Pieces of `receive_stream` may be cut in the middle of a
        character. Text and binary messages then look alike. There is no way back.

        Raises:
            RuntimeError: This is another thread than that of the trio run.
        """
        steps.receive_text_as_bytes(self)

    def pause_reading(self) -> None:
        """Stop reading from the peer until `resume_reading`. Not a checkpoint."""
        self._shared.dispatcher.contexts.check_thread()
        self._pause(BY_USER)

    def resume_reading(self) -> None:
        """Read from the peer again. Not a checkpoint."""
        self._shared.dispatcher.contexts.check_thread()
        if self._paused & BY_USER:
            self._resume(BY_USER)

    def limit_unsent(self, size: int) -> None:
        """Limit what the kernel holds of this connection and has not sent yet.

        So that what a slow peer sees is newer, at the cost of more and smaller
        writes; `Sending.unsent_limit` does it for all connections. What is under
        way, and what waits to be read in the peer's own kernel, does not count. Not
        a checkpoint. Without effect where there is no TCP socket below.

        Args:
            size: Bytes, 1,024 or more (TCP_NOTSENT_LOWAT).

        Raises:
            ValueError: It is less.
            TypeError: It is no int.
            RuntimeError: This is another thread than that of the trio run.
        """
        self._shared.dispatcher.contexts.check_thread()
        check_required("size", size)
        check_size("size", size, SMALLEST_UNSENT)
        if self._link is not None:
            self._link.limit_unsent(size)

    # --- how it stands, and how it ended ------------------------------------

    @property
    def state(self) -> Literal["open", "closing", "closed"]:
        """Where it stands: nothing can be sent unless it is "open".

        "closing" from the first step of the closing handshake on, whichever side
        began it (RFC 6455 7.1.3), when this side has failed the connection (7.1.7),
        and when the peer has reset it and messages that came before are still
        there. "closed" when it is over.
        """
        if self._state == OPEN:
            return "open"
        return "closed" if self._state == CLOSED else "closing"

    @property
    def closed(self) -> bool:
        """Whether it is over: `state` is "closed", and `wait_closed` returns.

        A connection that is closing is neither open nor closed. Whether a message
        can be sent is ``ws.state == "open"``.
        """
        return self._state == CLOSED

    @property
    def close_code(self) -> int | None:
        """How it ended (RFC 6455 7.1.5); None while that is open.

        The peer's close code, ours if we failed the connection, 1005 if the peer
        gave none, 1006 if the connection was lost. `close_sent` and
        `close_received` are what each side said.
        """
        return None if self._closing is None else self._closing.code

    @property
    def close_reason(self) -> str | None:
        """What came with the close code, or what happened."""
        return None if self._closing is None else self._closing.reason

    @property
    def close_sent(self) -> CloseFrame | None:
        """The Close that this side has sent, or queued behind messages; else None.

        Also when the peer closed first: the answer, which repeats its code and
        reason (RFC 6455 5.5.1). A peer that is gone is sent none.
        """
        return None if self._closing is None else self._closing.get_sent()

    @property
    def close_received(self) -> CloseFrame | None:
        """The Close that the peer has sent; None before, and if it never came."""
        return None if self._closing is None else self._closing.get_received()

    # --- the opening handshake ----------------------------------------------

    @property
    def request(self) -> Request | None:
        """The handshake request; None once dropped, and always for a client.

        It is dropped when an async handler first receives, and after the `on_open` of
        an `EventHandler`: kept are those that were looked at before, and all with
        `Limits.keep_request`. What you need later belongs into `session`.
        """
        if type(self._request) is bytes:
            raw: bytes = self._request
            # It has passed the server's limits, which may be wider than the defaults.
            self._request = parse_request(raw, len(raw), len(raw))
            self._request._peer = self._link
        if type(self._request) is str:  # its path alone was kept
            return None
        return cast("Request | None", self._request)

    @property
    def subprotocol(self) -> str | None:
        """The agreed subprotocol, or None."""
        return self._subprotocol

    @property
    def response(self) -> Response | None:
        """The server's handshake response; None on the server's side."""
        return cast("Response | None", self._response)

    @property
    def deflate(self) -> DeflateParameters | None:
        """What was agreed upon for compression; None if messages go plain.

        In the words of RFC 7692: `server_no_context_takeover`,
        `client_no_context_takeover`, `server_max_window_bits` and
        `client_max_window_bits`.
        """
        context = self._endpoint.deflate
        return None if context is None else context.agreement.parameters

    # --- the rest -----------------------------------------------------------

    @property
    def remote_address(self) -> Any:
        """The peer's address as the socket module gives it.

        A tuple that begins with host and port, for TCP; a path for a Unix socket, which
        is ``""`` for most clients; None if the stream is no socket. It stays known when
        the connection is over, also after a reset. That of a reverse proxy if there is
        one.
        """
        if self._remote_address is None and self._link is not None:
            self._remote_address = self._link.peer_address()
        return self._remote_address

    @property
    def local_address(self) -> Any:
        """Our own address as the socket module gives it; None if unknown."""
        return None if self._link is None else self._link.local_address()

    def statistics(self) -> Statistics:
        """Return this connection's counters."""
        return count(self)

    def __repr__(self) -> str:
        known = self._describe()
        del known["handler"]
        return f"<WebSocket {self.state}, {in_words(known)}>"
