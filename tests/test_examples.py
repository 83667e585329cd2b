"""The examples run as their docstrings say, and stay short."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

import pytest
from websockets.sync.client import connect

from tests.programs import ROOT, TIMEOUT, dial, running, wait_for

EXAMPLES = ROOT / "examples"
SERVERS = ("echo.py", "push.py", "ticker.py", "chat/server.py")


def example(name: str):
    """Start an example on a free port."""
    return running(sys.executable, EXAMPLES / name, "0")


def run(name: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / name, *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.mark.parametrize("name", [*SERVERS, "dial.py"])
def test_is_short_and_says_how_to_run_it(name) -> None:
    source = (EXAMPLES / name).read_text()
    assert len(source.splitlines()) < 60
    assert f"\n    python examples/{name}" in source


@pytest.mark.parametrize("name", SERVERS)
def test_ctrl_c_closes_with_1001_and_ends_without_a_traceback(name) -> None:
    with example(name) as server, connect(server.url) as client:
        client.send("{}")
        assert client.recv(timeout=20)
        server.process.send_signal(signal.SIGINT)
        for _ in client:
            pass  # what was on its way
        assert client.close_code == 1001
        assert wait_for(server.process) == (0, "", "")


def test_dial_talks_to_echo() -> None:
    with example("echo.py") as server:
        done = run("dial.py", server.url, "Hello", "How are you?")
    assert done.stdout.startswith("Hello\nHow are you?\nround trip: ")
    assert (done.returncode, done.stderr) == (0, "")
    done = run("dial.py", server.url, "Hello")
    assert done.stdout.startswith("cannot connect: ")


def test_push_reaches_everybody() -> None:
    with example("push.py") as server:
        with connect(server.url) as one, connect(server.url) as other:
            for client in (one, other):
                for _ in range(3):
                    assert json.loads(client.recv(timeout=20))["price"] > 0
        assert dial(server.url, "--expect", "2").stdout.count("price") == 2


def test_a_ticker_reaches_who_can_inflate_and_who_cannot() -> None:
    with example("ticker.py") as server:
        for args, notes in (
            ((), ""),
            (("--deflate",), "deflate: server 15 bits, client 12 bits, takeover\n"),
        ):
            done = dial(server.url, "--expect", "3", *args)
            assert (done.returncode, done.stderr) == (0, notes)
            boards = [json.loads(line)["prices"] for line in done.stdout.splitlines()]
            assert [len(board) for board in boards] == [50] * 3
            assert boards[0].keys() == boards[2].keys()


def test_chat_serves_the_page_and_nothing_else() -> None:
    with example("chat/server.py") as server:
        site = server.url.removesuffix("rooms/tea").replace("ws:", "http:")
        with urllib.request.urlopen(site, timeout=TIMEOUT) as answer:
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.read() == (EXAMPLES / "chat/page.html").read_bytes()
        elsewhere = dial(server.url.removesuffix("rooms/tea") + "elsewhere")
        assert elsewhere.stderr.startswith("trio-fastws: server answered 404 ")


def test_who_is_in_a_room_of_the_chat_hears_all_that_is_said_in_it() -> None:
    with example("chat/server.py") as server:
        other_room = server.url.removesuffix("tea") + "coffee"
        with (
            connect(server.url) as ada,
            connect(server.url) as bob,
            connect(other_room) as cleo,
        ):
            ada.send("Hello")
            assert ada.recv(timeout=20) == bob.recv(timeout=20) == "Hello"
            ada.close()
            bob.send(b"binary too")
            assert bob.recv(timeout=20) == b"binary too"
            # She has heard nothing of that.
            cleo.send("Anybody here?")
            assert cleo.recv(timeout=20) == "Anybody here?"
