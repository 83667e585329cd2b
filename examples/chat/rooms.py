"""Rooms: who is in one hears all that is said in it. Used by routes.py."""

from __future__ import annotations

import json
from contextlib import suppress

import trio
from login import User

from trio_fastws import (
    CloseCode,
    ConnectionBroken,
    EventHandler,
    PreparedMessage,
    WebSocket,
)


class Room(EventHandler[User]):
    """One room: it serves the connections of its members."""

    def __init__(self) -> None:
        self._members: set[WebSocket[User]] = set()

    def on_open(self, ws: WebSocket[User]) -> None:
        """Join."""
        self._members.add(ws)
        self._tell("joined", ws.session)

    def on_message(self, ws: WebSocket[User], message: str | bytes) -> None:
        """Say something, to oneself too."""
        if isinstance(message, bytes):
            ws.close_nowait(CloseCode.UNSUPPORTED_DATA, "only text is said here")
        else:
            self._tell("said", ws.session, message)

    def on_close(self, ws: WebSocket[User]) -> None:
        """Leave."""
        self._members.discard(ws)
        self._tell("left", ws.session)

    def _tell(self, what: str, user: User, text: str = "") -> None:
        news = {"event": what, "name": user.name, "text": text}
        message = PreparedMessage(json.dumps(news))  # encoded once for the whole room
        for member in self._members:
            with suppress(ConnectionBroken, trio.ClosedResourceError):
                member.send_nowait(message)
