"""Every server that docs and examples show lives with slow, dead and odd peers."""

from __future__ import annotations

import json
import re
import signal
import sys
from functools import partial
from typing import Any

import pytest
import trio

from tests.difficult import (
    Manners,
    hear_each_other,
    hear_echoes,
    hear_news,
    hear_shouts,
    stand,
)
from tests.programs import PROGRAM, ROOT, running
from tests.test_docs import BLOCK, PORT, TUTORIAL
from tests.test_guides import block_with, blocks, run_block
from tests.test_readme import PYTHON
from tests.wire import (
    TEXT,
    Frame,
    Peer,
    dial,
    field,
    masked,
    plain_request,
    tcp_listener,
)
from trio_fastws import EventHandler, PerMessageDeflate, WebSocket

pytestmark = pytest.mark.slow

ECHO = Manners(hear_echoes)
SHOUT = Manners(hear_shouts)
FEED = Manners(hear_news)


def say(text: str) -> str:
    return json.dumps({"type": "say", "text": text})


ROOM = Manners(
    partial(hear_each_other, say=say),
    path="/ws",
    hello=masked(Frame(TEXT, b'{"type": "join", "name": "Ada"}')),
    chatter=masked(Frame(TEXT, say("c" * 1000).encode())),
    again=False,
)
# The tutorial's: what is said, everybody hears; and no words for it.
PLAIN_ROOM = Manners(hear_each_other, again=False)
PAGE_ROOM = Manners(hear_each_other, path="/ws", again=False)


async def log_in(port: int) -> tuple[str, str]:
    async with await dial(port) as peer:
        await peer.send(plain_request("/login?name=Ada"))
        cookie = field(await peer.read_head(), "Set-Cookie")
    return f"Cookie: {cookie.partition(';')[0]}", f"Origin: http://127.0.0.1:{port}"


ROOMS = Manners(hear_each_other, path="/rooms/tea", again=False, log_in=log_in)


# --- programs ----------------------------------------------------------------


def examples() -> dict[str, tuple[Manners, list[Any]]]:
    folder = ROOT / "examples"
    found: dict[str, tuple[Manners, list[Any]]] = {
        name: (manners, [sys.executable, folder / name, "0"])
        for name, manners in {
            "echo.py": ECHO,
            "push.py": FEED,
            "ticker.py": FEED,
            "chat/server.py": ROOMS,
        }.items()
    }
    for kind in ("callback", "async"):
        for what, manners in (("echo", ECHO), ("chat", ROOM)):
            words = ["serve", what, "--handler", kind, "--port", "0"]
            found[f"serve {what}, {kind}"] = (manners, [*PROGRAM, *words])
    return found


@pytest.mark.parametrize(
    ("manners", "command"), examples().values(), ids=list(examples())
)
async def test_a_program_lives(manners, command) -> None:
    await live(manners, command)


TUTORIAL_FILES = [(m["file"], m["text"]) for m in BLOCK.finditer(TUTORIAL) if m["file"]]
TUTORIAL_SERVERS = [
    (manners, name, text)
    for manners, (name, text) in zip(
        (ECHO, PLAIN_ROOM, PAGE_ROOM),
        [file for file in TUTORIAL_FILES if "serve_websocket" in file[1]],
        strict=True,
    )
]


@pytest.mark.parametrize(("manners", "name", "text"), TUTORIAL_SERVERS)
async def test_a_program_of_the_tutorial_lives(manners, name, text, tmp_path) -> None:
    (tmp_path / "page.html").touch()
    program = tmp_path / name
    program.write_text(
        text.replace(f"        {PORT},", "        0,").replace(
            f", {PORT}, host", ", 0, host"
        )
    )
    await live(manners, [sys.executable, program])


async def live(manners: Manners, command: list[Any]) -> None:
    with running(*command) as server:
        port = int(re.findall(r":(\d+)/", server.url)[0])
        await stand(port, manners)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        _, errors = await trio.to_thread.run_sync(server.process.communicate)
    # Of the tutorial's only the KeyboardInterrupt, which it says.
    assert [line for line in errors.splitlines() if "Error" in line] == []


# --- what the pages show -----------------------------------------------------


ECHOES = [("deflate.md", 0), ("performance.md", 0), ("server.md", 0), ("server.md", 1)]


def test_every_page_with_a_server_is_here() -> None:
    pages = sorted((ROOT / "docs").glob("*.md"))
    assert [
        (page.name, number)
        for page in pages
        if page.name != "tutorial.md"
        for number, text in enumerate(blocks(page.name))
        if "trio.run" in text and "serve_websocket" in text
    ] == ECHOES


@pytest.mark.parametrize(("page", "number"), ECHOES)
async def test_an_echo_of_a_page_lives(
    serve, monkeypatch, page, number, no_errors_logged
) -> None:
    _, (program, *rest) = run_block(blocks(page)[number], monkeypatch)
    handler, keywords = (rest or program.args)[0], getattr(program, "keywords", {})
    server = await serve(handler, listeners=[tcp_listener(16 * 1024)], **keywords)
    await stand(server.port, ECHO)


@pytest.mark.parametrize(("name", "manners"), [("shout", SHOUT), ("Echo", ECHO)])
async def test_a_handler_of_the_readme_lives(
    serve, monkeypatch, name, manners, no_errors_logged
) -> None:
    (program,) = PYTHON.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    names, _ = run_block(program, monkeypatch)
    handler = names[name]() if isinstance(names[name], type) else names[name]
    server = await serve(handler, listeners=[tcp_listener(16 * 1024)])
    await stand(server.port, manners)


async def test_a_conversation_of_a_page_lives(
    serve, monkeypatch, no_errors_logged
) -> None:
    names, _ = run_block(block_with("server.md", "def store"), monkeypatch)
    server = await serve(names["store"], listeners=[tcp_listener(16 * 1024)])

    async def ask(*peers: Peer) -> None:
        for peer in peers:
            await peer.send(Frame(TEXT, b"a" * 100_000))
            assert (await peer.read_message())[:2] == (TEXT, b"got it")

    await stand(server.port, Manners(ask))


async def test_the_broadcast_of_a_page_lives(
    serve, monkeypatch, no_errors_logged
) -> None:
    names, _ = run_block(blocks("deflate.md")[4], monkeypatch)
    listener = tcp_listener(16 * 1024)
    server = await serve(
        EventHandler(), listeners=[listener], deflate=PerMessageDeflate()
    )

    async def hear(*peers: Peer) -> None:
        for number in range(200):
            text = f"{number} " + "b" * 4000
            names["tell_all"](server, text)
            for peer in peers:
                assert (await peer.read_message())[:2] == (TEXT, text.encode())

    await stand(server.port, Manners(hear))


async def test_answers_of_a_page_wait_for_a_slow_peer(
    serve, monkeypatch, no_errors_logged
) -> None:
    names, _ = run_block(blocks("deflate.md")[3], monkeypatch)

    async def handler(ws: WebSocket) -> None:
        async for _ in ws:
            await names["answer"](ws, bytes(50_000), "token" * 10_000)

    server = await serve(handler, listeners=[tcp_listener(16 * 1024)])

    async def ask(*peers: Peer) -> None:
        for peer in peers:
            for _ in range(20):
                await peer.send(Frame(TEXT, b"?"))
                assert len((await peer.read_message()).payload) == 50_000
                assert len((await peer.read_message()).payload) == 50_000
                assert (await peer.read_message()).payload.endswith(b"there are")

    await stand(server.port, Manners(ask))
