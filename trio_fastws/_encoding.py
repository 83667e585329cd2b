# cython: annotation_typing=False
"""From what waits in an outbox to frames: promotion, in steps if it is large.

Owns what stands in an outbox: opcode and payload, a message prepared for many,
a Close, or a large message of which a part was compressed already. Knows
neither when something is promoted nor where it is written.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

# RSV1 beside an opcode: to be compressed, if that was agreed upon.
from trio_fastws._protocol.codes import CLOSE, CONTINUATION, RSV1
from trio_fastws._protocol.prepared import PreparedMessage
from trio_fastws._transport.links import Owner

if TYPE_CHECKING:
    from trio_fastws._protocol.endpoint import Endpoint
    from trio_fastws._transport.outbox import Outbox


class LargeMessage:
    """A message, or a piece of one, that is being compressed in steps.

    Each step is a fragment, so that control frames may pass in between. It is
    committed, whether it was ever pending or not: no policy may drop it.
    """

    __slots__ = ("at", "fin", "opcode", "payload")

    def __init__(self, opcode: int, payload: bytes, fin: bool) -> None:
        self.opcode: int = opcode
        self.payload: bytes = payload
        self.fin: bool = fin
        # How much of it was encoded.
        self.at: int = 0


class Encoder(Owner):
    """What encodes for an outbox. `Writer` adds when."""

    __slots__ = ("_outbox", "endpoint")

    def _init_encoder(self, endpoint: Endpoint) -> None:
        self._init_owner()
        self.endpoint: Endpoint = endpoint
        self._outbox: Outbox | None = None

    def _in_steps(self, size: int, prepared: PreparedMessage | None) -> bool:
        # A frame that is shared is compressed at once, and once only.
        if prepared is not None and self.endpoint.may_share(size):
            return False
        return self.endpoint.in_steps(size)

    def _encode(
        self,
        opcode: int,
        payload: bytes,
        prepared: PreparedMessage | None,
        parts: list[bytes],
    ) -> int:
        if prepared is None:
            return self.endpoint.encode(opcode, payload, True, parts)
        return self.endpoint.encode_prepared(prepared, opcode & RSV1 != 0, parts)

    def encode(self, item: Any, parts: list[bytes]) -> int:
        """See `Owner.encode`: an item is promoted to the wire, or a step of it."""
        if type(item) is LargeMessage:
            return self._encode_step(item, parts)
        opcode, payload, extra = item
        if opcode == CLOSE:
            data = self.endpoint.encode_close(payload, extra)
            parts.append(data)
            return len(data)
        if opcode & RSV1 and self.endpoint.deflate is not None:
            self._check_time()
        if isinstance(payload, PreparedMessage):
            return self._encode(opcode, payload.payload, payload, parts)
        if opcode & RSV1 and self.endpoint.in_steps(len(payload)):
            return self._encode_step(LargeMessage(opcode, payload, True), parts)
        return self.endpoint.encode(opcode, payload, extra, parts)

    def _check_time(self) -> None:
        # What is encoded now is the last in this turn, if that has lasted long
        # enough. To compress many small messages takes as long as a large one.
        outbox, link = self._outbox, self.link
        if outbox is not None and link is not None:
            outbox.interrupted = perf_counter() >= link.turn.until

    def _begin_steps(self, outbox: Outbox, large: LargeMessage) -> None:
        outbox.rest = large
        outbox.rest_size = len(large.payload) - large.at

    def _encode_step(self, large: LargeMessage, parts: list[bytes]) -> int:
        outbox = self._outbox
        assert outbox is not None
        self._check_time()
        start, stop = large.at, large.at + self.endpoint.step
        last = stop >= len(large.payload)
        chunk = large.payload[start:stop]
        size = self.endpoint.encode(large.opcode, chunk, large.fin and last, parts)
        large.opcode = CONTINUATION | RSV1
        large.at = stop
        if last:
            outbox.rest = None
            outbox.rest_size = 0
        else:
            self._begin_steps(outbox, large)
        return size
