# cython: annotation_typing=False
"""A message that is encoded once and sent to many.

Owns its frames: the plain one, and one for each set of parameters with which it is
compressed. Which of them a connection may send is decided by its `Endpoint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .buffers import copy_buffer
from .codes import BINARY, CONTINUATION, FIN, RSV1, TEXT, Role
from .frames import encode_frame, encode_frames, encode_slice
from .masking import check_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio_fastws._protocol.deflate.agreement import Agreement

    from .buffers import Buffer

SERVER = int(Role.SERVER)

# The parts of a frame (not to be changed), their size, and that of its payload.
SharedFrame = tuple[list[bytes], int, int]


class PreparedMessage:
    """PreparedMessage(data, *, text=None, compress=True): a message for many.

    Encoded, and compressed, only once. Pass it to `WebSocket.send` or
    `WebSocket.send_nowait`, any number of times, on connections of any server in
    one thread. It holds the message and its frames as long as it lives, so make
    one for each broadcast and drop it afterwards.

    A server's connections share its frames. Where a connection has agreed on
    compression, it gets the compressed frame, which is made once for all whose
    window and options are alike. That needs a compressor without a state of its
    own: a connection with ``context="persistent"`` and context takeover
    (RFC 7692 7.1.1), and every client, compresses by itself. So do all if the
    message is over 256 KiB (from level 4 on 64, from 7 on 32), which is
    compressed in steps. A connection without compression gets the plain frame. A
    message over `Sending.frame_size` is shared as fragments.

    Attributes:
        message: The message: ``str`` if it is sent as text, else ``bytes``.
        payload: The same as bytes; ``opcode`` says whether they are text.
        compress: Whether it may be compressed.
    """

    __slots__ = (
        "_compressed",
        "_fragments",
        "_plain",
        "compress",
        "opcode",
        "payload",
    )

    def __init__(
        self, data: str | Buffer, *, text: bool | None = None, compress: bool = True
    ) -> None:
        """Prepare a message: text for ``str``, else binary.

        Args:
            data: The message: ``str`` or anything bytes-like.
            text: Send it as text (True) or as binary (False), whatever its type;
                see `WebSocket.send`.
            compress: False: it is never compressed.

        Raises:
            TypeError: ``data`` is of another type, or ``text`` no such value.
            UnicodeEncodeError: It holds surrogates, which UTF-8 cannot carry.
            UnicodeDecodeError: ``text`` is True, and it is not UTF-8.
        """
        self.opcode: int
        self.payload: bytes
        self.opcode, self.payload = to_payload(data, text)
        self.compress: bool = compress
        self._plain: SharedFrame | None = None
        # The size of a fragment to the fragments.
        self._fragments: dict[int, list[SharedFrame]] | None = None
        # Key of an agreement to the frame; None: it would not be smaller.
        self._compressed: dict[object, SharedFrame | None] | None = None

    @property
    def message(self) -> str | bytes:
        """The message."""
        return self.payload.decode() if self.opcode == TEXT else self.payload

    def __len__(self) -> int:
        """Return the size of the message in bytes."""
        return len(self.payload)

    def __repr__(self) -> str:
        kind = "text" if self.opcode == TEXT else "binary"
        return f"<PreparedMessage of {len(self.payload)} bytes, {kind}>"

    def _get_plain(self) -> SharedFrame:
        """Return its frame; for `Endpoint.encode_prepared`."""
        if self._plain is None:
            parts: list[bytes] = []
            size = encode_frame(SERVER, FIN | self.opcode, self.payload, parts)
            self._plain = parts, size, len(self.payload)
        return self._plain

    def _get_fragments(self, frame_size: int) -> list[SharedFrame]:
        """Return its frames of at most so many bytes each. As above."""
        if self._fragments is None:
            self._fragments = {}
        if frame_size not in self._fragments:
            self._fragments[frame_size] = list(self._cut(frame_size))
        return self._fragments[frame_size]

    def _cut(self, frame_size: int) -> Iterator[SharedFrame]:
        first = self.opcode
        for start in range(0, len(self.payload), frame_size):
            stop = min(start + frame_size, len(self.payload))
            if stop == len(self.payload):
                first |= FIN
            parts: list[bytes] = []
            size = encode_slice(SERVER, first, self.payload, start, stop, parts)
            yield parts, size, stop - start
            first = CONTINUATION

    def _get_compressed(
        self, agreement: Agreement, frame_size: int
    ) -> SharedFrame | None:
        """Return its compressed frame, or frames of at most ``frame_size`` bytes.

        None if that is not smaller than the message. As above.
        """
        if self._compressed is None:
            self._compressed = {}
        key = agreement.key
        if len(self.payload) > frame_size:
            key = key, frame_size
        if key not in self._compressed:
            data = agreement.compress(self.payload)
            frame = None
            if len(data) < len(self.payload):
                parts: list[bytes] = []
                first = FIN | RSV1 | self.opcode
                size = encode_frames(SERVER, first, data, frame_size, parts)
                frame = parts, size, len(data)
            self._compressed[key] = frame
        return self._compressed[key]


def to_payload(data: object, text: bool | None = None) -> tuple[int, bytes]:
    """Return opcode and payload of a message; a mutable buffer is copied.

    Args:
        data: The message.
        text: Which kind it is; None: text if it is a ``str``.

    Raises:
        TypeError: It is neither text nor bytes-like, or ``text`` no such value.
        UnicodeEncodeError: It holds surrogates, which UTF-8 cannot carry.
        UnicodeDecodeError: ``text`` is True, and it is not UTF-8.
    """
    if text is not None:
        return _to_kind(data, text)
    if type(data) is bytes:
        return BINARY, data
    if isinstance(data, str):
        return TEXT, data.encode()
    try:
        return BINARY, copy_buffer(data)
    except TypeError:
        kind = type(data).__name__
        raise TypeError(f"message must be str or bytes-like, not {kind}") from None


def _to_kind(data: object, text: bool) -> tuple[int, bytes]:
    if type(text) is not bool:
        kind = type(text).__name__
        raise TypeError(f"text must be True, False or None, not {kind}")
    if isinstance(data, PreparedMessage):
        raise TypeError("text is for PreparedMessage(data, text=...) to say, once")
    opcode, payload = to_payload(data)
    if text and opcode == BINARY:
        # RFC 6455 5.6: the payload of a text message is UTF-8
        check_text(payload)
    return TEXT if text else BINARY, payload


def to_item(
    data: object, text: bool | None
) -> tuple[int, bytes, PreparedMessage | None]:
    """Return opcode and payload as `to_payload`, and the message if prepared."""
    if text is None and isinstance(data, PreparedMessage):
        return data.opcode, data.payload, data
    opcode, payload = to_payload(data, text)
    return opcode, payload, None
