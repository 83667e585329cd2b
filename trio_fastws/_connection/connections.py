# cython: annotation_typing=False
"""The connections that are open, of one server or one client.

A list in which each of them knows its place, so that one that leaves is found without a
search: a set would take four times the room. What iterates over it has a cursor there,
and who leaves meanwhile moves the cursors: so users see it as it is, without a copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from trio_fastws._transport.contexts import Contexts
    from trio_fastws._transport.contract import Owner


# From here on RFC 6455 7.4.2 defines no close codes: peers send what they like. So many
# different ones are counted, which leaves room for an application's own; the others
# together, or a peer could make thousands of them.
FIRST_FREE = 3000
MOST_CODES = 64
OTHER_CODES = 0


class Cursor:
    """How far something that iterates has come, from the end to the beginning.

    Attributes:
        place: Everything from there on was visited, or came later.
    """

    __slots__ = ("place",)

    def __init__(self, place: int) -> None:
        self.place: int = place


class Connections:
    """The open connections, as a live collection; for users, to read.

    Iterating visits each connection that is open all the time exactly once, also if
    others come and go meanwhile: between two of them there may be a checkpoint. Which
    of those others it visits is not defined, nor is the order. ``tuple(connections)``
    is a copy. Iterating belongs to the thread of the trio run, as connections do.
    """

    __slots__ = ("_closed", "_contexts", "_cursors", "_items", "_on_empty")

    def __init__(self, contexts: Contexts) -> None:
        self._contexts: Contexts = contexts
        # One that opens puts itself at the end, and notes its place.
        self._items: list[Any] = []
        self._cursors: list[Cursor] = []
        # How many have left, by close code.
        self._closed: dict[int, int] = {}
        # Called when the last one is gone, if somebody waits for that.
        self._on_empty: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, value: object) -> bool:
        place = getattr(value, "_place", -1)
        items = self._items
        return 0 <= place < len(items) and items[place] is value

    def __iter__(self) -> Generator[Any, None, None]:
        self._contexts.check_thread()
        return self._iterate()

    def _iterate(self) -> Generator[Any, None, None]:
        cursor = Cursor(len(self._items))
        self._cursors.append(cursor)
        try:
            while cursor.place > 0:
                cursor.place -= 1
                yield self._items[cursor.place]
        finally:
            self._cursors.remove(cursor)

    def __repr__(self) -> str:
        return f"<{len(self._items)} open connections>"

    def _leave(self, connection: Owner, code: int) -> bool:
        """Remove a connection that is over; False if it was removed before.

        Args:
            connection: One of them.
            code: Its close code, to be counted.
        """
        hole = connection._place
        if hole < 0:
            return False
        if self._cursors:
            hole = self._move_cursors(hole)
        items = self._items
        last = items.pop()
        if hole < len(items):
            items[hole] = last
            last._place = hole
        connection._place = -1
        closed = self._closed
        if code >= FIRST_FREE and code not in closed and len(closed) >= MOST_CODES:
            code = OTHER_CODES
        closed[code] = closed.get(code, 0) + 1
        if self._on_empty is not None and not items:
            self._on_empty()
        return True

    def _move_cursors(self, hole: int) -> int:
        # What was visited stays behind each cursor, what was not stays before it: the
        # last one that was not fills the hole, and leaves one that may be filled from
        # the end. Returns where that is.
        items = self._items
        for cursor in sorted(self._cursors, key=lambda cursor: cursor.place):
            if cursor.place > hole:
                cursor.place -= 1
                if cursor.place == hole:
                    continue  # where one that had come equally far has left it
                moved = items[cursor.place]
                items[hole] = moved
                moved._place = hole
                hole = cursor.place
        return hole
