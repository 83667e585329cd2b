"""Waiting until the last peer has left, to end a server or to drain it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_fastws._connection.connections import Connections

    from .admission import Admission


class Departures:
    """Tells tasks when nobody is left. Those that come meanwhile are waited for too."""

    def __init__(self, connections: Connections, admission: Admission) -> None:
        """Watch nobody yet.

        Args:
            connections: Of a server.
            admission: Of its handshakes.
        """
        self._connections = connections
        self._admission = admission
        self._waiting = trio.lowlevel.ParkingLot()
        self._over = False

    async def wait_connections(self) -> None:
        """Wait until no connection is open."""
        await self._wait_while(lambda: len(self._connections) > 0)

    async def wait_all(self) -> None:
        """Wait until there is no handshake in progress either, nor an answer."""
        admission = self._admission
        await self._wait_while(lambda: len(self._connections) > 0 or admission.busy())

    async def _wait_while(self, somebody_left: Callable[[], bool]) -> None:
        self._connections._on_empty = self._admission.on_idle = self._wake
        while somebody_left() and not self._over:
            await self._waiting.park()

    def _wake(self) -> None:
        self._waiting.unpark_all()

    def end(self) -> None:
        """Let everybody go on: the loop has ended, and nobody leaves any more."""
        self._over = True
        self._wake()
