"""Calls and events over one connection: who gets which answer, or none."""

from __future__ import annotations

import json
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.programs import ROOT, load
from trio_fastws import ConnectionBroken, WebSocket, open_websocket

Calls = load(ROOT / "examples" / "rpc.py").Calls


@pytest.fixture
async def opened(serve):
    """Give both ends: the calls of a client, and the WebSocket of who answers."""
    send, receive = trio.open_memory_channel[WebSocket](1)

    async def handler(ws: WebSocket) -> None:
        send.send_nowait(ws)
        await ws.wait_closed()

    server = await serve(handler)
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        yield Calls(ws), await receive.receive()


async def take(peer: WebSocket) -> dict:
    return json.loads(await peer.receive())


async def tell(peer: WebSocket, **values) -> None:
    await peer.send(json.dumps(values))


async def test_each_caller_gets_its_own_answer(opened, nursery) -> None:
    call, peer = opened
    nursery.start_soon(call.read)
    results = {}

    async def ask(name: str) -> None:
        results[name] = await call("ask", name=name)

    async with trio.open_nursery() as callers:
        for name in ("one", "two", "three"):
            callers.start_soon(ask, name)
        calls = [await take(peer) for _ in range(3)]
        assert {message["method"] for message in calls} == {"ask"}
        for message in sorted(calls, key=lambda message: -message["id"]):
            await tell(peer, id=message["id"], result={"to": message["params"]["name"]})
    assert results == {name: {"to": name} for name in ("one", "two", "three")}
    nursery.cancel_scope.cancel()


async def test_an_error_is_raised_where_the_call_was(opened, nursery) -> None:
    call, peer = opened
    nursery.start_soon(call.read)
    call.common = {"sessionId": "7"}

    async def refuse() -> None:
        message = await take(peer)
        assert message == {"id": 1, "method": "go", "params": {}, "sessionId": "7"}
        await tell(peer, id=1, error={"code": -32601, "message": "no such method"})

    nursery.start_soon(refuse)
    with pytest.raises(RuntimeError, match=r"^go: no such method$"):
        await call("go")
    nursery.cancel_scope.cancel()


async def test_an_answer_that_nobody_waits_for_any_more_is_dropped(
    opened, nursery
) -> None:
    call, peer = opened
    nursery.start_soon(call.read)
    async with trio.open_nursery() as callers:
        callers.start_soon(call, "slow")
        assert (await take(peer))["method"] == "slow"
        callers.cancel_scope.cancel()
    await tell(peer, id=1, result={})
    nursery.start_soon(partial(tell, peer, method="event", params={"n": 1}))
    assert (await call.events.receive())["params"] == {"n": 1}
    nursery.cancel_scope.cancel()


async def test_events_that_nobody_takes_hold_no_call_up(opened, nursery) -> None:
    call, peer = opened
    nursery.start_soon(call.read)

    async def flood() -> None:
        for number in range(3000):
            await tell(peer, method="event", params={"n": number})
        await tell(peer, id=(await take(peer))["id"], result={"done": True})

    nursery.start_soon(flood)
    assert await call("wait") == {"done": True}
    assert (await call.events.receive())["params"] == {"n": 0}
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("code", [1000, 4000])
async def test_callers_do_not_wait_for_a_peer_that_is_gone(opened, code) -> None:
    call, peer = opened
    error = EOFError if code == 1000 else ConnectionBroken
    with pytest.RaisesGroup(error):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.read)
            nursery.start_soon(call, "ask")
            await wait_all_tasks_blocked()
            await peer.aclose(code)
