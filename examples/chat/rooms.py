"""Rooms: who is in one hears all that is said in it. Served by server.py."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress

import trio

from trio_fastws import ConnectionBroken, EventHandler, PreparedMessage, WebSocket


class Rooms(EventHandler):
    """A room for each name, as long as somebody is in it.

    The session of a connection is the name of its room.
    """

    def __init__(self) -> None:
        self._rooms: defaultdict[object, set[WebSocket]] = defaultdict(set)

    def on_open(self, ws: WebSocket) -> None:
        """Join the room."""
        self._rooms[ws.session].add(ws)

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Send it to all in the room, its sender too."""
        prepared = PreparedMessage(message)  # encoded once for the whole room
        for member in self._rooms[ws.session]:
            with suppress(ConnectionBroken, trio.ClosedResourceError):
                member.send_nowait(prepared)

    def on_close(self, ws: WebSocket) -> None:
        """Leave the room; an empty one is deleted."""
        room = self._rooms[ws.session]
        room.discard(ws)
        if not room:
            del self._rooms[ws.session]
