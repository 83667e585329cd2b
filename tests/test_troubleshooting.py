"""The texts that docs/troubleshooting.md quotes are those that a person sees."""

from __future__ import annotations

import ast
import http
import re

import pytest
import trio

from tests.programs import ROOT
from tests.test_guides import blocks, run_block
from tests.wire import (
    TEXT,
    Frame,
    dial,
    upgrade_request,
)
from trio_fastws import (
    Accept,
    ConnectionBroken,
    EventHandler,
    HandshakeRefused,
    Limits,
    Request,
    Sending,
    WebSocket,
    open_websocket,
)

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = [
    line
    for block in re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if not line.startswith(("reverse_proxy", "Proxy"))
]


def chunks() -> list[str]:
    """Return the literal parts of all texts in the package, the longest first."""
    found = {status.phrase for status in http.HTTPStatus}
    # What the system and OpenSSL say.
    found |= {"Too many open files", "EOF occurred in violation of protocol"}
    for path in (ROOT / "trio_fastws").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.split(r"%\S*\w", node.value))
    return sorted((c for c in found if len(c.strip()) > 3), key=len, reverse=True)


@pytest.mark.parametrize("line", QUOTED)
def test_what_is_quoted_stands_in_the_sources(line) -> None:
    left, _, _ = line.partition(" [")
    for chunk in chunks():
        left = left.replace(chunk.strip(), "\0")
    # What remains are numbers and punctuation.
    assert re.findall(r"[A-Za-z]{3,}", left) == []


def quoted(text: str) -> bool:
    """Return whether the page has this text, whatever its numbers."""

    def without_numbers(line: str) -> str:
        return re.sub(r"\d+(\.\d+)?", "0", line)

    return without_numbers(text) in map(without_numbers, QUOTED)


def test_the_page_can_be_searched() -> None:
    assert quoted("another task is receiving")
    assert not quoted("another task is sending")


async def test_a_message_that_is_too_large(serve) -> None:
    server = await serve(EventHandler())
    whole = Sending(frame_size=None)
    url = f"ws://127.0.0.1:{server.port}/"
    async with open_websocket(url, sending=whole) as ws:
        await ws.send(bytes(5_500_029))
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
    assert caught.value.close_code == 1009
    assert quoted(caught.value.close_reason)


@pytest.mark.parametrize("origin", [None, "https://evil.example"])
async def test_an_origin_that_is_not_allowed(serve, origin) -> None:
    server = await serve(EventHandler(), origins=["https://example.com"])
    with pytest.raises(HandshakeRefused) as caught:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/", origin=origin):
            pytest.fail("accepted")
    assert quoted(str(caught.value))


@pytest.mark.parametrize(
    "accept", [Accept(subprotocol="v1"), Accept(limits=Limits(connections=1))]
)
async def test_an_accept_that_cannot_be(serve, caplog, accept) -> None:
    server = await serve(EventHandler(), on_request=lambda request: accept)
    with pytest.raises(HandshakeRefused) as caught:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/"):
            pytest.fail("accepted")
    assert quoted(str(caught.value))
    (record,) = caplog.records
    assert record.exc_info is not None


@pytest.mark.parametrize(
    "request_head",
    [
        upgrade_request(version="HTTP/1.0"),
        upgrade_request(without=("Upgrade",)),
        upgrade_request("Connection: close", without=("Connection",)),
        b"PROXY TCP4 192.0.2.7 192.0.2.8 53422 80\r\n" + upgrade_request(),
    ],
)
async def test_what_a_proxy_has_changed(serve, request_head) -> None:
    server = await serve(EventHandler())
    async with await dial(server.port) as peer:
        await peer.send(request_head)
        answer = (await peer.read_rest()).decode()
    status = answer.partition("\r\n")[0].removeprefix("HTTP/1.1 ")
    body = answer.partition("\r\n\r\n")[2].rstrip()
    # As a client tells it: the status once.
    why = body.removeprefix(f"{status[4:]}: ")
    assert quoted(f"server answered {status}: {why}")


async def test_two_tasks_that_receive(serve, nursery) -> None:
    server = await serve(EventHandler())
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        nursery.start_soon(ws.receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError) as caught:
            await ws.receive()
        nursery.cancel_scope.cancel()
    assert quoted(str(caught.value))


async def test_another_thread(serve) -> None:
    server = await serve(EventHandler())
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        with pytest.raises(RuntimeError) as caught:
            await trio.to_thread.run_sync(ws.send_nowait, "x")
    assert quoted(str(caught.value))


async def test_a_thread_as_the_page_has_it(serve, monkeypatch) -> None:
    names, _ = run_block(blocks("troubleshooting.md")[-1], monkeypatch)

    async def handler(ws: WebSocket) -> None:
        await trio.to_thread.run_sync(names["work"], ws)

    server = await serve(handler)
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        assert [message async for message in ws] == ["half done", "done"]


async def test_an_exception_of_ones_own(serve, caplog) -> None:
    class Chat(EventHandler):
        def on_message(self, ws: WebSocket, message: str | bytes) -> None:
            raise ZeroDivisionError

    server = await serve(Chat())
    async with await dial(server.port) as peer:
        await peer.shake()
        await peer.send(Frame(TEXT, b"x"))
        assert (await peer.read_close())[0] == 1011
    (record,) = caplog.records
    assert quoted(re.sub(r" \[.*", EXAMPLE, record.getMessage()))


EXAMPLE = " [connection 17, peer 192.0.2.7:53422, path /chat, handler app.Chat]"


async def test_a_slow_peer(serve) -> None:
    async def flood(ws: WebSocket) -> None:
        while ws.state == "open":
            ws.send_nowait(bytes(2**20))
        reasons.append(ws.close_reason)
        done.set()

    reasons: list[str | None] = []
    done = trio.Event()
    server = await serve(flood, sending=Sending(policy="close"))
    async with await dial(server.port) as peer:
        await peer.shake()
        await done.wait()
    assert quoted(str(reasons[0]))


async def test_a_health_check_as_the_page_has_it(serve, monkeypatch) -> None:
    found = [text for text in blocks("troubleshooting.md") if "on_request" in text]
    names, _ = run_block(found[0], monkeypatch)
    answer = names["on_request"](Request("GET", "/health", {"Host": "x"}))
    assert (answer.status, answer.body) == (200, b"ok\n")
    assert names["on_request"](Request("GET", "/ws", {"Host": "x"})) is None


def test_options_as_the_page_has_them(monkeypatch) -> None:
    names = {}
    for text in blocks("troubleshooting.md"):
        names.update(run_block(text, monkeypatch)[0])
    assert names["LIMITS"] == Limits(message_size=64 * 2**20)
    assert names["TIMEOUTS"].ping_interval == 5
