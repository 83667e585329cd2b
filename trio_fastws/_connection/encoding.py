# cython: annotation_typing=False
"""From what waits in an outbox to frames: promotion, in steps if it is large.

Owns what stands in an outbox: opcode and payload, a message prepared for many,
a Close, or a large message of which a part was encoded already: that is committed,
whether it was ever pending or not, and no policy may drop it. Knows neither when
something is promoted nor where it is written.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

# RSV1 beside an opcode: to be compressed, if that was agreed upon.
from trio_fastws._protocol.codes import CLOSE, RSV1, Role
from trio_fastws._protocol.fragments import Fragments
from trio_fastws._protocol.prepared import PreparedMessage

from .budget import Holder

if TYPE_CHECKING:
    from trio_fastws._protocol.endpoint import Endpoint

    from .outbox import Outbox
    from .shared import Shared
    from .waiters import Waiting


SERVER = int(Role.SERVER)


class Encoder(Holder):
    """What encodes for an outbox. `Writer` adds when."""

    __slots__ = ("_endpoint", "_outbox", "_shared", "_waiting")

    def _init_encoder(self, shared: Shared, endpoint: Endpoint) -> None:
        self._init_holder()
        self._shared = shared
        self._endpoint: Endpoint = endpoint
        self._outbox: Outbox | None = None
        # Everything that only some connections need, made at first use.
        self._waiting: Waiting | None = None

    def _in_steps(
        self, opcode: int, size: int, prepared: PreparedMessage | None
    ) -> bool:
        # Whether a message is too large to be encoded at once.
        endpoint = self._endpoint
        if opcode & RSV1 and endpoint.compresses():
            # A frame that is shared is compressed at once, and once only.
            if prepared is not None and endpoint.may_share(size):
                return False
            return endpoint.in_steps(size)
        return size > self._shared.frame_size

    def _begin(
        self, opcode: int, payload: bytes, fin: bool, prepared: PreparedMessage | None
    ) -> Fragments:
        frame_size = self._shared.frame_size
        if opcode & RSV1 and not self._endpoint.compresses():
            opcode ^= RSV1
        shared = None
        if prepared is not None and not opcode & RSV1 and self._endpoint.role == SERVER:
            shared = prepared._get_fragments(frame_size)
        return Fragments(opcode, payload, fin, frame_size, shared)

    def _encode(
        self,
        opcode: int,
        payload: bytes,
        prepared: PreparedMessage | None,
        parts: list[bytes],
    ) -> int:
        frame_size = self._shared.frame_size
        if prepared is None:
            return self._endpoint.encode(opcode, payload, True, parts, frame_size)
        return self._endpoint.encode_prepared(
            prepared, opcode & RSV1 != 0, parts, frame_size
        )

    def _encode_item(self, item: Any, parts: list[bytes]) -> int:
        """See `Owner._encode_item`: promote an item to the wire, or a step of it."""
        if type(item) is Fragments:
            return self._encode_step(item, parts)
        opcode, payload, extra = item
        if opcode == CLOSE:
            data = self._endpoint.encode_close(payload, extra)
            parts.append(data)
            return len(data)
        if opcode & RSV1 and self._endpoint.deflate is not None:
            self._check_time()
        prepared = None
        if isinstance(payload, PreparedMessage):
            prepared = payload
            payload = prepared.payload
        if self._in_steps(opcode, len(payload), prepared):
            large = self._begin(opcode, payload, True, prepared)
            return self._encode_step(large, parts)
        return self._encode(opcode, payload, prepared, parts)

    def _check_time(self) -> None:
        # What is encoded now is the last in this turn, if that has lasted long
        # enough. To compress many small messages takes as long as a large one.
        outbox, link = self._outbox, self._link
        if outbox is not None and link is not None:
            outbox.interrupted = perf_counter() >= link.dispatcher.until

    def _begin_steps(self, outbox: Outbox, large: Fragments) -> None:
        outbox.rest = large
        outbox.rest_size = large.size()

    def _encode_step(self, large: Fragments, parts: list[bytes]) -> int:
        outbox = self._outbox
        assert outbox is not None
        self._check_time()
        size = large.step(self._endpoint, parts)
        if large.done:
            outbox.rest = None
            outbox.rest_size = 0
            size += self._release_postponed(parts)
        else:
            self._begin_steps(outbox, large)
        return size

    def _release_postponed(self, parts: list[bytes]) -> int:
        # Control frames that waited for the end of what was encoded just now.
        if self._waiting is None or self._endpoint.dividing:
            return 0
        data = self._take_held()
        if data:
            parts.append(data)
        return len(data)

    def _take_held(self) -> bytes:
        waiting = self._waiting
        if waiting is None or waiting.held is None:
            return b""
        held, waiting.held = waiting.held, None
        self._shared.dispatcher.wheel.cancel(held)
        return held.join()
