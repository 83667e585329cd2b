# cython: annotation_typing=False
"""An endpoint: one side of an open WebSocket, without I/O (RFC 6455 5 to 7).

Sans-I/O: bytes in, events out; messages in, bytes out. Owns control frames between
fragments, the closing handshake and failing the connection. Messages are encoded in
`encoder`. Does not know sockets, clocks and tasks.

Call ``feed`` to lend it bytes, then ``next_event`` until that returns None. If an event
has to be answered, it carries the answer, encoded. After a Close, or a failure,
everything that follows is discarded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_fastws._protocol.deflate.context import DeflateContext

from .codes import CLOSE, FIN, PING, PONG, Role, allowed_on_wire
from .controls import check_control_size
from .encoder import MessageEncoder
from .errors import ProtocolError
from .events import (
    WORKING as WORKING,
    Close as Close,
    Event as Event,
    Failure as Failure,
    Piece as Piece,
    Ping as Ping,
    Pong as Pong,
)
from .frames import encode_frame
from .masking import unmask

if TYPE_CHECKING:
    from trio_fastws._protocol.deflate.agreement import Agreement

SERVER = int(Role.SERVER)


class Endpoint(MessageEncoder):
    """The state of one side of a connection, from the opening handshake on.

    Attributes:
        close_sent: Our Close was encoded: no frame may follow it.
        close_received: The peer's has come.
        failed: The peer broke the protocol.
        streaming: Settable. While true, data messages come as `Piece` events,
            what was collected of the current one first. Reset it with the
            final piece.
        text_as_bytes: See `receive_text_as_bytes`; otherwise text is ``str``.
        deflate: What permessage-deflate keeps; None if it was not agreed upon.
        messages_received: Data messages, and ``bytes_received`` in them.
        messages_sent: Data messages, and ``bytes_sent`` in them.
        dividing: A compressed message was begun by a fragment, and not ended.
            Some peers garble it if control frames come between its fragments.
    """

    __slots__ = ()

    def __init__(
        self,
        role: Role,
        max_message: int | None = 2**20,
        max_fragments: int | None = None,
        agreement: Agreement | None = None,
    ) -> None:
        """Start after the opening handshake.

        Args:
            role: Which side this is.
            max_message: Largest message in bytes, inflated; None for no limit.
            max_fragments: Most fragments of a message; None: 1,024, or one for
                every 128 bytes of ``max_message``.
            agreement: The agreement on permessage-deflate, if there is one.
        """
        deflate = None if agreement is None else DeflateContext(agreement)
        self._init_messages(role, max_message, max_fragments, deflate)
        self._init_encoder()

    # --- receiving ----------------------------------------------------------

    def feed(self, data: bytearray, start: int, stop: int) -> None:
        """Lend ``data[start:stop]`` for parsing.

        It is lent until nothing is left to parse, or until it is copied; until
        then it may be changed, because payloads are unmasked in place.

        Args:
            data: The buffer, with `HEADROOM` bytes of room before ``start``.
            start: Index of the first new byte.
            stop: Index one past the last.
        """
        header = self._start
        if header is not None and not self._in_payload:
            self._start = None
            start -= len(header)
            data[start : start + len(header)] = header
        self.drained: bool = False
        self._kept: bool = False
        self._data = data
        self._position = start
        self._stop = stop

    def next_event(self) -> Event | None:
        """Return the next event; None when more data is needed.

        `WORKING` is not an event but a pause: call it again after others had a turn.
        """
        if self.close_received or self.failed:
            self._release()
            return None
        try:
            return self._next()
        except ProtocolError as error:
            return self.fail(error.close_code, error.reason)
        except (MemoryError, OverflowError):
            return self.fail(1009, f"no memory for a frame of {self._length} bytes")

    def receive_text_as_bytes(self) -> None:
        """Give text as ``bytes`` from now on: checked all the same, but not decoded.

        Of a message that has begun, too, all that was not given away.
        """
        self.text_as_bytes = True
        if self._text is not None:
            self._text = self._text.as_bytes()

    def _next(self) -> Event | None:
        while True:
            if self.streaming and self._holds():
                piece = self._give_collected()
                if piece is not None:
                    return piece
            if not self._in_payload:
                if not self._read_header():
                    return None
                if self._kind < CLOSE and not self.close_sent:
                    self._begin_data()
            event: Event | None = None
            if self._kind >= CLOSE:
                event = self._read_control()
            elif self.close_sent:
                self._skip()
            else:
                event = self._read_data()
            if event is not None:
                return event
            if self._in_payload:
                self._release()
                return None

    def _skip(self) -> None:
        # RFC 6455 1.4: after sending a Close, data that still comes is discarded.
        if self._size > 0 or self._opcode:
            self._drop_message()
        available = self._stop - self._position
        take = min(available, self._remaining)
        self._position += take
        self._remaining -= take
        self._in_payload = self._remaining > 0

    def _read_control(self) -> Event | None:
        at = self._position
        available = self._stop - at
        take = min(available, self._remaining)
        if take < self._remaining or self._start is not None:
            # In pieces, which is rare; unmasked when it is whole.
            whole = bytearray(self._start or b"")
            whole += memoryview(self._data)[at : at + take]
            self._position = at + take
            self._remaining -= take
            if self._remaining > 0:
                self._start = bytes(whole)
                return None
            self._start = None
            payload = unmask(whole, 0, len(whole), self._key)
        else:
            payload = unmask(self._data, at, at + take, self._key)
            self._position = at + take
            self._remaining = 0
        self._in_payload = False
        if self._kind == PING:
            # RFC 6455 5.5.2: MUST send a Pong in response, unless it already
            # received a Close; 5.5.1: MUST NOT send frames after its own Close
            reply = b"" if self.close_sent else self.encode_pong(payload)
            return Ping(payload, reply)
        if self._kind == PONG:
            return Pong(payload)
        return self._read_close(payload)

    def _read_close(self, payload: bytes) -> Close:
        """Check a Close and answer it (RFC 6455 5.5.1)."""
        code, reason = 1005, ""
        if len(payload) == 1:
            raise ProtocolError(1002, "Close has half a code")
        if payload:
            code = payload[0] << 8 | payload[1]
            if not allowed_on_wire(code):
                raise ProtocolError(1002, f"close code {code} may not be sent")
            try:
                reason = payload[2:].decode()
            except UnicodeDecodeError:
                raise ProtocolError(1007, "close reason is not UTF-8") from None
        self.close_received = True
        self._drop_message()
        self._release()
        reply = b""
        if not self.close_sent:
            # RFC 6455 5.5.1: MUST send a Close in response, typically echoing
            # the status code; the reason as well, as most peers do.
            self.close_sent = True
            reply = self._encode_control(CLOSE, payload)
        return Close(code, reason, reply)

    def fail(self, code: int, reason: str) -> Failure:
        """Fail the connection, and return the `Failure`. Its owner may call this, too.

        RFC 6455 7.1.7: a Close with a code, and MUST NOT continue to process data
        from the peer.

        Args:
            code: Close code.
            reason: At most 123 bytes.
        """
        self.failed = True
        self._drop_message()
        self._release()
        reply = b"" if self.close_sent else self.encode_close(code, reason)
        return Failure(code, reason, reply)

    def end(self) -> None:
        """Release the incomplete message, and all windows.

        The transport has ended: nothing will be fed or encoded any more. The counters
        and the agreement stay.
        """
        self._drop_message()
        self._start = None
        self._in_payload = False
        self._release()
        if self.deflate is not None:
            self.deflate.end()

    def ends_transport(self) -> bool:
        """Return whether this side closes the transport first, after both Closes.

        RFC 6455 7.1.1: the server closes first, so that it holds no socket in
        TIME_WAIT and the client can dial again; a client waits for it. Either
        may close when it has failed the connection (7.1.7).
        """
        return self.role == SERVER or self.failed

    # --- sending ------------------------------------------------------------

    def encode_ping(self, payload: bytes = b"") -> bytes:
        """Return a Ping of at most 125 bytes, else `ValueError`."""
        return self._encode_control(PING, payload)

    def encode_pong(self, payload: bytes = b"") -> bytes:
        """Return a Pong of at most 125 bytes, else `ValueError`."""
        return self._encode_control(PONG, payload)

    def encode_close(self, code: int = 1000, reason: str = "") -> bytes:
        """Return a Close; no other frame may be encoded after it.

        Raises:
            ValueError: See `check_close`.
        """
        check_close(code, reason)
        self.close_sent: bool = True
        text = reason.encode()
        return self._encode_control(CLOSE, bytes((code >> 8, code & 0xFF)) + text)

    def _encode_control(self, opcode: int, payload: bytes) -> bytes:
        check_control_size(len(payload))
        parts: list[bytes] = []
        encode_frame(self.role, FIN | opcode, payload, parts)
        return parts[0]


def check_close(code: int, reason: str) -> None:
    """Check code and reason of a Close that is to be sent.

    Raises:
        ValueError: The code must not be sent (RFC 6455 7.4), or the reason does
            not fit into a control frame.
    """
    if not allowed_on_wire(code):
        raise ValueError(
            f"close code {code} may not be sent; "
            "use 1000-1003, 1007-1014 or 3000-4999 (RFC 6455 7.4)"
        )
    size = len(reason.encode())
    if size > 123:
        raise ValueError(f"close reason of {size} bytes is over the limit of 123")
