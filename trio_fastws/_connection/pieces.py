"""Messages in pieces, for what is larger than memory or not there yet.

The two objects that `WebSocket.open_message` and `WebSocket.receive_stream`
give. Friends of the connection: they use its underscored methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import trio
from trio.lowlevel import checkpoint, wait_task_rescheduled

from trio_fastws._protocol.codes import BINARY, CONTINUATION, RSV1, TEXT
from trio_fastws._protocol.prepared import to_payload

if TYPE_CHECKING:
    from types import TracebackType

    from trio_fastws._protocol.buffers import Buffer

    from .websocket import WebSocket

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

    def __init__(self, ws: WebSocket, text: bool, compress: bool) -> None:
        self._ws = ws
        self._text = text
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
        waiting = ws._get_waiting()
        while True:
            await ws._wait_for_room()
            ws._check_open()
            if not waiting.writing:
                break
        waiting.writing = True

    async def write(self, piece: str | Buffer) -> None:
        """Send a piece, waiting for room first.

        It is one fragment, or several if it is over `Sending.frame_size`.

        Always a checkpoint. Safe to cancel: the piece is queued whole or not at
        all (but leaving the block with ``Cancelled`` fails the connection).

        Raises:
            TypeError: ``str`` for a binary message, or bytes for a text one.
            RuntimeError: Its block was not entered.
            trio.ClosedResourceError: This side has closed the connection, or
                the message is finished.
            ConnectionBroken: The connection is gone.
        """
        if not self._entered:
            raise RuntimeError("use it in an `async with` block")
        if isinstance(piece, str) is not self._text:
            wanted = "str" if self._text else "bytes-like"
            raise TypeError(
                f"a piece of this message must be {wanted}, not {type(piece).__name__}"
            )
        _, payload = to_payload(piece)
        await checkpoint()
        if not self._open:
            raise trio.ClosedResourceError("the message is finished")
        ws = self._ws
        while not ws._takes_fragment():
            ws._check_open()
            await ws._wait_to_write()
        ws._check_open()
        ws._commit_fragment(self._opcode | self._wish, payload, False)
        self._opcode = CONTINUATION

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ws = self._ws
        self._open = False
        try:
            if error is None:
                await checkpoint()
                ws._check_open()
                ws._commit_fragment(self._opcode | self._wish, b"", True)
                self._opcode = FINISHED
        finally:
            ws._get_waiting().writing = False
            if self._opcode == CONTINUATION:
                # A part is on its way, and nobody may take it for the whole.
                ws._message_broken_off()
            ws._pass_on()


class IncomingMessage(trio.abc.ReceiveChannel["str | bytes"]):
    """A message that is received piece by piece; see `WebSocket.receive_stream`.

    Its block can be entered once, else `RuntimeError`; so for what is called outside.

    Attributes:
        text: Whether it is a text message; None before its first piece.
    """

    def __init__(self, ws: WebSocket) -> None:
        self._ws = ws
        self._done = False
        # Whether its block was entered, and whether it was left.
        self._begun = False
        self._entered = False
        self.text: bool | None = None

    async def __aenter__(self) -> Self:
        _enter_once(self._begun)
        self._ws._begin_receiving()
        self._begun = self._entered = True
        try:
            await checkpoint()
        except BaseException:
            self._ws._receiving = False
            self._begun = self._entered = False
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
        ws = self._ws
        if not self._entered:
            raise RuntimeError("use it in an `async with` block")
        if self._done or ws._inbox is not None or ws.closed:
            await checkpoint()
        if self._done:
            raise trio.EndOfChannel
        while ws._inbox is None:
            self._check_end()
            ws._stream_on()
            if ws._must_wait(False):
                await wait_task_rescheduled(ws._abort_wait)
        item: Any = ws._take()
        if type(item) is str or type(item) is bytes:
            self._done = True
            piece: str | bytes = item
        else:
            self._done = item.final
            piece = item.data
        self.text = isinstance(piece, str)
        return piece

    def _check_end(self) -> None:
        if self.text is None:
            if self._ws._closing:
                self._ws._check_end(False)
        elif self._ws._closing:
            # Not yet when the peer has reset it: what came before is still read.
            self._ws._raise_closed()

    async def aclose(self) -> None:
        """Discard what is left of the message. A checkpoint."""
        self._leave()
        await checkpoint()

    def _leave(self) -> None:
        if self._entered:
            self._entered = False
            self._ws._receiving = False
            if not self._done:
                self._ws._skip_message(self.text is not None)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()
        if error is None:
            await checkpoint()
