"""The tasks of a server, in groups that are cancelled one after the other.

To cancel thousands of tasks in one go keeps everybody else waiting: trio reschedules
them all, and runs them all before it looks at anything else. So there is a nursery for
every hundred or so, and others have their turn in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from ._scopes import shielded_nursery

if TYPE_CHECKING:
    from collections.abc import Callable

# Tasks that end in about 2 ms, the length of a turn. A nursery with its task is 3 KiB:
# 30 bytes for each handler, of 2.7 KiB.
GROUP = 100


class Handlers:
    """Where a server's tasks live; a group outlives the cancellation of its parent."""

    def __init__(self, parent: trio.Nursery) -> None:
        """Begin without a group; see `open`."""
        self._parent = parent
        self._groups: list[tuple[trio.Nursery, trio.CancelScope]] = []
        self._nursery: trio.Nursery | None = None
        # How many more tasks the current group takes.
        self._room = 0
        self._opening = False

    async def open(self) -> None:
        """Open one more group, which is the current one from then on."""
        group = await self._parent.start(shielded_nursery)
        self._groups.append(group)
        self._use(group[0], 0)

    def _use(self, nursery: trio.Nursery, tasks: int) -> None:
        self._nursery = nursery
        self._room = GROUP - tasks

    def start_soon(
        self, async_fn: Callable[..., Any], *args: object, name: object = None
    ) -> None:
        """Start a task that is cancelled when the server shuts down."""
        assert self._nursery is not None
        self._nursery.start_soon(async_fn, *args, name=name)
        self._room -= 1
        if self._room <= 0 and not self._opening:
            self._find_room()

    def _find_room(self) -> None:
        # A group that others have left, or a new one; until it is there, the current.
        for nursery, _ in self._groups:
            tasks = len(nursery.child_tasks)
            if tasks <= GROUP // 2:
                self._use(nursery, tasks)
                return
        self._opening = True
        self._parent.start_soon(self._open_another)

    async def _open_another(self) -> None:
        try:
            await self.open()
        finally:
            self._opening = False

    async def cancel(self) -> None:
        """Cancel all tasks, group by group. A checkpoint."""
        for _, scope in self._groups:
            scope.cancel()
            await trio.lowlevel.checkpoint()

    def cancel_at_once(self) -> None:
        """Cancel all tasks that are left. Not a checkpoint."""
        for _, scope in self._groups:
            scope.cancel()
