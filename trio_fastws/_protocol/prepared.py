# cython: annotation_typing=False
"""A message that is encoded once and sent to many.

Owns its frames: the plain one, and one for each set of parameters with which it
is compressed. To whom which may be sent is the endpoint's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from .codes import BINARY, FIN, RSV1, TEXT, Role
from .frames import encode_frame

if TYPE_CHECKING:
    from .agreement import Agreement

# The parts of a frame (not to be changed), their size, and that of its payload.
SharedFrame = tuple[list[bytes], int, int]


class PreparedMessage:
    """PreparedMessage(message, *, compress=True): one message for many connections.

    Encoded, and compressed, only once. Give it to `WebSocket.send` or
    `WebSocket.send_nowait`, any number of times, on connections of any server in
    one thread. It holds the message and its frames as long as it lives, so make
    one for each broadcast and let it go.

    A server's connections share its frames. Where a connection has agreed on
    compression, it gets the compressed frame, which is made once for all whose
    window and options are alike. That needs a compressor that remembers nothing
    by itself: a connection with ``context="persistent"`` and context takeover
    (RFC 7692 7.1.1), and every client, compresses for itself. So does every one
    if the message is over 256 KiB (from level 4 on 64, from 7 on 32), which is
    compressed in steps. A connection that agreed on no compression gets the
    plain frame.

    Attributes:
        message: What was given, as ``str`` or ``bytes``.
        payload: The same in bytes, and ``opcode`` as which they are sent.
        compress: Whether it may be compressed.
    """

    __slots__ = ("_compressed", "_plain", "compress", "opcode", "payload")

    def __init__(
        self, message: str | bytes | bytearray | memoryview, *, compress: bool = True
    ) -> None:
        """Prepare a message: text for ``str``, else binary, which is copied.

        Args:
            message: The message.
            compress: False: it goes plain to everybody.

        Raises:
            TypeError: ``message`` is of another type.
            UnicodeEncodeError: It holds surrogates, which UTF-8 cannot carry.
        """
        self.opcode: int
        self.payload: bytes
        self.opcode, self.payload = to_payload(message)
        self.compress: bool = compress
        self._plain: SharedFrame | None = None
        # Key of an agreement to the frame; None: it would not be smaller.
        self._compressed: dict[object, SharedFrame | None] | None = None

    @property
    def message(self) -> str | bytes:
        """What was given."""
        return self.payload.decode() if self.opcode == TEXT else self.payload

    def __len__(self) -> int:
        """Return the size of the message in bytes."""
        return len(self.payload)

    def __repr__(self) -> str:
        kind = "text" if self.opcode == TEXT else "binary"
        return f"<PreparedMessage of {len(self.payload)} bytes, {kind}>"

    def get_plain(self) -> SharedFrame:
        """Return its frame; for `Endpoint.encode_prepared`."""
        if self._plain is None:
            self._plain = _make_shared(self.opcode, self.payload)
        return self._plain

    def get_compressed(self, agreement: Agreement) -> SharedFrame | None:
        """Return its compressed frame; None if that is not smaller. As above."""
        if self._compressed is None:
            self._compressed = {}
        key = agreement.key
        if key not in self._compressed:
            data = agreement.compress(self.payload)
            smaller = len(data) < len(self.payload)
            frame = _make_shared(RSV1 | self.opcode, data) if smaller else None
            self._compressed[key] = frame
        return self._compressed[key]


def _make_shared(first: int, payload: bytes) -> SharedFrame:
    parts: list[bytes] = []
    size = encode_frame(int(Role.SERVER), FIN | first, payload, parts)
    return parts, size, len(payload)


def to_payload(message: object) -> tuple[int, bytes]:
    """Return opcode and payload of a message, copying what may change.

    Raises:
        TypeError: It is neither text nor bytes-like.
        UnicodeEncodeError: It holds surrogates, which UTF-8 cannot carry.
    """
    if type(message) is bytes:
        return BINARY, message
    if isinstance(message, str):
        return TEXT, message.encode()
    if isinstance(message, bytes | bytearray | memoryview):
        return BINARY, bytes(cast("bytes", message))
    raise TypeError(
        "message must be str, bytes, bytearray or memoryview, "
        f"not {type(message).__name__}"
    )


def to_item(message: object) -> tuple[int, bytes, PreparedMessage | None]:
    """Return opcode and payload as `to_payload`, and the message if prepared."""
    if isinstance(message, PreparedMessage):
        return message.opcode, message.payload, message
    opcode, payload = to_payload(message)
    return opcode, payload, None
