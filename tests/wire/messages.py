"""Messages, put together from frames and inflated."""

from __future__ import annotations

from typing import NamedTuple

from tests.wire.deflate import Inflater
from tests.wire.frames import CLOSE, RSV1, TEXT, Frame, FrameReader, WireError


class Message(NamedTuple):
    """A message as its receiver sees it.

    Attributes:
        opcode: `TEXT` or `BINARY`.
        payload: What it says, inflated.
        compressed: Whether it came compressed.
        parts: The payloads of its frames, as they came.
    """

    opcode: int
    payload: bytes
    compressed: bool
    parts: list[bytes]

    @property
    def message(self) -> str | bytes:
        """What it says, text as str."""
        return self.payload.decode() if self.opcode == TEXT else self.payload

    @property
    def sizes(self) -> list[int]:
        """The sizes of its payloads on the wire."""
        return [len(part) for part in self.parts]


class MessageReader:
    """Puts messages together, and judges them as RFC 6455 and 7692 have it.

    Args:
        masked: Whether all frames must be masked, or none; None: either will do.
        inflater: What inflates; None: nothing may be compressed.
    """

    def __init__(
        self, *, masked: bool | None = None, inflater: Inflater | None = None
    ) -> None:
        self.frames = FrameReader(masked=masked)
        self.inflater = inflater  # sets the reserved bits of the frames, too
        # The control frames among those that were fed.
        self.control: list[Frame] = []
        self._open: list[Frame] = []

    @property
    def inflater(self) -> Inflater | None:
        """What inflates; None: nothing may be compressed."""
        return self._inflater

    @inflater.setter
    def inflater(self, inflater: Inflater | None) -> None:
        self._inflater = inflater
        self.frames.rsv = RSV1 if inflater else 0

    def read(self, data: bytes) -> list[Message]:
        """Return the messages that end in ``data``, which holds whole frames."""
        self.frames.feed(data)
        found = [self.take(frame) for frame in self.frames]
        self.frames.end()
        return [message for message in found if message is not None]

    def read_one(self, data: bytes) -> Message:
        """Return the one message that ``data`` is."""
        messages = self.read(data)
        if len(messages) != 1 or self._open:
            raise WireError(f"{len(messages)} messages instead of one")
        return messages[0]

    def take(self, frame: Frame) -> Message | None:
        """Take one more frame; return the message that it completes."""
        if frame.opcode >= CLOSE:
            self.control.append(frame)
            return None
        self._open.append(frame)
        if not frame.fin:
            return None
        frames, self._open = self._open, []
        parts = [part.payload for part in frames]
        payload, first = b"".join(parts), frames[0]
        if first.rsv1:
            if self._inflater is None:
                raise WireError("compressed, and nothing was agreed")
            payload = self._inflater.inflate(payload)
        if first.opcode == TEXT:
            try:
                payload.decode()
            except UnicodeDecodeError as error:
                raise WireError(f"text that is not UTF-8: {error}") from None
        return Message(first.opcode, payload, first.rsv1, parts)
