"""What is at which path: a login, a page, and a WebSocket for each room."""

from __future__ import annotations

from pathlib import Path
from weakref import WeakValueDictionary

from login import FORM, User, find_user, log_in
from rooms import Room

from trio_fastws import Accept, Request, Response, WebSocket

HTML = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")]
PAGE = Response(200, HTML, Path(__file__).with_name("page.html").read_bytes())
LOGIN = Response(200, HTML, FORM)

# A room is here as long as there is a connection that has it as its handler.
rooms: WeakValueDictionary[str, Room] = WeakValueDictionary()


def on_request(request: Request) -> Accept[User] | Response | None:
    """Answer what asks for a page; say who serves what asks for a WebSocket."""
    user = find_user(request)
    if request.path == "/login":
        return log_in(request)
    if request.path == "/":
        return LOGIN if user is None else PAGE
    if not request.path.startswith("/rooms/"):
        return Response(404, body="Not found. The page is at /.\n")
    if user is None:
        return None  # which leaves it to `turn_away`
    return Accept(session=user, handler=rooms.setdefault(request.path, Room()))


async def turn_away(ws: WebSocket) -> None:
    """Serve those who are not logged in.

    A browser hides from its page that a handshake was answered with 401; a close code
    it tells.
    """
    await ws.aclose(4401, "not logged in")
