"""The tasks of a server, in groups that are cancelled one after the other.

Cancelling thousands of tasks at once blocks all other tasks: trio reschedules them all,
and runs them all in one batch. So there is a nursery for every hundred or so, and other
tasks run in between. A group ends with its last task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from trio_fastws._transport.lifetimes import cancel

if TYPE_CHECKING:
    from collections.abc import Callable

# Tasks that end in about 2 ms, the length of a turn. A nursery with its task is 3 KiB:
# 30 bytes for each handler, of 2.7 KiB.
GROUP = 100


class _Group:
    """A nursery that is open as long as a task runs in it, or it is kept."""

    def __init__(self, nursery: trio.Nursery, scope: trio.CancelScope) -> None:
        self.nursery = nursery
        self.scope = scope
        self.release = trio.Event()

    def keep(self) -> None:
        """Keep it open until `release` is set. There must be a task in it."""
        self.release = trio.Event()
        self.nursery.start_soon(self.release.wait)


class Handlers:
    """Where a server's tasks live; a group outlives the cancellation of its parent."""

    def __init__(self, parent: trio.Nursery) -> None:
        """Begin without a group; see `open`."""
        self._parent = parent
        self._groups: list[_Group] = []
        # The group that takes new tasks, how many more, and whether another is on
        # its way.
        self._current: _Group | None = None
        self._room = 0
        self._opening = False

    async def open(self) -> None:
        """Open one more group, which is the current one from then on."""
        self._use(await self._parent.start(self._hold), 0)

    async def _hold(self, task_status: trio.TaskStatus[_Group]) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                group = _Group(nursery, scope)
                group.keep()
                task_status.started(group)
                # If the caller is cancelled already, it does not get this group, and
                # could not end it: so no shield before that is known.
                await trio.lowlevel.checkpoint_if_cancelled()
                scope.shield = True
                self._groups.append(group)
        self._groups = [other for other in self._groups if other.scope is not scope]

    def _use(self, group: _Group, tasks: int) -> None:
        if self._current is not None:
            self._current.release.set()
        self._current = group
        self._room = GROUP - tasks

    def start_soon(
        self, async_fn: Callable[..., Any], *args: object, name: object = None
    ) -> None:
        """Start a task that is cancelled when the server shuts down."""
        assert self._current is not None
        self._current.nursery.start_soon(async_fn, *args, name=name)
        self._room -= 1
        if self._room <= 0 and not self._opening:
            self._find_room()

    def _find_room(self) -> None:
        # A group that others have left, or a new one; until it is there, the current.
        for group in self._groups:
            tasks = len(group.nursery.child_tasks)
            # Without any it is about to end.
            if group is not self._current and 0 < tasks <= GROUP // 2:
                group.keep()
                self._use(group, tasks)
                return
        self._opening = True
        self._parent.start_soon(self._open_another)

    async def _open_another(self) -> None:
        try:
            await self.open()
        finally:
            self._opening = False

    async def cancel(self, why: str) -> None:
        """Cancel all tasks, group by group. A checkpoint."""
        for group in tuple(self._groups):
            cancel(group.scope, why)
            await trio.lowlevel.checkpoint()

    def cancel_at_once(self, why: str) -> None:
        """Cancel all tasks that are left. Not a checkpoint."""
        for group in self._groups:
            cancel(group.scope, why)
