"""`Server.connections`: a live view of the open connections, which copies nothing."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import trio
from hypothesis import example, given, strategies as st
from trio.testing import wait_all_tasks_blocked

from tests.handlers import Keeper
from tests.serving import serving
from trio_fastws import WebSocket, open_websocket
from trio_fastws._connection.connections import Connections
from trio_fastws._transport.contexts import Contexts
from trio_fastws._transport.contract import Owner


async def test_a_view_sees_who_comes_and_goes() -> None:
    keeper = Keeper()
    async with serving(keeper) as site:
        view = site.server.connections
        assert isinstance(view, Collection)
        assert (len(view), list(view), bool(view)) == (0, [], False)
        peer = await site.dial()
        ws = await keeper.next()
        assert (len(view), list(view), ws in view) == (1, [ws], True)
        assert "1" in repr(view)
        for stranger in (None, 7, peer, object()):
            assert stranger not in view
        await peer.aclose()
        await wait_all_tasks_blocked(0.001)
        assert (len(view), list(view), ws in view) == (0, [], False)


async def test_one_may_wait_while_iterating(serve) -> None:
    # A loop that sends: while it waits, some connections end and others begin.
    server = await serve(Keeper())
    url = f"ws://127.0.0.1:{server.port}"
    seen: list[WebSocket] = []
    async with trio.open_nursery() as nursery:

        async def stay(end: trio.Event, task_status: trio.TaskStatus[None]) -> None:
            async with open_websocket(url):
                task_status.started()
                await end.wait()

        ends = [trio.Event() for _ in range(6)]
        for end in ends:
            await nursery.start(stay, end)
        everybody = set(server.connections)
        for ws in server.connections:
            seen.append(ws)
            await ws.send("hello")
            if len(seen) == 2:
                ends[5].set()  # visited
                ends[0].set()  # not yet
                while len(server.connections) > 4:
                    await wait_all_tasks_blocked(0.001)
                await nursery.start(stay, ends[0])
        for end in ends:
            end.set()
    assert len(seen) == len(set(seen)) == 5
    assert set(seen) < everybody


async def test_iterating_belongs_to_the_thread_of_the_run(serve) -> None:
    server = await serve(Keeper())
    with pytest.raises(RuntimeError, match=r"trio\.from_thread\.run_sync"):
        await trio.to_thread.run_sync(list, server.connections)
    # To count is to read.
    assert await trio.to_thread.run_sync(len, server.connections) == 0


# Two loops that have come equally far; then one leaves that neither has visited.
@example([("+", 0)] * 4 + [("i", 0)] * 2 + [("t", 0), ("t", 1), ("-", 1)])
@given(st.lists(st.tuples(st.sampled_from("+-it"), st.integers(0, 99)), max_size=60))
def test_who_stays_is_visited_exactly_once(steps: list[tuple[str, int]]) -> None:
    # Against a model: sets of those that were there all the time.
    connections = Connections(Contexts())
    present: list[Owner] = []
    loops: list[tuple[object, list[Owner], set[Owner]]] = []
    for step, number in steps:
        if step == "+":
            owner = Owner()
            owner._place = len(connections._items)
            connections._items.append(owner)
            present.append(owner)
        elif step == "-" and present:
            owner = present.pop(number % len(present))
            assert connections._leave(owner, 1000)
            assert not connections._leave(owner, 1000)
            for _, _, staying in loops:
                staying.discard(owner)
        elif step == "i":
            loops.append((iter(connections), [], set(present)))
        elif step == "t" and loops:
            found, visited, _ = loops[number % len(loops)]
            owner = next(found, None)  # type: ignore[call-overload]
            if owner is not None:
                assert owner in connections
                visited.append(owner)
        assert set(connections) == set(present)
        assert len(connections) == len(present)
        assert all(owner in connections for owner in present)
    for found, visited, staying in loops:
        visited.extend(found)  # type: ignore[call-overload]
        assert len(set(visited)) == len(visited)
        assert staying <= set(visited)
