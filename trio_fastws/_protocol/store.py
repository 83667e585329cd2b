# cython: annotation_typing=False
"""A binary message as it arrives: what came of it, and room for what is to come.

Room is made in stages, by what has come and not by what was announced: a header
costs its sender nothing. What is large is received into its final place, where no
byte is copied again; `BytesIO.getvalue` gives it away without a copy.
"""

from __future__ import annotations

from io import BytesIO

from .masking import reserve

# So much room a message has at once: most need no more, and who announces more, to send
# a byte of it, gets no more.
LEAST = 16 * 1024
# Until so much has come, a message has no more than twice the room that it fills. So
# much at once, in one read, is what a peer sends that really has a large message; to
# copy it once more takes 3 us. Less than a segment of the loopback device, 64 KiB.
STAGE = 32 * 1024
# Then 32 times as much, which is the rest of most messages, up to this; and twice as
# much beyond it. Room that is not filled takes addresses, and no memory.
TRUSTED = 16 * 2**20
# For less than this there is no point in a buffer of its own.
DIRECT_FROM = 32 * 1024


class BinaryStore:
    """The bytes of one message.

    Attributes:
        room: How many bytes there is room for.
    """

    __slots__ = ("_bytes", "_view", "room")

    def __init__(self) -> None:
        self._bytes: BytesIO | None = None
        # What `get_buffer` gave.
        self._view: memoryview | None = None
        self.room: int = 0

    def add(self, data: bytes | memoryview, at: int, expected: int) -> None:
        """Write ``data`` behind the ``at`` bytes that came before.

        Args:
            data: It; copied.
            at: How many came. What was given away in pieces counts as zeros.
            expected: How many there will be, as far as that is known.

        Raises:
            MemoryError: There is no room for it, nor OverflowError.
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
        # Into another one: that which fails to grow loses what it has. What it holds at
        # first is never seen: it is written over from its start, or cut off. After
        # pieces that were given away it would not be.
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
        """Return room behind the first ``at`` bytes; None if there is no memory.

        Args:
            at: How many came, `STAGE` at least.
            expected: How many there will be; the room ends there at the latest.
        """
        self.take_back()
        room = get_room(at, expected)
        # To grow is to copy what came: rather early, for much, or for the last time.
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
        """Return the room that `get_buffer` gave.

        Raises:
            ValueError: It has not ``size`` bytes.
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
        """Return the message, which has ``size`` bytes; the store is of no use then."""
        self.take_back()
        store = self._bytes
        if store is None:
            return bytes(size)
        # There may be room for more behind what was received.
        store.truncate(size)
        return store.getvalue()


def get_room(arrived: int, expected: int) -> int:
    """Return how much room a message gets of which so much has come."""
    room = max(LEAST, 2 * arrived)
    if arrived >= STAGE:
        room = max(room, min(32 * arrived, TRUSTED))
    return min(room, expected)
