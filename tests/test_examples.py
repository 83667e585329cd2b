"""The examples run as their docstrings say, and stay short."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from websockets.sync.client import connect

from tests.programs import ROOT, TIMEOUT, dial, running, wait_for

EXAMPLES = ROOT / "examples"
PORTS = ("ports/from_trio_websocket.py", "ports/from_websockets.py")
SERVERS = ("echo.py", "push.py", "ticker.py", *PORTS)
FILES = sorted(EXAMPLES.rglob("*.py"))


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_is_short_and_says_how_to_run_it(path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) < 60
    name = path.relative_to(EXAMPLES)
    runs = "__main__" in source
    assert (f"\n    python examples/{name}" in source) is runs


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
    assert done.stdout.startswith("not connected: ")


@pytest.mark.parametrize("name", PORTS)
def test_a_port_talks_to_itself_and_refuses_other_paths(name) -> None:
    with example(name) as server:
        done = run(name, server.url)
        assert (done.stdout, done.stderr) == ("v2 hello\nclosed with 4000\n", "")
        assert server.line() == "closed with 4000"
        done = run(name, server.url.removesuffix("echo"))
    refused = "not connected: server answered 404 Not Found: no such path\n"
    assert (done.stdout, done.stderr) == (refused, "")
    done = run(name, server.url)
    assert done.stdout.startswith("not connected: ")


def test_push_reaches_everybody() -> None:
    with example("push.py") as server:
        with connect(server.url) as one, connect(server.url) as other:
            for client in (one, other):
                news = [json.loads(client.recv(timeout=20)) for _ in range(3)]
                assert all(item["price"] > 0 for item in news)
                assert sorted(item["number"] for item in news) == [
                    item["number"] for item in news
                ]
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
