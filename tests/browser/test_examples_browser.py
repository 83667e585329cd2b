"""Examples and a real Chromium: the chat's page in two of them, DevTools of a third."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.browser.webdriver import ENTER, FLAGS, open_another
from tests.peers import require
from tests.programs import ROOT, TIMEOUT, running

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"


# --- the chat -----------------------------------------------------------------


@pytest.fixture(scope="module")
def other_browser(browser, tmp_path_factory):
    """Give a second one, with cookies of its own."""
    profile = tmp_path_factory.mktemp("other")
    with open_another(browser.driver, require("chromium"), profile) as page:
        yield page


def chat():
    return running(sys.executable, EXAMPLES / "chat" / "server.py", "0")


def enter(browser, server, name: str) -> None:
    """Log in, as somebody does who opens a room's page."""
    browser.go(server.url)
    browser.find('//input[@name="name"]')
    browser.press(f"{name}{ENTER}")
    shows(browser, f"{name} joined")


def shows(browser, text: str) -> None:
    assert '"' not in text
    browser.find(f'//ul[@id="messages"]/li[.="{text}"]')


def test_two_who_have_logged_in_talk_to_each_other(browser, other_browser) -> None:
    with chat() as server:
        enter(browser, server, "Ada")
        browser.complaints()
        enter(other_browser, server, "Bob <b>")
        shows(browser, "Bob <b> joined")
        browser.press(f"Hello, <i>Bob</i>{ENTER}")
        for page in (browser, other_browser):
            shows(page, "Ada: Hello, <i>Bob</i>")
        other_browser.go("about:blank")
        shows(browser, "Bob <b> left")
        assert browser.run("return document.querySelectorAll('li b, li i').length") == 0
        # Scripts of a page do not see who is logged in.
        assert browser.run("return document.cookie") == ""
        assert browser.complaints() == []


def test_another_room_is_another_conversation(browser, other_browser) -> None:
    with chat() as server:
        enter(browser, server, "Ada")
        enter(other_browser, server, "Bob")
        shows(browser, "Bob joined")
        other_browser.run("location.hash = 'tea'")
        other_browser.find('//h1[.="Room tea"]')
        shows(other_browser, "Bob joined")
        shows(browser, "Bob left")


def test_a_page_from_elsewhere_is_refused_with_its_visitors_cookie(browser) -> None:
    with chat() as server, chat() as elsewhere:
        enter(browser, server, "Ada")
        # Another port of the same host: of another origin, and sent the same cookies.
        browser.go(elsewhere.url)
        script = """
            const socket = new WebSocket(arguments[0]);
            return new Promise((resolve) => {
              socket.onopen = () => resolve("open");
              socket.onclose = ({ code }) => resolve(code);
            });
        """
        url = server.url.replace("http:", "ws:") + "rooms/lobby"
        assert browser.run(script, url) == 1006
        assert any("403" in line for line in browser.complaints())
        browser.go(server.url)
        shows(browser, "Ada joined")
        assert browser.run(script, url) == "open"


def test_whose_login_is_over_gets_back_to_the_form(browser) -> None:
    with chat() as server:
        enter(browser, server, "Ada")
        port = re.findall(r"\d+", server.url)[-1]
        server.process.kill()
        server.process.wait()
        command = (sys.executable, EXAMPLES / "chat" / "server.py", port)
        with running(*command) as again:
            assert again.url == server.url
            # It connects again by itself; its cookie is of the server before.
            browser.find('//input[@name="name"]')


# --- DevTools -----------------------------------------------------------------


@contextmanager
def debuggable(profile):
    """Start a Chromium that can be driven; give the port where."""
    command = [require("chromium"), *FLAGS, f"--user-data-dir={profile}"]
    with subprocess.Popen(
        [*command, "--remote-debugging-port=0"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            found = (
                re.search(r"listening on ws://\S+:(\d+)/", x) for x in process.stderr
            )
            yield next(match[1] for match in found if match)
        finally:
            process.terminate()


def take_picture(port: str, page: str, picture) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / "devtools.py", port, page, picture],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


NOISE = """data:text/html,<body style="margin:0">Noise
<canvas width="800" height="560"></canvas><script>
const pen = document.querySelector("canvas").getContext("2d");
const image = pen.createImageData(800, 560);
for (let i = 0; i < image.data.length; i %2B= 65536)
  crypto.getRandomValues(image.data.subarray(i, i %2B 65536));
for (let i = 3; i < image.data.length; i %2B= 4) image.data[i] = 255;
pen.putImageData(image, 0, 0);
</script>"""


def test_devtools_open_a_page_and_take_a_picture(tmp_path) -> None:
    with debuggable(tmp_path / "profile") as port:
        picture = tmp_path / "hello.png"
        done = take_picture(port, "data:text/html,<h1>Hello</h1>", picture)
        assert (done.stdout, done.stderr) == ("Hello\n", "")
        kind, width, height = struct.unpack_from(">8s8x2I", picture.read_bytes())
        assert kind == b"\x89PNG\r\n\x1a\n"
        assert min(width, height) > 100
        # Noise cannot be compressed: its picture is a message of MiBs.
        done = take_picture(port, NOISE, picture)
        assert (done.stdout.split(), done.stderr) == (["Noise"], "")
        assert picture.stat().st_size > 2**20
        done = take_picture(port, "http://127.0.0.1:1/", tmp_path / "none.png")
        assert done.returncode == 1
        assert done.stderr.count("OSError: http://127.0.0.1:1/: net::ERR_UNSAFE_PORT")
        assert not (tmp_path / "none.png").exists()
