"""The code in the guides does what the guides say."""

import re
from typing import Any

import pytest
import trio

from tests.programs import ROOT
from trio_fastws import HandshakeRefused, Limits, open_websocket

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[str]:
    return BLOCK.findall((ROOT / "docs" / page).read_text())


def run_block(text: str, monkeypatch) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Execute a block; return its names, and what it gave to `trio.run`."""
    given: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(trio, "run", lambda *args: given.extend(args))
        names: dict[str, Any] = {}
        exec(compile(text, "guide", "exec"), names)
    return names, tuple(given)


def test_every_block_is_run_here() -> None:
    assert (len(blocks("server.md")), len(blocks("client.md"))) == (4, 1)


@pytest.mark.parametrize("number", [0, 1])
async def test_both_kinds_of_handler_echo(serve, monkeypatch, number) -> None:
    _, (_, handler, port) = run_block(blocks("server.md")[number], monkeypatch)
    assert port == 8765
    server = await serve(handler)
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        await ws.send("here")
        assert await ws.receive() == "here"


async def test_on_request_decides(serve, monkeypatch) -> None:
    names, _ = run_block(blocks("server.md")[2], monkeypatch)
    _, (_, echo, _) = run_block(blocks("server.md")[0], monkeypatch)
    server = await serve(echo, on_request=names["check"])
    url = f"ws://127.0.0.1:{server.port}"
    for path, status, body in [
        ("/health", 200, b"ok\n"),
        ("/", 401, b"who are you?\n"),
    ]:
        with pytest.raises(HandshakeRefused) as caught:
            async with open_websocket(url + path):
                pytest.fail("accepted")
        assert caught.value.response is not None
        assert (caught.value.response.status, caught.value.response.body) == (
            status,
            body,
        )
    allowed = [("Authorization", "Bearer secret")]
    async with open_websocket(url, headers=allowed) as ws:
        await ws.send("in")
        assert await ws.receive() == "in"


async def test_messages_in_pieces(serve, monkeypatch, capsys) -> None:
    names, _ = run_block(blocks("server.md")[3], monkeypatch)
    server = await serve(names["store"], limits=Limits(message_size=None))
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        await ws.send(bytes(3_000_000))
        assert await ws.receive() == "got it"
    sizes = [int(size) for size in re.findall(r"(\d+) more", capsys.readouterr().out)]
    assert sum(sizes) == 3_000_000
    assert len(sizes) > 1


async def test_dialling(serve, monkeypatch, capsys) -> None:
    _, (_, echo, _) = run_block(blocks("server.md")[0], monkeypatch)
    server = await serve(echo)
    text = blocks("client.md")[0].replace("localhost:8765", f"127.0.0.1:{server.port}")
    _, (main,) = run_block(text, monkeypatch)
    await main()
    assert capsys.readouterr().out == "hello\n"
