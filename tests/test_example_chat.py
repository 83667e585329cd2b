"""The chat with rooms: who gets in, what its members hear, and how it ends."""

from __future__ import annotations

import json
import signal
import sys
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import quote, urlsplit

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.programs import ROOT, TIMEOUT, Program, running, wait_for
from tests.wire import CLOSE, dial as dial_raw
from trio_fastws import open_websocket

CHAT = ROOT / "examples" / "chat"


@pytest.fixture
def chat():
    with running(sys.executable, CHAT / "server.py", "0") as server:
        yield server


def get(server: Program, path: str, cookie: str = "") -> HTTPResponse:
    """Ask for a page; redirects are not followed."""
    site = urlsplit(server.url)
    connection = HTTPConnection(site.hostname, site.port, timeout=TIMEOUT)
    connection.request("GET", path, headers={"Cookie": cookie})
    return connection.getresponse()


def log_in(server: Program, name: str) -> str:
    answer = get(server, f"/login?name={quote(name)}")
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Lax"} <= set(attributes)
    return cookie


def dial(
    server: Program, cookie: str, room: str = "tea", origin: str | None = "its own"
) -> ClientConnection:
    url = server.url.replace("http:", "ws:")
    return connect(
        f"{url}rooms/{room}",
        origin=server.url.rstrip("/") if origin == "its own" else origin,
        additional_headers={"Cookie": cookie} if cookie else {},
    )


def enter(server: Program, name: str, room: str = "tea") -> ClientConnection:
    return dial(server, log_in(server, name), room)


def hear(client: ClientConnection) -> tuple[str, str, str]:
    heard = json.loads(client.recv(timeout=20))
    return heard["name"], heard["event"], heard["text"]


def test_members_of_a_room_hear_who_comes_and_goes_and_what_is_said(chat) -> None:
    with enter(chat, "Ada") as ada, enter(chat, "Zoë", "coffee") as zoe:
        assert hear(ada) == ("Ada", "joined", "")
        with enter(chat, "Bob <b>") as bob:
            assert hear(ada) == hear(bob) == ("Bob <b>", "joined", "")
            bob.send('Hello, "Ada" 🐙')
            assert hear(ada) == hear(bob) == ("Bob <b>", "said", 'Hello, "Ada" 🐙')
        assert hear(ada) == ("Bob <b>", "left", "")
        # In the other room nothing of that was heard.
        zoe.send("Anybody here?")
        assert hear(zoe) == ("Zoë", "joined", "")
        assert hear(zoe) == ("Zoë", "said", "Anybody here?")


def test_a_page_is_for_those_who_are_logged_in(chat) -> None:
    page = (CHAT / "page.html").read_bytes()
    form = get(chat, "/")
    assert form.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b'<form action="/login">' in form.read()
    cookie = log_in(chat, "Ada")
    # Among those of other programs at this host, which need not be well formed.
    for header in (cookie, f'a="; b; {cookie}', f"{cookie};\xff=\xff"):
        assert get(chat, "/", header).read() == page
    assert get(chat, "/elsewhere", cookie).status == 404


@pytest.mark.parametrize("name", ["", " ", "x" * 33, "a\x00", "\u202e"])
def test_a_name_is_what_can_be_seen(chat, name) -> None:
    assert get(chat, f"/login?name={quote(name)}").status == 400
    assert get(chat, "/login").status == 400


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example"])
def test_pages_of_others_are_refused(chat, origin) -> None:
    cookie = log_in(chat, "Ada")
    with pytest.raises(InvalidStatus) as caught, dial(chat, cookie, origin=origin):
        pass
    assert caught.value.response.status_code == 403


def test_a_page_of_another_port_is_a_foreign_one(chat) -> None:
    # Browsers send cookies there: they belong to a host, not to a port.
    cookie = log_in(chat, "Ada")
    origin = f"{chat.url.rstrip('/')}0"
    with pytest.raises(InvalidStatus) as caught, dial(chat, cookie, origin=origin):
        pass
    assert caught.value.response.status_code == 403


def test_without_a_cookie_of_ours_a_close_code_says_so(chat) -> None:
    cookie = log_in(chat, "Ada")
    forged = cookie.replace("Ada", "Bob")
    with enter(chat, "Cleo") as cleo:
        hear(cleo)
        for wrong in ("", "chat_user=Ada", "chat_user=\xff.\xff", forged):
            with dial(chat, wrong) as stranger:
                with pytest.raises(ConnectionClosedError) as caught:
                    stranger.recv(timeout=20)
                assert caught.value.rcvd.code == 4401
        cleo.send("Nobody came?")
        assert hear(cleo) == ("Cleo", "said", "Nobody came?")


async def test_a_member_that_does_not_read_is_closed(chat) -> None:
    cookie, origin = log_in(chat, "Bob"), chat.url.rstrip("/")
    port = urlsplit(chat.url).port
    url = f"ws://127.0.0.1:{port}/rooms/tea"
    async with await dial_raw(port) as bob:
        fields = f"Cookie: {cookie}", f"Origin: {origin}"
        await bob.shake(*fields, target="/rooms/tea")
        headers = {"Cookie": log_in(chat, "Ada")}
        async with open_websocket(url, headers=headers, origin=origin) as ada:
            # He holds nobody up, nor does the server keep all that for him.
            for number in range(800):
                await ada.send(f"{number} " + "x" * 16_000)
                heard = {"text": ""}
                while not heard["text"].startswith(f"{number} "):
                    heard = json.loads(await ada.receive())
            frames = [await bob.read_frame()]
            while frames[-1].opcode != CLOSE:
                frames.append(await bob.read_frame())
            assert len(frames) < 800
            assert frames[-1].payload[:2] == (1008).to_bytes(2, "big")


def test_what_is_no_text_ends_a_connection_and_no_other(chat) -> None:
    with enter(chat, "Ada") as ada, enter(chat, "Bob") as bob:
        assert [hear(ada)[0], hear(ada)[0], hear(bob)[0]] == ["Ada", "Bob", "Bob"]
        bob.send(b"bytes")
        with pytest.raises(ConnectionClosedError) as caught:
            bob.recv(timeout=20)
        assert caught.value.rcvd.code == 1003
        assert hear(ada) == ("Bob", "left", "")


def test_ctrl_c_closes_with_1001_and_ends_without_a_traceback(chat) -> None:
    with enter(chat, "Ada") as ada:
        assert hear(ada) == ("Ada", "joined", "")
        chat.process.send_signal(signal.SIGINT)
        for _ in ada:
            pass
        assert ada.close_code == 1001
        assert wait_for(chat.process) == (0, "", "")
