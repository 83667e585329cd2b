"""Messages in pieces, for what is larger than memory or not there yet.

The two objects that `WebSocket.open_message` and `WebSocket.receive_stream` give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import trio
from trio.lowlevel import checkpoint, wait_task_rescheduled

from trio_fastws._protocol.codes import BINARY, CONTINUATION, RSV1, TEXT
from trio_fastws._protocol.fragments import divide
from trio_fastws._protocol.prepared import to_payload
from trio_fastws._protocol.utf8 import check_part

from . import steps
from .closing import CLOSING, OPEN
from .parking import get_waiters, wait_for_room, wait_to_write

if TYPE_CHECKING:
    from types import TracebackType

    from trio_fastws._protocol.buffers import Buffer

    from .connection import Connection
    from .inbox import Inbox

FINISHED = -1


def _enter_once(entered: bool) -> None:
    if entered:
        raise RuntimeError(
            "its block was entered before: call open_message or receive_stream "
            "anew for each message"
        )


class OutgoingMessage:
    """A message that is sent piece by piece; see `WebSocket.open_message`.

    Its block can be entered once, else `RuntimeError`.
    """

    def __init__(self, ws: Connection, text: bool, compress: bool) -> None:
        self._ws = ws
        self._text = text
        # The bytes of a character that the next piece has to complete.
        self._begun = b""
        # Asked for with every fragment; the protocol floor knows what to do.
        self._wish = RSV1 if compress else 0
        # The opcode of the next fragment: RFC 6455 5.4, all but the first are
        # continuations.
        self._opcode = TEXT if text else BINARY
        self._entered = False
        self._open = False

    async def __aenter__(self) -> Self:
        _enter_once(self._entered)
        self._entered = True
        try:
            await checkpoint()
            await self._wait_for_turn()
        except BaseException:
            self._entered = False  # nothing was sent of it: it may be tried again
            raise
        self._open = True
        return self

    async def _wait_for_turn(self) -> None:
        ws = self._ws
        waiters = get_waiters(ws)
        while True:
            await wait_for_room(ws)
            ws._check_open()
            if not waiters.writing:
                break
        waiters.writing = True

    async def write(self, piece: str | Buffer) -> None:
        """Send a piece, waiting for room first.

        It is one fragment, or several if it is over `Sending.frame_size`. Of a text
        message it is ``str`` or UTF-8, and may end in the middle of a character.

        Always a checkpoint. Safe to cancel: the piece is queued whole or not at
        all (but leaving the block with ``Cancelled`` fails the connection).

        Raises:
            TypeError: ``str`` for a binary message, or neither text nor bytes-like.
            UnicodeDecodeError: A text message would not be UTF-8 with this piece.
            RuntimeError: Its block was not entered.
            trio.ClosedResourceError: This side has closed the connection, or
                the message is finished.
            ConnectionBroken: The connection is gone.
        """
        if not self._entered:
            raise RuntimeError("use it in an `async with` block")
        if isinstance(piece, str) and not self._text:
            raise TypeError("a piece of a binary message must be bytes-like, not str")
        _, payload = to_payload(piece)
        await checkpoint()
        if not self._open:
            raise trio.ClosedResourceError("the message is finished")
        ws = self._ws
        await wait_to_write(ws)
        ws._check_open()
        if self._text:
            # Now: another task may have written a piece meanwhile.
            self._begun = check_part(payload, self._begun, False)
        self._commit(payload, False)
        self._opcode = CONTINUATION

    def _commit(self, payload: bytes, fin: bool) -> None:
        ws = self._ws
        opcode = self._opcode | self._wish
        outbox = ws._outbox
        if outbox is not None and not outbox.takes():
            if self._opcode != CONTINUATION:
                # An empty message behind others, which was never begun.
                outbox.put((opcode, payload), len(payload))
                ws._mark_outbox(outbox, False)
                return
            if outbox.rest is not None:
                # The end of a message, which adds nothing to its last piece; that
                # is being encoded still. Further pieces wait in `write`.
                outbox.rest.fin = fin
                return
        frame_size = ws._shared.frame_size
        large = divide(ws._endpoint, opcode, payload, fin, None, frame_size)
        if large is not None:
            if outbox is None:
                outbox = ws._new_outbox()
            outbox.rest = large
            ws._mark_outbox(outbox, False)
            return
        parts: list[bytes] = []
        size = ws._endpoint.encode(opcode, payload, fin, parts, frame_size)
        if outbox is None and ws._may_write_now(ws._shared.dispatcher):
            ws._write(parts, size)
            return
        if outbox is None:
            outbox = ws._new_outbox()
        # A Pong that waited comes before what no control frame should divide.
        outbox.commit_pong()
        outbox.commit(parts, size)
        ws._mark_outbox(outbox, False)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ws = self._ws
        ws._shared.dispatcher.contexts.check_thread()
        self._open = False
        try:
            if error is None:
                await checkpoint()
                ws._check_open()
                check_part(b"", self._begun, True)
                self._commit(b"", True)
                self._opcode = FINISHED
        finally:
            get_waiters(ws).writing = False
            if self._opcode == CONTINUATION and ws._state < CLOSING:
                # A part is on its way, and nobody may take it for the whole.
                cause = "a message was broken off"
                ws._start_close(1011, "message broken off", (1011, cause))
            steps.pass_on(ws)


class IncomingMessage(trio.abc.ReceiveChannel["str | bytes"]):
    """A message that is received piece by piece; see `WebSocket.receive_stream`.

    Its block can be entered once, else `RuntimeError`; so for what is called outside.

    Attributes:
        text: Whether its pieces are ``str``; None before the first.
    """

    def __init__(self, ws: Connection) -> None:
        self._ws = ws
        self._done = False
        # Whether its block was entered, ever.
        self._begun = False
        # While it is entered and not left.
        self._inbox: Inbox | None = None
        self.text: bool | None = None

    async def __aenter__(self) -> Self:
        _enter_once(self._begun)
        self._inbox = steps.begin(self._ws)
        self._begun = True
        try:
            await checkpoint()
        except BaseException:
            self._inbox.receiving = False
            self._inbox = None
            self._begun = False
            raise
        return self

    async def receive(self) -> str | bytes:
        """Receive the next piece. Always a checkpoint, safe to cancel.

        Raises:
            trio.EndOfChannel: The message is complete.
            ConnectionBroken: The connection ended in the middle of it, or
                before it began with a code that is not a clean end.
            trio.ClosedResourceError: This side has closed the connection.
        """
        ws, inbox = self._ws, self._inbox
        if inbox is None:
            raise RuntimeError("use it in an `async with` block")
        ws._shared.dispatcher.contexts.check_thread()
        if self._done or inbox.messages is not None or ws._state != OPEN:
            await checkpoint()
        if self._done:
            raise trio.EndOfChannel
        while inbox.messages is None or steps.waits_for_a_task(ws):
            if inbox.messages is None:
                self._check_end()
                steps.receive_pieces(ws)
            if steps.must_wait(ws, inbox, False):
                await wait_task_rescheduled(inbox.stop_waiting)
        item: Any = steps.take(ws, inbox)
        if type(item) is str or type(item) is bytes:
            self._done = True
            piece: str | bytes = item
        else:
            self._done = item.final
            piece = item.data
        self.text = isinstance(piece, str)
        return piece

    def _check_end(self) -> None:
        # Not yet when the peer has reset it: what came before is still read.
        if self._ws._state >= CLOSING:
            if self.text is None:
                steps.check_end(self._ws, False)
            self._ws._check_open()  # which it is not

    async def aclose(self) -> None:
        """Discard what is left of the message. A checkpoint."""
        self._leave()
        await checkpoint()

    def _leave(self) -> None:
        self._ws._shared.dispatcher.contexts.check_thread()
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            inbox.receiving = False
            if not self._done:
                steps.skip_message(self._ws, inbox, self.text is not None)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()
        if error is None:
            await checkpoint()
