"""The client that follows a feed: when it comes back, how soon, when it gives up."""

from __future__ import annotations

import json
import random
import signal
import ssl
import subprocess
import sys

import pytest
import trio

from tests.programs import ROOT, load, running, wait_for
from trio_fastws import HandshakeError, Request, Response, WebSocket

FOLLOW = ROOT / "examples" / "follow.py"


@pytest.fixture
def follow():
    """Give the example's own function."""
    return load(FOLLOW).follow


@pytest.fixture
def pauses(monkeypatch):
    """Give the largest pause of each attempt; that long they are, too."""
    asked: list[float] = []

    def take_largest(least: float, most: float) -> float:
        assert least == 0
        asked.append(most)
        return most

    monkeypatch.setattr(random, "uniform", take_largest)
    return asked


class Feed:
    """A feed that can say what was missed, and ends in one way after another."""

    def __init__(self) -> None:
        self.subscriptions: list[dict] = []
        self.done = trio.Event()

    async def serve(self, ws: WebSocket) -> None:
        subscription = json.loads(await ws.receive())
        self.subscriptions.append(subscription)
        number = subscription["after"] + 1
        if number == 4:
            self.done.set()
            await ws.wait_closed()
            return
        await ws.send(json.dumps({"number": number}))
        await ws.flush()
        if number == 1:
            ws.abort("lost")
        elif number == 2:
            await ws.aclose(1012, "restarting")
        else:
            await ws.aclose()


async def test_it_subscribes_again_and_says_what_it_has(
    autojump_clock, serve, nursery, follow, pauses, capsys
) -> None:
    feed = Feed()
    server = await serve(feed.serve)
    nursery.start_soon(follow, f"ws://127.0.0.1:{server.port}/")
    await feed.done.wait()
    after = [subscription["after"] for subscription in feed.subscriptions]
    assert after == [0, 1, 2, 3]
    assert {subscription["subscribe"] for subscription in feed.subscriptions} == {
        "prices"
    }
    # Each time there was something new: no reason to wait longer.
    assert pauses == [1, 1, 1]
    out, errors = capsys.readouterr()
    assert out == "".join(f'{{"number": {number}}}\n' for number in (1, 2, 3))
    lost, restarting, closed = errors.splitlines()
    assert lost.startswith("connection closed with code 1006: ")
    assert restarting == "connection closed with code 1012: restarting"
    assert closed == "closed by the server"


@pytest.mark.parametrize("status", [301, 400, 401, 404])
async def test_it_comes_back_less_and_less_often_until_that_is_hopeless(
    autojump_clock, serve, follow, pauses, status
) -> None:
    answers = [503, 429, 408, 500, 502, 504, 503, 503, status]

    def on_request(request: Request) -> Response:
        return Response(answers.pop(0))

    async def nobody(ws: WebSocket) -> None:
        raise AssertionError

    server = await serve(nobody, on_request=on_request)
    with pytest.raises(HandshakeError) as caught:
        await follow(f"ws://127.0.0.1:{server.port}/")
    assert caught.value.status == status
    assert (answers, pauses) == ([], [1, 2, 4, 8, 16, 32, 60, 60])


async def test_a_server_that_closes_at_once_is_not_asked_all_the_time(
    autojump_clock, serve, nursery, follow, pauses
) -> None:
    enough = trio.Event()

    async def close(ws: WebSocket) -> None:
        if len(pauses) == 5:
            enough.set()
        await ws.aclose(1013, "full")

    server = await serve(close)
    nursery.start_soon(follow, f"ws://127.0.0.1:{server.port}/")
    await enough.wait()
    assert pauses[:5] == [1, 2, 4, 8, 16]


async def test_a_certificate_that_is_not_trusted_does_not_get_better(
    serve, server_tls, follow, pauses
) -> None:
    async def nobody(ws: WebSocket) -> None:
        raise AssertionError

    server = await serve(nobody, ssl_context=server_tls)
    with pytest.raises(HandshakeError) as caught:
        await follow(f"wss://127.0.0.1:{server.port}/")
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert pauses == []


@pytest.mark.slow
def test_ctrl_c_ends_it_connected_or_not() -> None:
    with running(sys.executable, ROOT / "examples" / "push.py", "0") as server:
        process = start(server.url)
        assert json.loads(process.stdout.readline())["price"] > 0
        process.send_signal(signal.SIGINT)
        code, _, errors = wait_for(process)
        assert (code, errors) == (0, "")
        process = start(server.url)
        assert json.loads(process.stdout.readline())["price"] > 0
        assert server.stop(signal.SIGINT)[0] == 0
    assert process.stderr.readline() == "closed by the server\n"
    process.send_signal(signal.SIGINT)
    assert wait_for(process)[0] == 0


@pytest.mark.slow
def test_giving_up_is_one_line() -> None:
    with running(sys.executable, ROOT / "examples/chat/server.py", "0") as server:
        process = start(server.url.replace("http:", "ws:"))
        code, out, errors = wait_for(process)
    assert (code, out) == (1, "")
    assert errors.startswith("giving up: server answered 403 ")


def start(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, FOLLOW, url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
