"""The ports say what the programs said that they were made from, to each other too."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
import trio
import trio_websocket
import websockets.exceptions
import websockets.trio.client
import websockets.trio.server

from tests.programs import ROOT, load

# --- as it was written for trio-websocket 0.12 --------------------------------


async def answer_request(say, request) -> None:
    if request.path != "/echo":
        await request.reject(404, body=b"no such path\n")
        return
    chosen = "v2" if "v2" in request.proposed_subprotocols else None
    ws = await request.accept(subprotocol=chosen)
    try:
        while True:
            message = await ws.get_message()
            await ws.send_message(message)
    except trio_websocket.ConnectionClosed as closed:
        say(f"closed with {closed.reason.code}")


async def serve_trio_websocket(say, port: str) -> None:
    serve = partial(
        trio_websocket.serve_websocket,
        partial(answer_request, say),
        "127.0.0.1",
        int(port),
        ssl_context=None,
    )
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve)
        say(f"listening on ws://127.0.0.1:{server.port}/echo")


async def dial_trio_websocket(say, url: str) -> None:
    try:
        async with trio_websocket.open_websocket_url(url, subprotocols=["v2"]) as ws:
            await ws.send_message("hello")
            say(f"{ws.subprotocol} {await ws.get_message()}")
            await ws.ping(b"still there?")
            await ws.aclose(4000, "enough")
            say(f"closed with {ws.closed.code}")
    except trio_websocket.HandshakeError as error:
        say(f"not connected: {error}")


# --- as it was written for websockets.trio 17 ---------------------------------


def process_request(connection, request):
    if request.path == "/echo":
        return None
    return connection.respond(404, "no such path\n")


async def serve_websockets(say, port: str) -> None:
    async def echo(ws) -> None:
        try:
            async for message in ws:
                await ws.send(message)
        except websockets.exceptions.ConnectionClosedError as closed:
            say(f"closed with {closed.rcvd.code}")

    serve = partial(
        websockets.trio.server.serve,
        echo,
        int(port),
        host="127.0.0.1",
        subprotocols=["v2"],
        process_request=process_request,
    )
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve)
        port = server.listeners[0].socket.getsockname()[1]
        say(f"listening on ws://127.0.0.1:{port}/echo")


async def dial_websockets(say, url: str) -> None:
    try:
        async with websockets.trio.client.connect(url, subprotocols=["v2"]) as ws:
            await ws.send("hello")
            say(f"{ws.subprotocol} {await ws.recv()}")
            await (await ws.ping(b"still there?")).wait()
            await ws.aclose(4000, "enough")
            say(f"closed with {ws.close_code}")
    except (websockets.exceptions.InvalidHandshake, OSError, TimeoutError) as error:
        say(f"not connected: {error}")


# --- as it is now -------------------------------------------------------------


def ported(library: str):
    """Give the functions of a port, whose output goes to ``say``."""

    async def run(name: str, say, argument: str) -> None:
        module = load(ROOT / "examples" / "ports" / f"from_{library}.py")
        module.print = lambda *words, **_: say(" ".join(map(str, words)))
        await getattr(module, name)(argument)

    return SimpleNamespace(serve=partial(run, "serve"), dial=partial(run, "dial"))


OLD = {
    "trio_websocket": SimpleNamespace(
        serve=serve_trio_websocket, dial=dial_trio_websocket
    ),
    "websockets": SimpleNamespace(serve=serve_websockets, dial=dial_websockets),
}


@pytest.mark.parametrize("client", ["old", "new"])
@pytest.mark.parametrize("server", ["old", "new"])
@pytest.mark.parametrize("library", list(OLD))
async def test_both_talk_to_both(library, server, client, nursery) -> None:
    programs = {"old": OLD[library], "new": ported(library)}
    send, heard = trio.open_memory_channel[str](10)
    nursery.start_soon(programs[server].serve, send.send_nowait, "0")
    url = (await heard.receive()).removeprefix("listening on ")
    said: list[str] = []
    await programs[client].dial(said.append, url)
    assert said == ["v2 hello", "closed with 4000"]
    assert await heard.receive() == "closed with 4000"
    if client == "new":  # trio-websocket's own leaves a socket open when it is refused
        await programs[client].dial(said.append, url.removesuffix("echo"))
        assert said[2].startswith("not connected: server answered 404 Not Found")
    nursery.cancel_scope.cancel()
