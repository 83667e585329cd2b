"""What a server leaves behind when it ends, whenever that is: nothing."""

from __future__ import annotations

import gc
import os
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.wire import (
    dial,
)
from trio_fastws import Listen, Server, WebSocket, open_websocket, serve_websocket

GOODBYE = (1001, "the server is shutting down")

pytestmark = pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="needs /proc"
)


async def park(ws: WebSocket) -> None:
    await trio.sleep_forever()


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_no_descriptor_leaks(
    transport, server_tls, client_tls, secure, no_errors_logged
) -> None:
    tls, scheme = (server_tls, "wss") if secure else (None, "ws")
    before = open_descriptors()
    scope = trio.CancelScope()

    async def run(task_status: trio.TaskStatus[Server]) -> None:
        with scope:
            await serve_websocket(
                park, 0, host="127.0.0.1", ssl_context=tls, task_status=task_status
            )

    async with trio.open_nursery() as servers:
        server = await servers.start(run)
        port = server.port
        url = f"{scheme}://127.0.0.1:{port}/"

        async def client() -> None:
            async with open_websocket(
                url, ssl_context=client_tls if secure else None
            ) as ws:
                async for _ in ws:
                    pass
                assert (ws.close_code, ws.close_reason) == GOODBYE

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(client)
            silent = await dial(port)
            refused = await dial(port)
            await refused.send(b"\0")
            while server.statistics().connections < 5:
                await trio.lowlevel.checkpoint()
            scope.cancel()
        await silent.stream.aclose()
        await refused.stream.aclose()
    await wait_all_tasks_blocked()
    assert open_descriptors() == before


async def test_server_that_is_cancelled_while_it_starts_leaves_nothing(
    transport, no_errors_logged
) -> None:
    before = open_descriptors()
    with trio.CancelScope() as scope:
        scope.cancel()
        await serve_websocket(park, 0, host="127.0.0.1")
    assert scope.cancelled_caught
    assert open_descriptors() == before


@pytest.mark.parametrize("checkpoints", range(12))
async def test_cancelled_at_any_moment_of_its_start_it_ends(
    transport, memory, no_errors_logged, checkpoints
) -> None:
    before = open_descriptors()
    tcp = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(serve_websocket, park, Listen(listeners=[*tcp, memory]))
        )
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert memory.closed
    assert open_descriptors() == before


async def test_started_in_a_cancelled_scope_it_ends(transport, memory) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await serve_websocket(park, Listen(listeners=[memory]))
    assert scope.cancelled_caught
    assert memory.closed
