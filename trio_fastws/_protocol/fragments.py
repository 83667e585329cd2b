# cython: annotation_typing=False
"""A message, or a piece of one, that is encoded in steps (RFC 6455 5.4).

Owns how much of it is done. A plain one: each step is a fragment, and control frames
may pass between any two. A compressed one: the cost of each step is bounded, and the
output is gathered, to leave as one frame, or as few if it is over ``frame_size``. There
is no fragment for each step, because some peers inflate control frames that come
between the fragments of a compressed message, and some limit the number of fragments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .codes import CONTINUATION, RSV1, Role

if TYPE_CHECKING:
    from .endpoint import Endpoint
    from .prepared import PreparedMessage, SharedFrame

SERVER = int(Role.SERVER)


def divide(
    endpoint: Endpoint,
    opcode: int,
    payload: bytes,
    fin: bool,
    prepared: PreparedMessage | None,
    frame_size: int,
) -> Fragments | None:
    """Return what leaves step by step of a message, or of a piece of one.

    Args:
        endpoint: Whose message it is.
        opcode: As for `Endpoint.encode`.
        payload: Its bytes.
        fin: Whether the message ends with it.
        prepared: The message, if it goes to many.
        frame_size: Most bytes of a frame.

    Returns:
        None if it is small enough to be encoded at once.
    """
    size = len(payload)
    if opcode & RSV1:
        if endpoint.compresses():
            # A frame that is shared is compressed at once, and once only.
            shares = prepared is not None and endpoint.may_share(size)
            if shares or not endpoint.in_steps(size):
                return None
            return Fragments(opcode, payload, fin, frame_size)
        opcode ^= RSV1
    if size <= frame_size:
        return None
    shared = None
    if prepared is not None and endpoint.role == SERVER:
        shared = prepared._get_fragments(frame_size)
    return Fragments(opcode, payload, fin, frame_size, shared)


class Fragments:
    """What is left of a message that is encoded in steps.

    Attributes:
        fin: Settable until the last step: whether the message ends with it.
        done: Whether all of it was encoded.
    """

    __slots__ = (
        "_at",
        "_compressed",
        "_frame_size",
        "_gathered",
        "_gathered_size",
        "_opcode",
        "_payload",
        "_shared",
        "done",
        "fin",
    )

    def __init__(
        self,
        opcode: int,
        payload: bytes,
        fin: bool,
        frame_size: int,
        shared: list[SharedFrame] | None = None,
    ) -> None:
        """Start with nothing encoded.

        Args:
            opcode: As for `Endpoint.encode`; with `RSV1` it is compressed.
            payload: Its bytes, one at least; kept by reference.
            fin: Whether the message ends with it.
            frame_size: Most bytes of a frame.
            shared: Its fragments, if it is plain and goes to many connections.
        """
        self.fin: bool = fin
        self.done: bool = False
        self._opcode = opcode & ~RSV1
        self._compressed = opcode & RSV1 != 0
        self._payload = payload
        self._frame_size = frame_size
        self._shared = shared
        # How much of it was encoded.
        self._at: int = 0
        # What was compressed, and is not in a frame yet.
        self._gathered: list[bytes] = []
        self._gathered_size = 0

    def size(self) -> int:
        """Return the bytes that it still holds."""
        return len(self._payload) - self._at + self._gathered_size

    def step(self, endpoint: Endpoint, parts: list[bytes]) -> int:
        """Encode as much as may be done at once.

        Args:
            endpoint: Always the same.
            parts: Gets what has to be written, if anything.

        Returns:
            How many bytes were appended to ``parts``.
        """
        if self._compressed:
            return self._compress(endpoint, parts)
        start = self._at
        stop = min(start + self._frame_size, len(self._payload))
        self.done = stop == len(self._payload)
        fin = self.fin and self.done
        if self._shared is not None:
            frame = self._shared[start // self._frame_size]
            size = endpoint.encode_shared(frame, fin, parts)
        else:
            size = endpoint.encode_part(
                self._opcode, self._payload, start, stop, fin, parts
            )
        self._opcode = CONTINUATION
        self._at = stop
        return size

    def _compress(self, endpoint: Endpoint, parts: list[bytes]) -> int:
        start, stop = self._at, self._at + endpoint.step
        self.done = stop >= len(self._payload)
        fin = self.fin and self.done
        # For the compressor only the first step begins the message.
        opcode = self._opcode if start == 0 else CONTINUATION
        chunk = self._payload[start:stop]
        data = endpoint.compress(opcode, chunk, fin, self.done)
        assert data is not None
        self._at = min(stop, len(self._payload))
        self._gathered.append(data)
        self._gathered_size += len(data)
        if not self.done and self._gathered_size <= self._frame_size:
            return 0
        data = b"".join(self._gathered)
        kept = 0
        if not self.done:
            # Whole frames leave; a byte at least stays for the last frame.
            kept = (len(data) - 1) % self._frame_size + 1
        self._gathered = [data[len(data) - kept :]] if kept else []
        self._gathered_size = kept
        if kept:
            data = data[: len(data) - kept]
        size = endpoint.encode_compressed(
            self._opcode, data, fin, parts, self._frame_size
        )
        self._opcode = CONTINUATION
        return size
