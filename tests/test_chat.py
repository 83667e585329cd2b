"""The chat: what the room tells whom, how it is served, what the page is."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from contextlib import asynccontextmanager

import pytest
import trio

from tests.wire import (
    dial,
    plain_request,
    text,
    upgrade_request,
)
from trio_fastws import (
    ConnectionBroken,
    HandshakeRefused,
    PreparedMessage,
    Request,
    Timeouts,
    open_websocket,
)
from trio_fastws._cli.chat import (
    NAME_LENGTH,
    SENDING,
    TEXT_LENGTH,
    ChatHandler,
    Room,
    chat_in,
    on_request,
)

# --- the room ----------------------------------------------------------------


class Member:
    """A connection that keeps what it is sent, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.inbox: list[dict] = []
        self.closed = None

    def send_nowait(self, message: str | PreparedMessage, /) -> None:
        if self.error is not None:
            raise self.error
        text = message if isinstance(message, str) else message.message
        self.inbox.append(json.loads(text))

    def close_nowait(self, code: int = 1000, reason: str = "") -> None:
        self.closed = (code, reason)

    def take(self) -> list[dict]:
        taken, self.inbox = self.inbox, []
        return taken


def join(room: Room, name: str, error: Exception | None = None) -> Member:
    member = Member()
    room.handle_message(member, json.dumps({"type": "join", "name": name}))
    member.error = error
    return member


def say(room: Room, member: Member, text: str) -> None:
    room.handle_message(member, json.dumps({"type": "say", "text": text}))


def test_everybody_learns_who_comes_speaks_and_goes() -> None:
    room = Room()
    ada = join(room, "Ada")
    assert ada.take() == [{"type": "welcome", "name": "Ada", "names": ["Ada"]}]
    bob = join(room, "Bob")
    assert ada.take() == [{"type": "join", "name": "Bob"}]
    assert bob.take() == [{"type": "welcome", "name": "Bob", "names": ["Ada", "Bob"]}]
    say(room, bob, " Hi, <b>Ada</b>! ")
    said = [{"type": "say", "name": "Bob", "text": "Hi, <b>Ada</b>!"}]
    assert ada.take() == bob.take() == said
    room.leave(ada)
    room.leave(ada)
    assert bob.take() == [{"type": "leave", "name": "Ada"}]
    assert (ada.take(), room.names) == ([], ["Bob"])


def test_a_name_that_is_taken_gets_a_number() -> None:
    room = Room()
    members = [join(room, "Ada") for _ in range(3)]
    assert room.names == ["Ada", "Ada (2)", "Ada (3)"]
    assert members[2].take()[0]["name"] == "Ada (3)"
    room.leave(members[1])
    join(room, "Ada")
    assert room.names == ["Ada", "Ada (3)", "Ada (2)"]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("  Ada \t  Lovelace ", "Ada Lovelace"),
        ("A\u202eda\u200b\n\x00", "Ada"),
        ("Zoë 🐙", "Zoë 🐙"),
        ("x" * NAME_LENGTH, "x" * NAME_LENGTH),
    ],
)
def test_names_are_what_can_be_seen(wanted, name) -> None:
    assert join(Room(), wanted).take()[0]["name"] == name


EXPECTED = "Expected a JSON object of type join or say."


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("no JSON", EXPECTED),
        ("[" * 100_000, EXPECTED),
        ('{"type": "join"}', EXPECTED),
        ('{"type": "join", "name": 7}', EXPECTED),
        ('{"type": "dance"}', EXPECTED),
        ("null", EXPECTED),
        (b'{"type": "say", "text": "x"}', EXPECTED),
        ('{"type": "say", "text": "x"}', "Join first, with a name."),
        ('{"type": "join", "name": " \\u200b"}', "A name needs at least one letter."),
        (
            json.dumps({"type": "join", "name": "x" * (NAME_LENGTH + 1)}),
            "A name has at most 32 characters, not 33.",
        ),
    ],
)
def test_what_cannot_be_taken_from_a_stranger_is_explained(message, error) -> None:
    room, member = Room(), Member()
    room.handle_message(member, message)
    assert member.take() == [{"type": "error", "text": error}]
    assert room.names == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (" \n ", "There is nothing to send."),
        ("x" * 2001, "A message has at most 2000 characters, not 2001."),
    ],
)
def test_what_cannot_be_said_is_explained(text, error) -> None:
    room = Room()
    ada, bob = join(room, "Ada"), join(room, "Bob")
    ada.take(), bob.take()
    say(room, ada, text)
    assert ada.take() == [{"type": "error", "text": error}]
    assert bob.take() == []
    say(room, ada, "x" * TEXT_LENGTH)
    assert bob.take()[0]["text"] == "x" * TEXT_LENGTH


def test_nobody_joins_twice() -> None:
    room = Room()
    ada = join(room, "Ada")
    ada.take()
    room.handle_message(ada, '{"type": "join", "name": "Eve"}')
    text = "You are here already, as Ada."
    assert ada.take() == [{"type": "error", "text": text}]


def test_half_a_surrogate_pair_goes_round() -> None:
    room = Room()
    ada = join(room, "Ada")
    ada.take()
    room.handle_message(ada, '{"type": "say", "text": "\\ud83d"}')
    assert ada.take()[0]["text"] == "\ud83d"


def test_who_cannot_be_told_does_not_keep_it_from_others() -> None:
    room = Room()
    slow = join(room, "Slow", trio.WouldBlock())
    gone = join(room, "Gone", ConnectionBroken(1006, "lost"))
    left = join(room, "Left", trio.ClosedResourceError())
    ada = join(room, "Ada")
    ada.take()
    say(room, ada, "hello")
    assert ada.take() == [{"type": "say", "name": "Ada", "text": "hello"}]
    assert slow.closed == (1008, "you read too slowly")
    assert gone.closed is left.closed is None


