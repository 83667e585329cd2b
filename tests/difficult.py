"""Peers that examples meet sooner or later: slow, dead, and of another opinion.

`stand` brings them to a server, whatever it is, and looks whether those who behave are
served in full: with the others there, and when they are gone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial

import trio
from trio.testing import wait_all_tasks_blocked

from tests.wire import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    Frame,
    Peer,
    dial,
    masked,
)

# What a message may be that is not what a server expects.
WRONG = (
    Frame(TEXT),
    Frame(BINARY),
    Frame(TEXT, b"no JSON"),
    Frame(BINARY, b"\xff\x00"),
    Frame(BINARY, b'{"type": "say", "text": "bytes"}'),
    Frame(TEXT, b'{"type": 1, "text": ["?"], "name": {}}'),
    Frame(TEXT, b"[1, 2]"),
    Frame(TEXT, b"null"),
    Frame(TEXT, b'"\\ud800"'),
    Frame(PING, b"x"),
)


async def _need_no_login(port: int) -> Sequence[str]:
    return ()


Check = Callable[["Peer"], Awaitable[None]]


@dataclass(frozen=True)
class Manners:
    """How one talks to a server.

    Attributes:
        serve: Whether two peers that behave are served in full.
        path: Where the WebSocket is.
        hello: What everybody says first, as frames.
        chatter: What the slow one says.
        again: Whether it says that again and again: not where others would have to
            hear all of it.
        log_in: Gives the fields that a handshake needs at this port.
    """

    serve: Callable[[Peer, Peer], Awaitable[None]]
    path: str = "/"
    hello: bytes = b""
    chatter: bytes = masked(Frame(TEXT, b"c" * 1000))
    again: bool = True
    log_in: Callable[[int], Awaitable[Sequence[str]]] = _need_no_login


async def stand(port: int, manners: Manners) -> None:
    """Bring difficult peers to a server; raise if it does not serve the others."""
    arrive = partial(_arrive, port, manners, await manners.log_in(port))
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        enter = stack.enter_async_context
        slow = await enter(await arrive(rcvbuf=4096))
        await slow.send(manners.chatter)
        if manners.again:
            nursery.start_soon(_talk, slow, manners.chatter * 50)
        await enter(await arrive(rcvbuf=4096))  # it does not say anything either
        for last_words in (b"", manners.chatter, manners.chatter[:-1]):
            async with await arrive() as dead:
                await dead.send(manners.chatter * 10 + last_words)
                dead.reset()
        for wrong in WRONG:
            stranger = await enter(await arrive())
            await stranger.send(wrong)
            nursery.start_soon(_listen, stranger)
        async with await arrive() as one, await arrive() as other:
            await manners.serve(one, other)
        nursery.cancel_scope.cancel()
    async with await arrive() as one, await arrive() as other:
        await manners.serve(one, other)


async def _arrive(
    port: int, manners: Manners, fields: Sequence[str], rcvbuf: int | None = None
) -> Peer:
    peer = await dial(port, rcvbuf)
    await peer.shake(*fields, target=manners.path)
    await peer.send(manners.hello)
    return peer


async def _talk(peer: Peer, data: bytes) -> None:
    # As much as the server takes, without ever reading an answer.
    with suppress(trio.BrokenResourceError):
        while True:
            await peer.send(data)


async def _listen(peer: Peer) -> None:
    with suppress(trio.BrokenResourceError):
        await peer.read_rest()


# --- what those who behave do, by kind of server ------------------------------


async def hear_echoes(one: Peer, other: Peer) -> None:
    """Each gets back what it sends, all of it, in order."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hear_echo, one, str)
        nursery.start_soon(_hear_echo, other, str)


async def hear_shouts(one: Peer, other: Peer) -> None:
    """The same, in capitals."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hear_echo, one, str.upper)
        nursery.start_soon(_hear_echo, other, str.upper)


async def _hear_echo(peer: Peer, change: Callable[[str], str]) -> None:
    texts = [f"{number} " + "e" * 2000 for number in range(200)]

    async def say() -> None:
        for text in texts:
            await peer.send(Frame(TEXT, text.encode()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say)
        # Late, but all of it: what it does not read yet waits somewhere.
        await wait_all_tasks_blocked(0.02)
        for text in texts:
            assert (await peer.read_message())[:2] == (TEXT, change(text).encode())


async def hear_each_other(
    one: Peer, other: Peer, say: Callable[[str], str] = str, times: int = 400
) -> None:
    """Each hears all that one of them says, among what the others do."""
    for peer in (one, other):  # who hears anything is in
        await peer.send(Frame(TEXT, say("here").encode()))
        await _hear(peer, ["here"])
    for start in range(0, times, 20):  # they wait for what they have said
        texts = [f"{number} " + "t" * 1900 for number in range(start, start + 20)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hear, one, texts)
            nursery.start_soon(_hear, other, texts)
            for text in texts:
                await one.send(Frame(TEXT, say(text).encode()))


async def _hear(peer: Peer, texts: list[str]) -> None:
    waiting = [text.encode() for text in reversed(texts)]
    while waiting:
        frame = await peer.read_frame()
        assert frame is not None, f"ended before {waiting[-1]!r}"
        assert frame.opcode in (TEXT, CONTINUATION, PING), frame
        message = peer.assemble(frame)
        if message is not None and waiting[-1] in message.payload:
            waiting.pop()


async def hear_news(one: Peer, other: Peer) -> None:
    """Each gets some messages without asking."""
    for _ in range(3):
        for peer in (one, other):
            assert (await peer.read_message()).opcode == TEXT
