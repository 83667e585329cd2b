# cython: annotation_typing=False
"""A binary message as it arrives: the bytes that have come, and room for the rest.

Memory is allocated in stages, by how much has come and not by the length that the
header announces, which costs a peer nothing to send. Large messages are received into
their final place without a copy; `BytesIO.getvalue` returns them without one.
"""

from __future__ import annotations

from io import BytesIO

from .masking import reserve

# A message gets so much at once: most need no more, and a peer that announces more and
# sends a byte of it gets no more.
LEAST = 16 * 1024
# Until so much has come, a message has at most twice the room that it fills. A peer
# that really sends a large message sends so much in one read; copying it once more
# takes 3 us. Less than a segment of the loopback device, 64 KiB.
STAGE = 32 * 1024
# Then it has 32 times what has come, which is all of most messages, up to this; beyond,
# twice what has come. Room that is not filled is address space, not memory.
TRUSTED = 16 * 2**20
# For a shorter rest, receiving directly saves less than it costs.
DIRECT_FROM = 32 * 1024


class BinaryStore:
    """The bytes of one message.

    Attributes:
        room: How many bytes there is room for.
    """

    __slots__ = ("_bytes", "_view", "room")

    def __init__(self) -> None:
        self._bytes: BytesIO | None = None
        # What `get_buffer` returned.
        self._view: memoryview | None = None
        self.room: int = 0

    def add(self, data: bytes | memoryview, at: int, expected: int) -> None:
        """Write ``data`` after the ``at`` bytes that came before.

        Args:
            data: Copied.
            at: How many came. Pieces that were returned already count, as zeros.
            expected: How many there will be, as far as that is known.

        Raises:
            MemoryError: There is not enough memory.
            OverflowError: It is more than a Python object can have.
        """
        self.take_back()
        need = at + len(data)
        if need > self.room:
            if expected > need:
                self._grow(at, get_room(need, expected))
            else:
                self.room = need
        store = self._bytes
        if store is None:
            store = self._bytes = BytesIO()
        store.seek(at)
        store.write(data)

    def _grow(self, at: int, room: int) -> None:
        # Into another `BytesIO`: one that fails to grow loses its content. Its first
        # content is uninitialised, and is overwritten from the start, or truncated.
        # After pieces that were returned already it would not be: then it is zeros.
        store = self._bytes
        if store is None:
            self._bytes = BytesIO(bytes(room) if at else reserve(room))
        else:
            held = store.getbuffer()
            self._bytes = BytesIO(reserve(room))
            self._bytes.write(held[:at])
            held.release()
        self.room = room

    def get_buffer(self, at: int, expected: int) -> memoryview | None:
        """Return the room after the first ``at`` bytes; None if there is no memory.

        Args:
            at: How many came, `STAGE` at least.
            expected: How many there will be; the room ends there at the latest.
        """
        self.take_back()
        room = get_room(at, expected)
        # Growing copies what came: only while that is little, for four times the room,
        # or for the last time.
        if self.room < room and (
            room == expected or room >= 4 * self.room or self.room < at + DIRECT_FROM
        ):
            try:
                self._grow(at, room)
            except (MemoryError, OverflowError):
                return None
        assert self._bytes is not None
        held = self._bytes.getbuffer()
        view = held[at : min(expected, self.room)]
        held.release()
        self._view = view
        return view

    def get_view(self, size: int) -> memoryview:
        """Return the room that `get_buffer` returned.

        Raises:
            ValueError: It is shorter than ``size`` bytes.
        """
        view = self._view
        if view is None or not 0 <= size <= len(view):
            raise ValueError(f"there was no room for {size} bytes")
        return view

    def take_back(self) -> None:
        """Release that room: a `BytesIO` cannot change while there is a view of it."""
        if self._view is not None:
            self._view.release()
            self._view = None

    def take(self, size: int) -> bytes:
        """Return the message, of ``size`` bytes; do not use the store after that."""
        self.take_back()
        store = self._bytes
        if store is None:
            return bytes(size)
        # There may be more room than was filled.
        store.truncate(size)
        return store.getvalue()


def get_room(arrived: int, expected: int) -> int:
    """Return how much room a message gets when ``arrived`` bytes of it have come."""
    room = max(LEAST, 2 * arrived)
    if arrived >= STAGE:
        room = max(room, min(32 * arrived, TRUSTED))
    return min(room, expected)