# --- served ------------------------------------------------------------------

HANDLERS = {"callback": ChatHandler, "async": chat_in}


@pytest.fixture(params=["callback", "async"])
async def chat(request, serve):
    """Start a chat; give its URL."""
    options = {
        "sending": SENDING,
        "on_request": on_request,
        # For who is closed as too slow: it does not read our Close either.
        "timeouts": Timeouts(close=0.2),
    }
    server = await serve(HANDLERS[request.param](Room()), **options)
    return f"ws://127.0.0.1:{server.port}/ws"


class Guest:
    """Somebody in the room."""

    def __init__(self, ws) -> None:
        self.ws = ws

    async def tell(self, **values) -> None:
        await self.ws.send(json.dumps(values))

    async def hear(self) -> dict:
        return json.loads(await self.ws.receive())


@asynccontextmanager
async def visit(url: str, name: str):
    async with open_websocket(url) as ws:
        guest = Guest(ws)
        await guest.tell(type="join", name=name)
        assert (await guest.hear())["type"] == "welcome"
        yield guest


async def test_people_meet(chat, no_errors_logged) -> None:
    async with visit(chat, "Ada") as ada:
        async with visit(chat, "Bob") as bob:
            assert await ada.hear() == {"type": "join", "name": "Bob"}
            await bob.tell(type="say", text="hello")
            said = {"type": "say", "name": "Bob", "text": "hello"}
            assert await ada.hear() == await bob.hear() == said
        assert await ada.hear() == {"type": "leave", "name": "Bob"}


@asynccontextmanager
async def visit_deaf(url: str, name: str):
    """Join without ever reading, and vanish at the end of the block."""
    port = int(url.split(":")[2].partition("/")[0])
    hello = json.dumps({"type": "join", "name": name})
    async with await dial(port) as peer:
        await peer.send(upgrade_request(target="/ws"), text(hello))
        yield


async def test_somebody_who_vanishes_has_left(chat, no_errors_logged) -> None:
    async with visit(chat, "Ada") as ada:
        async with visit_deaf(chat, "Bob"):
            assert await ada.hear() == {"type": "join", "name": "Bob"}
        assert await ada.hear() == {"type": "leave", "name": "Bob"}


async def test_a_slow_receiver_holds_nobody_up(chat, no_errors_logged) -> None:
    async with visit(chat, "Ada") as ada, visit_deaf(chat, "Bob"):
        assert await ada.hear() == {"type": "join", "name": "Bob"}
        # Bob reads nothing. Ada goes on talking and hears herself, until the
        # server gives him up.
        text = "x" * TEXT_LENGTH
        heard = {"type": "say"}
        while heard["type"] == "say":
            await ada.tell(type="say", text=text)
            heard = await ada.hear()
        assert heard == {"type": "leave", "name": "Bob"}


@pytest.mark.parametrize("path", ["/ws/", "/else", "/wsx"])
async def test_there_is_nothing_else(chat, path) -> None:
    with pytest.raises(HandshakeRefused) as caught:
        async with open_websocket(chat.removesuffix("/ws") + path):
            pass
    assert caught.value.response.status == 404


async def test_a_browser_that_opens_the_socket_is_told(chat) -> None:
    port = int(chat.rpartition(":")[2].partition("/")[0])
    async with await dial(port) as peer:
        await peer.send(plain_request("/ws"))
        assert b" 426 Upgrade Required\r\n" in await peer.read_head()


async def test_pages_from_elsewhere_are_refused(chat) -> None:
    with pytest.raises(HandshakeRefused) as caught:
        async with open_websocket(chat, origin="https://example.com"):
            pass
    assert caught.value.response.status == 403
    origin = chat.replace("ws://", "http://").removesuffix("/ws")
    async with open_websocket(chat, origin=origin) as ws:
        await ws.send('{"type": "join", "name": "Ada"}')
        assert json.loads(await ws.receive())["name"] == "Ada"


# --- the page ----------------------------------------------------------------


def get(path: str, *headers: tuple[str, str]):
    return on_request(Request("GET", path, (("Host", "chat.example"), *headers)))


def test_the_page_is_html_that_runs_nothing_but_itself() -> None:
    response = get("/?any=query")
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    page = response.body.decode()
    policy = response.headers["Content-Security-Policy"]
    inline = re.findall(r"<(style|script)>(.*?)</\1>", page, re.DOTALL)
    assert [kind for kind, _ in inline] == ["style", "script"]
    for kind, inside in inline:
        value = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert re.search(rf"{kind}-src [^;]*'sha256-{re.escape(value)}'", policy)
    assert "unsafe" not in policy


def test_the_page_comes_from_one_file_and_builds_no_html_from_text() -> None:
    page = get("/").body.decode()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write", page)
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)


def test_page_and_room_have_the_same_limits() -> None:
    page = get("/").body.decode()
    assert f'id="name" maxlength="{NAME_LENGTH}"' in page
    assert f'id="text" maxlength="{TEXT_LENGTH}"' in page


@pytest.mark.parametrize("path", ["/page.html", "/favicon.ico", "//", "/.."])
def test_other_paths_are_not_found(path) -> None:
    assert get(path).status == 404


@pytest.mark.parametrize("origin", ["null", "http://evil", "http://chat.example:1"])
def test_origins_are_compared_with_the_host(origin) -> None:
    assert get("/ws", ("Origin", origin)).status == 403
    assert get("/ws", ("Origin", "https://chat.example")) is None
    assert get("/ws") is None
