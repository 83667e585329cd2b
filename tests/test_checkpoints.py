"""Every async method of the public face is a checkpoint, on success too."""

from __future__ import annotations

import re

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.serving import pair
from tests.sources import ROOT
from tests.wire import PING, PONG, Frame, text


async def send(ws, peer, nursery) -> None:
    with assert_checkpoints():
        await ws.send("one")


async def receive(ws, peer, nursery) -> None:
    await peer.send(text("one"))
    await wait_all_tasks_blocked()
    with assert_checkpoints():
        assert await ws.receive() == "one"


async def flush(ws, peer, nursery) -> None:
    ws.send_nowait("one")
    with assert_checkpoints():
        await ws.flush()


async def ping(ws, peer, nursery) -> None:
    async def answer() -> None:
        frame = await peer.read_frame()
        assert frame.opcode == PING
        await peer.send(Frame(PONG, frame.payload))

    nursery.start_soon(answer)
    with assert_checkpoints():
        await ws.ping()


async def aclose(ws, peer, nursery) -> None:
    ws.close_nowait()
    await peer.aclose()
    await wait_all_tasks_blocked()
    with assert_checkpoints():
        await ws.aclose()


async def wait_closed(ws, peer, nursery) -> None:
    await aclose(ws, peer, nursery)
    with assert_checkpoints():
        await ws.wait_closed()


async def open_message(ws, peer, nursery) -> None:
    with assert_checkpoints():
        async with ws.open_message(text=True) as message:
            with assert_checkpoints():
                await message.write("one")


async def receive_stream(ws, peer, nursery) -> None:
    await peer.send(text("one"))
    await wait_all_tasks_blocked()
    async with ws.receive_stream() as pieces:
        with assert_checkpoints():
            assert await pieces.receive() == "one"
        with assert_checkpoints():
            await pieces.aclose()


METHODS = {
    method.__name__: method
    for method in (
        send,
        receive,
        flush,
        ping,
        aclose,
        wait_closed,
        open_message,
        receive_stream,
    )
}


def test_every_async_method_is_here() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    section = reference.partition("\n## WebSocket\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| `(?:await|async with) (\w+)\(", section, re.MULTILINE)
    assert set(found) == METHODS.keys()


@pytest.mark.parametrize("name", METHODS)
async def test_it_is_a_checkpoint(name: str) -> None:
    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        await METHODS[name](ws, peer, nursery)
