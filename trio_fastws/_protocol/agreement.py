# cython: annotation_typing=False
"""What two sides agreed upon for permessage-deflate, and the zlib objects of it.

Shared by all connections with the same parameters. Owns how a compressor and an
inflater are made, and the one compressor that serves every connection without
takeover. What a single connection keeps is in `deflate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .codes import Role

if TYPE_CHECKING:
    from .extension import Parameters

# zlib refuses raw deflate with a window of 256 bytes.
SMALLEST_BITS = 9
DEFLATED, SYNC_FLUSH, FULL_FLUSH = 8, 2, 3


class Agreement:
    """What connections with equal parameters and options share.

    Belongs to one thread. Holds the compressor that serves all of them when
    there is no takeover.

    Attributes:
        parameters: What was agreed upon.
        compresses: Whether messages can be compressed: not with a window of 8
            bits, which zlib cannot do.
        shares: Whether a message that was compressed by itself may be sent.
        key: Equal for agreements whose shared messages are alike.
    """

    __slots__ = (
        "_compressobj",
        "_decompressobj",
        "_level",
        "_memory_level",
        "_pooled",
        "_strategy",
        "compresses",
        "error",
        "key",
        "parameters",
        "persistent",
        "receive_bits",
        "receive_takeover",
        "send_bits",
        "send_takeover",
        "shares",
    )

    def __init__(
        self,
        role: Role,
        parameters: Parameters,
        module: Any,
        *,
        level: int = 1,
        memory_level: int = 5,
        strategy: int = 0,
        persistent: bool = True,
    ) -> None:
        """Start after the negotiation.

        Args:
            role: Which side this is.
            parameters: What was agreed upon.
            module: `zlib`, or what has its ``compressobj``, ``decompressobj``
                and ``error``.
            level: How hard to compress, as ``module`` counts.
            memory_level: 1 to 9, as zlib counts.
            strategy: As zlib counts.
            persistent: With takeover, whether a compressor lives on.
        """
        server_bits = parameters.server_max_window_bits
        client_bits = parameters.client_max_window_bits
        server_takeover = not parameters.server_no_context_takeover
        client_takeover = not parameters.client_no_context_takeover
        if role == Role.SERVER:
            self.send_bits: int = server_bits
            self.send_takeover: bool = server_takeover
            receive_bits = client_bits
            self.receive_takeover: bool = client_takeover
        else:
            self.send_bits = client_bits
            self.send_takeover = client_takeover
            receive_bits = server_bits
            self.receive_takeover = server_takeover
        # A larger window than the peer's reads all it may send.
        self.receive_bits: int = max(receive_bits, SMALLEST_BITS)
        self.compresses: bool = self.send_bits >= SMALLEST_BITS
        self.persistent: bool = persistent and self.send_takeover
        self.shares: bool = self.compresses and not self.persistent
        self.parameters: Parameters = parameters
        self.error: Any = module.error
        self._compressobj: Any = module.compressobj
        self._decompressobj: Any = module.decompressobj
        self._level = level
        self._memory_level = memory_level
        self._strategy = strategy
        self._pooled: Any = None
        self.key: object = (
            module.__name__,
            level,
            memory_level,
            strategy,
            self.send_bits,
        )

    def new_compressor(self, window: bytearray | None) -> Any:
        """Return a compressor that may refer to ``window``."""
        bits = -self.send_bits
        if window:
            return self._compressobj(
                self._level, DEFLATED, bits, self._memory_level, self._strategy, window
            )
        return self._compressobj(
            self._level, DEFLATED, bits, self._memory_level, self._strategy
        )

    def new_inflater(self, window: bytearray | None) -> Any:
        """Return an inflater for one message, which may refer to ``window``."""
        if window:
            return self._decompressobj(-self.receive_bits, window)
        return self._decompressobj(-self.receive_bits)

    def compress(self, payload: bytes) -> bytes:
        """Compress a message that refers to no other, at least a byte long."""
        compressor = self._pooled
        # Should it fail, it may hold a part of the message: it is not used again.
        self._pooled = None
        if compressor is None:
            compressor = self.new_compressor(None)
        head: bytes = compressor.compress(payload)
        rest: bytes = compressor.flush(FULL_FLUSH)
        self._pooled = compressor
        return (head + rest)[:-4]
