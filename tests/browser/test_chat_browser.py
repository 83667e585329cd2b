"""The chat page in a real Chromium, in one room with node's ``ws``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.browser.webdriver import ENTER, TAB
from tests.peers import require
from tests.programs import PROGRAM, running, serving
from tests.test_docs import BLOCK, PORT, TUTORIAL

pytestmark = pytest.mark.slow

PHONE, DESKTOP = (390, 844), (1280, 800)


@contextmanager
def open_room(browser, *args):
    """Start the server and show its page."""
    with serving("chat", *args) as server:
        browser.resize(*PHONE)
        browser.go(server.page)
        browser.run("sessionStorage.clear()")
        browser.go(server.page)
        browser.complaints()
        yield server


@pytest.fixture(params=["callback", "async"])
def room(request, browser):
    with open_room(browser, "--handler", request.param) as server:
        yield server


class Node:
    """A person in the chat who is node's `ws`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def tell(self, **values) -> None:
        self.process.stdin.write(json.dumps(values) + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict:
        return json.loads(self.process.stdout.readline())

    def leave(self) -> None:
        self.process.stdin.close()


@contextmanager
def node_in(server, name):
    with subprocess.Popen(
        ["node", Path(__file__).with_name("node_chat.js"), server.url],
        env={**os.environ, "NODE_WS": require("node-ws")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            node = Node(process)
            node.tell(type="join", name=name)
            yield node
        finally:
            process.kill()


def shows(text: str) -> str:
    assert '"' not in text
    return f'//li[contains(., "{text}")]'


def enter(browser, name: str) -> None:
    browser.press(f"{name}{ENTER}")
    browser.find(shows(f"You are in, as {name}"))
    browser.find('//*[@id="state"][@data-is="open"][.="Connected"]')


def test_browser_and_node_talk_to_each_other(browser, room) -> None:
    enter(browser, "Ada")
    with node_in(room, "Bob") as bob:
        assert bob.hear() == {"type": "welcome", "name": "Bob", "names": ["Ada", "Bob"]}
        browser.find(shows("Bob joined"))
        browser.find('//h2[.="2 here"]')
        browser.find('//ul[@id="names"]/li[.="Bob"]')
        bob.tell(type="say", text="Hello from node")
        said = {"type": "say", "name": "Bob", "text": "Hello from node"}
        assert bob.hear() == said
        browser.find(shows("Hello from node"))
        browser.press(f"Hello from Chromium, Zoë{ENTER}")
        said = {"type": "say", "name": "Ada", "text": "Hello from Chromium, Zoë"}
        assert bob.hear() == said
        browser.find(shows("Hello from Chromium, Zoë"))
        bob.leave()
        assert bob.hear() == {"type": "closed", "code": 1000}
    browser.find(shows("Bob left"))
    browser.find('//h2[.="Only you here"]')
    assert browser.complaints() == []


def test_what_people_write_is_only_text(browser, room) -> None:
    enter(browser, "Ada")
    evil = "<img src=x onerror=document.title='taken'><script>1</script>&amp;"
    with node_in(room, "<b>Bob</b>") as bob:
        bob.hear()
        bob.tell(type="say", text=evil)
        browser.find(shows("<b>Bob</b> joined"))
        browser.find(shows(evil))
    tags = browser.run(
        "return document.querySelectorAll('body img, body b, li script').length"
    )
    assert tags == 0
    assert browser.run("return document.title") == "Chat"
    assert browser.complaints() == []


def test_the_page_comes_back_by_itself(browser) -> None:
    with open_room(browser) as server:
        port = server.url.split(":")[2].removesuffix("/ws")
        enter(browser, "Ada")
        assert server.stop(signal.SIGTERM)[0] == 0
        browser.find('//*[@id="state"][@data-is="lost"]')
        browser.find(shows("The connection is lost"))
        browser.press("Not yet")
        assert browser.run("return document.getElementById('send').disabled")
    with running(*PROGRAM, "serve", "chat", "--port", port) as again:
        browser.find(shows("You are back, as Ada"))
        with node_in(again, "Bob") as bob:
            assert bob.hear()["names"] == ["Ada", "Bob"]
            browser.press(f", but now{ENTER}")
            assert bob.hear()["text"] == "Not yet, but now"


def test_a_name_that_is_refused_can_be_changed(browser, room) -> None:
    browser.press(f"   {ENTER}")
    browser.find('//*[@id="join-error"][.="A name needs at least one letter."]')
    browser.find('//*[@id="state"][.="Not connected"]')
    enter(browser, "Ada")


def test_everything_can_be_reached_by_keyboard(browser, room) -> None:
    enter(browser, "Ada")
    reached = []
    for _ in range(6):
        browser.press(TAB)
        reached.append(browser.run("return document.activeElement.id"))
    assert set(reached) >= {"send", "leave", "names", "log", "text"}
    while browser.run("return document.activeElement.id") != "leave":
        browser.press(TAB)
    browser.press(ENTER)
    browser.find('//*[@id="state"][.="Not connected"]')
    assert browser.run("return document.activeElement.id") == "name"
    # The name is still there, selected.
    browser.press(ENTER)
    browser.find(shows("You are in, as Ada"))


@pytest.mark.parametrize("size", [PHONE, (320, 480), DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_fits(browser, size, scheme, tmp_path) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.devtools("Emulation.setEmulatedMedia", features=[feature])
    with open_room(browser) as server:
        browser.resize(*size)
        enter(browser, "Ada")
        with node_in(server, "W" * 32) as bob:
            bob.hear()
            for number in range(12):
                bob.tell(type="say", text=f"{number} " + "w" * 150)
            browser.find(shows("11 w"))
            picture = tmp_path / f"{size[0]}-{scheme}.png"
            picture.write_bytes(browser.screenshot())
            wide, high, bottom, limit, ground = browser.run(
                """
                const root = document.documentElement;
                const last = document.querySelector("#log li:last-child");
                return [
                  root.scrollWidth, root.scrollHeight,
                  last.getBoundingClientRect().bottom,
                  document.querySelector("footer").getBoundingClientRect().top,
                  getComputedStyle(document.body).backgroundColor,
                ];
                """
            )
    assert (wide, high) == size
    assert bottom <= limit < size[1]
    assert (ground == "rgb(16, 19, 22)") is (scheme == "dark")


def complaints_of_axe(browser) -> list[str]:
    """Return what axe-core finds wrong for people who do not see the page."""
    axe = Path(require("axe-core"), "axe.min.js").read_text("utf-8")
    found = browser.run(f"{axe}; return axe.run()")
    return [
        f"{rule['id']}: {node['html']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_complaints(browser, size, scheme) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.devtools("Emulation.setEmulatedMedia", features=[feature])
    with open_room(browser) as server:
        browser.resize(*size)
        assert complaints_of_axe(browser) == []
        browser.press(f"   {ENTER}")
        browser.find('//*[@id="join-error"][.="A name needs at least one letter."]')
        assert complaints_of_axe(browser) == []
        enter(browser, "Ada")
        with node_in(server, "Bob") as bob:
            bob.hear()
            bob.tell(type="say", text="Hello")
            browser.find(shows("Hello"))
            browser.press(f"Hello, Bob{ENTER}")
            browser.find(shows("Hello, Bob"))
            refuse_something(browser)
            assert complaints_of_axe(browser) == []
        server.stop(signal.SIGTERM)
        browser.find('//*[@id="state"][@data-is="lost"]')
        assert complaints_of_axe(browser) == []


def refuse_something(browser) -> None:
    # The page asks for nothing that is refused, so its script is asked to.
    browser.run('transmit({type: "say", text: ""})')
    browser.find('//*[@id="error"][.="There is nothing to send."]')


def test_an_error_stands_above_the_message_and_goes(browser, room) -> None:
    browser.resize(*DESKTOP)
    enter(browser, "Ada")
    refuse_something(browser)
    error, form = browser.run(
        "return ['error', 'write'].map("
        "(id) => document.getElementById(id).getBoundingClientRect().toJSON())"
    )
    assert (error["left"], error["right"]) == (form["left"], form["right"])
    assert error["bottom"] <= form["top"]
    browser.find('//*[@id="error"]')
    browser.run("document.querySelector('#leave').click()")
    browser.press(ENTER)
    browser.find(shows("You are in, as Ada"))
    browser.find('//*[@id="error"][.=""]')


def test_the_page_of_the_tutorial_works(browser, tmp_path) -> None:
    for block in BLOCK.finditer(TUTORIAL):
        if block["file"] is not None:
            text = block["text"].replace(f"        {PORT},", "        0,")
            (tmp_path / block["file"]).write_text(text)
    with running(sys.executable, tmp_path / "chat.py") as server:
        browser.go(server.page)
        browser.find(shows("1 here"))
        browser.press(f"<b>Hello</b>{ENTER}")
        browser.find(shows("<b>Hello</b>"))
        assert complaints_of_axe(browser) == []
        server.stop(signal.SIGTERM)
        browser.find(shows("The connection is lost."))
