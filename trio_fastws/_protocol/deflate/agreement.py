# cython: annotation_typing=False
"""An agreement on permessage-deflate, and the zlib objects that it needs.

Shared by all connections with the same parameters. Owns how compressors and inflaters
are made, and the one compressor that serves every connection without takeover. What a
single connection keeps is in `context`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trio_fastws._protocol.codes import Role

from .negotiation import SMALLEST_BITS

if TYPE_CHECKING:
    from .negotiation import DeflateParameters

DEFLATED, SYNC_FLUSH, FULL_FLUSH, STRATEGY = 8, 2, 3, 0
# Most input of one step. At level 1 that takes 0.3 ms; at higher levels a step is
# smaller, because some messages take a hundred times as long.
STEP = 32 * 1024
# A frame that connections share is compressed at once if it takes no more steps.
SHARED_STEPS = 8


class Agreement:
    """What connections with equal parameters and options share.

    Belongs to one thread. Holds the compressor that serves all of them when
    there is no takeover.

    Attributes:
        parameters: What was agreed upon.
        compresses: Whether messages can be compressed: not with a window of 8
            bits, with which zlib cannot compress.
        shares: Whether a frame that was compressed elsewhere may be sent: there is
            no compressor whose state it would have to be in.
        step: How much of a message is compressed before others have their turn.
        share_size: Largest message whose compressed frame connections share.
        key: Equal for agreements that share their frames.
    """

    __slots__ = (
        "_compressobj",
        "_decompressobj",
        "_level",
        "_memory_level",
        "_pool",
        "compresses",
        "error",
        "key",
        "parameters",
        "persistent",
        "receive_bits",
        "receive_takeover",
        "send_bits",
        "send_takeover",
        "share_size",
        "shares",
        "step",
    )

    def __init__(
        self,
        role: Role,
        parameters: DeflateParameters,
        module: Any,
        *,
        level: int = 1,
        memory_level: int = 5,
        persistent: bool = True,
        pools: dict[object, list[Any]] | None = None,
    ) -> None:
        """Start after the negotiation.

        Args:
            role: Which side this is.
            parameters: What was agreed upon.
            module: `zlib`, or what has its ``compressobj``, ``decompressobj``
                and ``error``.
            level: How hard to compress, as ``module`` counts.
            memory_level: 1 to 9, as zlib counts.
            persistent: With takeover, whether a compressor lives on.
            pools: Where agreements keep the compressors that serve all, by `key`;
                None: this one keeps its own.
        """
        self._take_sides(role, parameters)
        self.compresses: bool = self.send_bits >= SMALLEST_BITS
        self.persistent: bool = persistent and self.send_takeover
        self.shares: bool = self.compresses and not self.persistent
        self.parameters: DeflateParameters = parameters
        self.error: Any = module.error
        self._compressobj: Any = module.compressobj
        self._decompressobj: Any = module.decompressobj
        self._level = level
        self._memory_level = memory_level
        self.step: int = STEP if level <= 3 else STEP // (4 if level <= 6 else 8)
        self.share_size: int = SHARED_STEPS * self.step
        self.key: object = (
            module.__name__,
            level,
            memory_level,
            self.send_bits,
        )
        # One at most: it is never asked for while it is in use.
        self._pool: list[Any] = [] if pools is None else pools.setdefault(self.key, [])

    def _take_sides(self, role: Role, parameters: DeflateParameters) -> None:
        ours = (
            parameters.server_max_window_bits,
            not parameters.server_no_context_takeover,
        )
        theirs = (
            parameters.client_max_window_bits,
            not parameters.client_no_context_takeover,
        )
        if role != Role.SERVER:
            ours, theirs = theirs, ours
        self.send_bits: int = ours[0]
        self.send_takeover: bool = ours[1]
        # An inflater with a larger window reads all that the peer may send.
        self.receive_bits: int = max(theirs[0], SMALLEST_BITS)
        self.receive_takeover: bool = theirs[1]

    def new_compressor(self, window: bytearray | None) -> Any:
        """Return a compressor that may refer to ``window``."""
        bits = -self.send_bits
        if window:
            return self._compressobj(
                self._level, DEFLATED, bits, self._memory_level, STRATEGY, window
            )
        return self._compressobj(self._level, DEFLATED, bits, self._memory_level)

    def new_inflater(self, window: bytearray | None) -> Any:
        """Return an inflater for one message, which may refer to ``window``."""
        if window:
            return self._decompressobj(-self.receive_bits, window)
        return self._decompressobj(-self.receive_bits)

    def compress(self, payload: bytes) -> bytes:
        """Compress a message that refers to no other, at least a byte long."""
        # Back into the pool only at the end: one that failed may hold a part of it.
        pool = self._pool
        compressor = pool.pop() if pool else self.new_compressor(None)
        head: bytes = compressor.compress(payload)
        rest: bytes = compressor.flush(FULL_FLUSH)
        pool.append(compressor)
        return (head + rest)[:-4]
