"""Whether anybody else in a run has something to do, as far as trio can say."""

from __future__ import annotations

import queue
import socket
import threading
from contextlib import suppress

import pytest
import trio

from trio_fastws._transport.quiet import Quiet, is_guest


async def woken_by_the_kernel() -> None:
    """Wait as the loop does, until trio has nothing else to do."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        await trio.lowlevel.wait_readable(ours)


@pytest.fixture
async def quiet():
    """Give one that is installed; it is quiet for who was woken by the kernel alone."""
    quiet = Quiet()
    trio.lowlevel.add_instrument(quiet)
    yield quiet
    trio.lowlevel.remove_instrument(quiet)


async def test_a_run_that_slept_is_quiet_up_to_its_next_deadline(quiet) -> None:
    await woken_by_the_kernel()
    assert quiet.seconds() > 5
    with trio.move_on_after(5):
        assert 0 < quiet.seconds() <= 5
        await trio.lowlevel.checkpoint()


async def test_a_runnable_task_is_something_to_do(quiet, nursery) -> None:
    await woken_by_the_kernel()
    nursery.start_soon(trio.lowlevel.checkpoint)
    assert quiet.seconds() == 0
    for _ in range(5):  # until that task is over
        await woken_by_the_kernel()
    assert quiet.seconds() > 0


async def test_a_task_that_runs_again_and_again_is_something_to_do(
    quiet, nursery
) -> None:
    # In the same batch as the one that asks: it is not runnable, and will run.
    done = trio.Event()

    async def run_deferred() -> None:
        while not done.is_set():
            await trio.lowlevel.checkpoint()

    async def ask() -> None:
        for _ in range(50):
            await woken_by_the_kernel()
            assert quiet.seconds() == 0
        done.set()

    nursery.start_soon(run_deferred)
    await trio.lowlevel.checkpoint()
    await ask()


async def test_what_comes_from_threads_is_something_to_do(quiet) -> None:
    await woken_by_the_kernel()
    came = trio.Event()
    trio.lowlevel.current_trio_token().run_sync_soon(came.set)
    assert quiet.seconds() == 0
    await came.wait()
    await woken_by_the_kernel()
    assert quiet.seconds() > 0


async def test_a_thread_that_is_waited_for_is_something_to_do(quiet, nursery) -> None:
    release = threading.Event()
    nursery.start_soon(trio.to_thread.run_sync, release.wait)
    await woken_by_the_kernel()
    assert quiet.seconds() == 0
    release.set()


@pytest.mark.parametrize("wait", ["wait_readable", "wait_writable"])
async def test_a_descriptor_that_is_waited_for_is_something_to_do(
    quiet, nursery, wait
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        with suppress(BlockingIOError):
            while wait == "wait_writable":
                ours.send(bytes(1 << 20))
        async with trio.open_nursery() as waiting:
            waiting.start_soon(getattr(trio.lowlevel, wait), ours)
            await woken_by_the_kernel()
            assert quiet.seconds() == 0
            waiting.cancel_scope.cancel()


async def test_nobody_is_quiet_who_did_not_see_it_sleep() -> None:
    quiet = Quiet()
    assert quiet.seconds() == 0
    await woken_by_the_kernel()
    assert quiet.seconds() == 0


def test_a_guest_is_told_from_a_run_of_its_own() -> None:
    async def ask() -> bool:
        await trio.lowlevel.checkpoint()
        return is_guest()

    assert trio.run(ask) is False
    todo: queue.SimpleQueue = queue.SimpleQueue()
    outcomes = []
    trio.lowlevel.start_guest_run(
        ask,
        run_sync_soon_threadsafe=todo.put,
        done_callback=outcomes.append,
    )
    while not outcomes:
        todo.get(timeout=10)()
    assert outcomes[0].unwrap() is True
