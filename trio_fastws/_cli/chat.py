"""A chat room on one port: the page at ``/``, the room at ``/ws``.

The protocol: JSON objects in text messages. A browser sends

    {"type": "join", "name": "Ada"}      once, before anything else
    {"type": "say", "text": "Hello"}

and receives

    {"type": "welcome", "name": "Ada", "names": ["Bob", "Ada"]}
                                         it has joined: its name, and everybody's
    {"type": "join", "name": "Cleo"}     somebody joined
    {"type": "leave", "name": "Cleo"}    somebody left
    {"type": "say", "name": "Ada", "text": "Hello"}
                                         somebody, or it itself, said something
    {"type": "error", "text": "..."}     its message was not accepted, and why

A name that is taken gets a number; ``welcome`` has the name that it became.

`Room` implements that, without tasks or hooks. `ChatHandler` serves it by hooks,
`chat_in` by a task per connection. Pass `SENDING` and `on_request` to
`serve_websocket` with either.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import trio

from trio_fastws import (
    EventHandler,
    PreparedMessage,
    Request,
    Response,
    Sending,
    WebSocket,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Characters. The page's inputs have the same limits as their maxlength.
NAME_LENGTH = 32
TEXT_LENGTH = 2000

# A slow receiver holds up no one: it is closed with 1008 once so many bytes wait,
# about a hundred messages of the greatest length. The page reconnects by itself.
SENDING = Sending(policy="close", high_water=512 * 1024)


class Member(Protocol):
    """What the room needs of a `WebSocket`."""

    def send_nowait(self, message: str | PreparedMessage, /) -> None:
        """Send a message without waiting."""

    def close_nowait(self, code: int = 1000, reason: str = "") -> None:
        """Start to close without waiting."""


class Refused(Exception):  # noqa: N818 - it is an answer, not a failure
    """A member's message is not accepted; the text is sent to it."""


class Room:
    """The people in one room, by connection, in the order in which they came."""

    def __init__(self) -> None:
        self._names: dict[Member, str] = {}

    @property
    def names(self) -> list[str]:
        """The members' names."""
        return list(self._names.values())

    def handle_message(self, member: Member, message: str | bytes) -> None:
        """Handle a message of a connection. Not a checkpoint; never waits."""
        try:
            action, value = _parse(message)
            if action == "join":
                self._join(member, value)
            else:
                self._say(member, value)
        except Refused as refused:
            _send(member, _pack("error", text=str(refused)))

    def leave(self, member: Member) -> None:
        """Remove a connection and notify the others. May be called twice."""
        name = self._names.pop(member, None)
        if name is not None:
            self._send_to_all(_pack("leave", name=name))

    def _join(self, member: Member, wanted: str) -> None:
        if member in self._names:
            raise Refused(f"You are here already, as {self._names[member]}.")
        taken = set(self._names.values())
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted} ({number})", number + 1
        self._send_to_all(_pack("join", name=name))
        self._names[member] = name
        _send(member, _pack("welcome", name=name, names=self.names))

    def _say(self, member: Member, text: str) -> None:
        name = self._names.get(member)
        if name is None:
            raise Refused("Join first, with a name.")
        self._send_to_all(_pack("say", name=name, text=text))

    def _send_to_all(self, message: str) -> None:
        prepared = PreparedMessage(message)
        for member in self._names:
            _send(member, prepared)


def _send(member: Member, message: str | PreparedMessage) -> None:
    try:
        member.send_nowait(message)
    except trio.WouldBlock:
        # Only without SENDING, whose policy does the same.
        member.close_nowait(1008, "you read too slowly")
    except (trio.ClosedResourceError, trio.BrokenResourceError):
        pass  # it is closing: `leave` will be called


def _pack(action: str, **values: str | list[str]) -> str:
    # ASCII with escapes: half a surrogate pair, which JSON can hold and UTF-8
    # cannot, goes out as it came in.
    return json.dumps({"type": action, **values})


def _parse(message: str | bytes) -> tuple[str, str]:
    try:
        data: object = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        data = None
    match data:
        case {"type": "join", "name": str(name)}:
            return "join", _check_name(name)
        case {"type": "say", "text": str(text)}:
            return "say", _check_text(text)
        case _:
            raise Refused("Expected a JSON object of type join or say.")


def _check_name(name: str) -> str:
    # Invisible characters would let one person look like another.
    name = " ".join("".join(c for c in name if c.isprintable()).split())
    if not name:
        raise Refused("A name needs at least one letter.")
    if len(name) > NAME_LENGTH:
        raise Refused(f"A name has at most {NAME_LENGTH} characters, not {len(name)}.")
    return name


def _check_text(text: str) -> str:
    text = text.strip()
    if not text:
        raise Refused("There is nothing to send.")
    if len(text) > TEXT_LENGTH:
        raise Refused(
            f"A message has at most {TEXT_LENGTH} characters, not {len(text)}."
        )
    return text


# --- serving -----------------------------------------------------------------


class ChatHandler(EventHandler):
    """The room served by hooks: no task per connection."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Pass it to the room."""
        self._room.handle_message(ws, message)

    def on_close(self, ws: WebSocket) -> None:
        """Leave the room."""
        self._room.leave(ws)


def chat_in(room: Room) -> Callable[[WebSocket], Awaitable[None]]:
    """Return a handler that serves the room by a task per connection."""

    async def chat(ws: WebSocket) -> None:
        try:
            # `_send` closes a slow one, while this task waits.
            with suppress(trio.ClosedResourceError):
                async for message in ws:
                    room.handle_message(ws, message)
        finally:
            room.leave(ws)

    return chat


def _page() -> Response:
    body = Path(__file__).with_name("page.html").read_text("utf-8")
    # Only the scripts of the page itself run: if escaping ever fails, what a member
    # wrote is still not executed.
    hashes = [
        base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        for inline in re.findall(r"<(?:style|script)>(.*?)</", body, re.DOTALL)
    ]
    sources = " ".join(f"'sha256-{value}'" for value in hashes)
    policy = (
        f"default-src 'none'; style-src {sources}; script-src {sources}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", policy),
        ("Cache-Control", "no-cache"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    )
    return Response(200, headers, body)


_PAGE = _page()


def on_request(request: Request) -> Response | None:
    """Answer / with the page, accept WebSockets at /ws, refuse all others."""
    if request.path == "/":
        return _PAGE
    if request.path != "/ws":
        return Response(404, body="Not found. The chat is at /.\n")
    # RFC 6455 10.2: browsers send the origin of the page that connects; pages of other
    # sites are refused. Clients that are no browsers send none.
    origin = request.origin
    if origin is not None and origin.partition("://")[2] != request.host.lower():
        return Response(403, body=f"Not open to pages of {origin}.\n")
    return None
