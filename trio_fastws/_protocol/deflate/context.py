# cython: annotation_typing=False
"""permessage-deflate: compressing and inflating payloads (RFC 7692 7.2).

Owns the zlib objects and the *windows*: the last bytes of the messages that were
compressed in one direction, to which the next one may refer. The negotiation is in
`negotiation`; frames are not known here.

Inflating keeps no zlib object between messages. Each message gets a new inflater with
the window as its preset dictionary, and an empty final block is fed after its end. So
only the window is kept, and a message that was cut off, or has a final block of its
own, is recognised exactly.

Compressing has three ways. Without takeover one compressor serves every connection,
because a full flush makes it forget. With takeover, each message gets a new compressor
with the window as its dictionary, or a compressor lives as long as its connection
(``persistent``). The first takes more CPU for short messages and a quarter of the
memory, and its window may also grow by a message that was compressed elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trio_fastws._protocol.errors import ProtocolError

from .agreement import SYNC_FLUSH, Agreement

if TYPE_CHECKING:
    from trio_fastws._protocol.controls import WaitingControls

# RFC 7692 7.2.2: append 4 octets 0x00 0x00 0xff 0xff to the tail of the payload
TAIL = b"\x00\x00\xff\xff"
# An empty block that is marked as the final one: the inflater then reports its end.
FINAL = b"\x01\x00\x00\xff\xff"
# Most output of one step (0.1 ms), and most input: data that is made to be slow takes
# 0.5 ms (2 ms with isal).
INFLATED_STEP = 64 * 1024
INPUT_STEP = 4 * 1024
# What an inflater takes besides its window: zlib's state is 7 KiB.
INFLATER = 8 * 1024


class DeflateContext:
    """Compression of one connection; next to nothing before the first message.

    Attributes:
        agreement: What was agreed upon.
        saved_sent: Bytes that compressing has saved; negative if it cost some.
        saved_received: The same of what the peer sent.
        step: Settable: most bytes that are inflated at a time.
        streams: Final blocks in the message that is being inflated.
        postponed: Control frames that wait for the end of the message that is being
            sent, if any do.
    """

    __slots__ = (
        "_compressor",
        "_ended",
        "_inflater",
        "_input",
        "_open",
        "_received",
        "_sent",
        "_taken",
        "agreement",
        "postponed",
        "saved_received",
        "saved_sent",
        "step",
        "streams",
    )

    def __init__(self, agreement: Agreement) -> None:
        self.agreement: Agreement = agreement
        self.saved_sent: int = 0
        self.saved_received: int = 0
        self.streams: int = 0
        self.step: int = INFLATED_STEP
        self.postponed: WaitingControls | None = None
        # The windows, made with the first message.
        self._sent: bytearray | None = None
        self._received: bytearray | None = None
        # The persistent one, or that of the message in progress.
        self._compressor: Any = None
        # Whether fragments of a compressed message were sent, but not the last.
        self._open = False
        # Of the message that is being inflated: its inflater, what it is to be
        # given next (None: it wants more from the peer), and whether that is all.
        self._inflater: Any = None
        self._input: bytes | None = None
        self._ended = False
        # How much of it came.
        self._taken = 0

    # --- sending ------------------------------------------------------------

    def compress(
        self, opcode: int, payload: bytes, fin: bool, flush: bool = True
    ) -> bytes | None:
        """Compress a message or the next part of one.

        Args:
            opcode: 0 for all parts but the first.
            payload: Its bytes.
            fin: Whether the message ends with it.
            flush: Whether to return all of it, so that the peer can read it;
                otherwise some may come with the next part. True at the end.

        Returns:
            The payload to send; None to send ``payload`` itself, without RSV1.
        """
        agreement = self.agreement
        if opcode and fin:
            if not payload or not agreement.compresses:
                return None
            data = self._compress_message(payload)
        elif opcode:
            self._open = agreement.compresses
            if not self._open:
                return None
            data = self._compress_part(payload, False, flush)
        elif self._open:
            self._open = not fin
            data = self._compress_part(payload, fin, flush)
        else:
            return None
        if data is not None:
            self.saved_sent += len(payload) - len(data)
        return data

    def _compress_message(self, payload: bytes) -> bytes | None:
        agreement = self.agreement
        if agreement.persistent:
            return self._compress_part(payload, True, True)
        if agreement.send_takeover and self._sent:
            compressor = agreement.new_compressor(self._sent)
            head: bytes = compressor.compress(payload)
            rest: bytes = compressor.flush(SYNC_FLUSH)
            data = (head + rest)[:-4]
        else:
            data = agreement.compress(payload)
        if len(data) >= len(payload):
            # It is in no window yet, so it may be sent plain.
            return None
        if agreement.send_takeover:
            self._remember(payload)
        return data

    def _compress_part(self, payload: bytes, fin: bool, flush: bool) -> bytes:
        agreement = self.agreement
        compressor = self._compressor
        # Should it fail, the next message starts with a new one: any peer can
        # read what refers to nothing.
        self._compressor = None
        if compressor is None:
            compressor = agreement.new_compressor(self._sent)
        data: bytes = compressor.compress(payload)
        if flush:
            rest: bytes = compressor.flush(SYNC_FLUSH)
            data += rest
        if not fin or agreement.persistent:
            self._compressor = compressor
        if agreement.send_takeover and not agreement.persistent:
            self._remember(payload)
        if not fin:
            return data
        # RFC 7692 7.2.1: remove 4 octets 0x00 0x00 0xff 0xff from the tail
        return data[:-4]

    def _remember(self, payload: bytes) -> None:
        if self._sent is None:
            self._sent = bytearray()
        extend_window(self._sent, payload, 1 << self.agreement.send_bits)

    def add_shared(self, payload: bytes, size: int) -> None:
        """Add ``payload`` to the window; ``size`` is what it was compressed to."""
        self.saved_sent += len(payload) - size
        if self.agreement.send_takeover:
            self._remember(payload)

    # --- receiving ----------------------------------------------------------

    def busy(self) -> bool:
        """Return whether there is input for `inflate`."""
        return self._input is not None

    def buffered(self) -> int:
        """Return the bytes of input that are not inflated yet, plus one if busy."""
        return 0 if self._input is None else len(self._input) + 1

    def memory_size(self) -> int:
        """Return the bytes of memory taken by a message that is being inflated."""
        held = 0
        if self._inflater is not None:
            held = INFLATER + (1 << self.agreement.receive_bits)
        if self._input is not None:
            held += len(self._input)
        return held

    def feed(self, payload: bytes, ended: bool) -> None:
        """Take a part of a payload, at most `INPUT_STEP`, when not `busy`.

        Args:
            payload: Kept by reference.
            ended: Whether the message ends with it.
        """
        self._taken += len(payload)
        self._ended = ended
        if ended:
            self._input = payload + TAIL
        elif payload:
            self._input = payload

    def inflate(self, room: int) -> bytes:
        """Inflate a step, when `busy`. Afterwards `busy` if there is more to do.

        Args:
            room: Most bytes wanted, at least 1.

        Raises:
            ProtocolError: The data is corrupt or cut off: 1007.
        """
        agreement = self.agreement
        inflater = self._inflater
        if inflater is None:
            if self.streams > 0 and self._ended and self._input == TAIL:
                self._keep_received(b"", self._end_stream(TAIL))
                return b""
            inflater = agreement.new_inflater(self._received)
        room = min(room, self.step)
        data: bytes
        left: bytes
        done = False
        try:
            data = inflater.decompress(self._input, room)
            if inflater.eof:
                self._inflater = None
                done = self._end_stream(inflater.unused_data)
            else:
                self._inflater = inflater
                left = inflater.unconsumed_tail
                if left or len(data) == room:
                    self._input = left
                elif self._ended:
                    done = self._end_message(inflater)
                else:
                    self._input = None
        except agreement.error as error:
            raise ProtocolError(1007, f"compressed data is corrupt: {error}") from None
        self._keep_received(data, done)
        return data

    def _end_message(self, inflater: Any) -> bool:
        # Not together with the tail: a block that was cut off would take both as data.
        if inflater.decompress(FINAL, 1) or not inflater.eof or inflater.unused_data:
            raise ProtocolError(1007, "compressed message is cut off")
        return self._end_stream(b"")

    def _end_stream(self, rest: bytes) -> bool:
        # After a final block, ours or the peer's. Return whether the message ends.
        if self._ended and (not rest or rest == TAIL):
            # RFC 7692 7.2.3.4 wants an empty block after a final one of the peer's.
            # Some peers send none, and what they mean is as clear.
            self._inflater = None
            self._input = None
            self.streams = 0
            return True
        self.streams += 1
        self._input = rest or None
        return False

    def _keep_received(self, data: bytes, done: bool) -> None:
        # Later messages may refer to it, and so may blocks after a final one.
        if self.agreement.receive_takeover or not done:
            if self._received is None:
                self._received = bytearray()
            extend_window(self._received, data, 1 << self.agreement.receive_bits)
        elif self._received is not None:
            self._received = None

    def count(self, size: int) -> None:
        """Count a message that was inflated to ``size`` bytes."""
        self.saved_received += size - self._taken
        self._taken = 0

    def drop_message(self) -> None:
        """Drop the message that is being inflated; no other will be."""
        self._inflater = None
        self._input = None

    def end(self) -> None:
        """Release everything: no message will be inflated or compressed any more."""
        self.drop_message()
        self._compressor = None
        self._sent = None
        self._received = None
        self.postponed = None


def extend_window(window: bytearray, data: bytes, size: int) -> None:
    """Append ``data`` to a window of which the last ``size`` bytes are wanted."""
    if len(data) > size:
        data = data[len(data) - size :]
    # Room is made first, so that it never gets more memory than it needs.
    excess = len(window) + len(data) - size
    if excess > 0:
        del window[:excess]
    window += data
