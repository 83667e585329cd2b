"""What can be measured: cells by name, servers by name, and who is compared."""

from __future__ import annotations

import re
from dataclasses import dataclass

SERVERS = (
    "floor",
    "trio_websocket",
    "websockets_trio",
    "websockets_uvloop",
    "aiohttp_uvloop",
    "picows_uvloop",
    "ours-callback",
    "ours-async",
)
# Others that can be asked for: a task that empties its queue before it waits.
MORE_SERVERS = ("ours-nowait",)
QUICK_SERVERS = tuple(
    name for name in SERVERS if name not in {"websockets_uvloop", "aiohttp_uvloop"}
)
# Ratios are given to these, if they ran in the same cell.
YARDSTICKS = {
    "floor": "/floor",
    "trio_websocket": "/trio-ws",
    "websockets_trio": "/ws.trio",
    "picows_uvloop": "/picows",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to measure: messages, opening handshakes, or memory."""

    name: str
    kind: str
    connections: int
    payload: int = 128
    depth: int = 1
    text: bool = False

    @property
    def mode(self) -> str:
        """What the server has to do."""
        return "broadcast" if self.kind == "broadcast" else "echo"

    @property
    def unit(self) -> str:
        """What is counted."""
        kinds = {"echo": "msg", "broadcast": "deliveries", "handshake": "handshakes"}
        return kinds.get(self.kind, "KiB")

    def options(self) -> list[str]:
        """For the load generator, but for how long."""
        options = ["--mode", "idle" if self.kind == "memory" else self.kind]
        if self.kind == "handshake":
            return [*options, "--concurrency", str(self.connections)]
        options += ["--connections", str(self.connections)]
        options += ["--payload", str(self.payload), "--depth", str(self.depth)]
        return [*options, "--text"] if self.text else options


ECHO = (
    "1x32x1",
    "100x128x1",
    "1000x128x1",
    "1000x1024x1",
    "100x128x16",
    "100x16384x1",
    "10x1048576x1",
    "100x128x1-text",
)
CELLS = (*ECHO, "handshake", "broadcast", "memory")
QUICK_CELLS = ("1x32x1", "100x128x1", "100x128x16")
_ECHO = re.compile(r"(\d+)x(\d+)x(\d+)(-text)?")
_OTHER = re.compile(r"(handshake|broadcast|memory)(?::(\d+))?")
_DEFAULT_CONNECTIONS = {"handshake": 32, "broadcast": 1000, "memory": 10000}


def parse_cell(name: str) -> Cell:
    """Make a cell of ``CONNECTIONSxPAYLOADxDEPTH[-text]`` or ``KIND[:CONNECTIONS]``.

    Raises:
        ValueError: It is neither.
    """
    if echo := _ECHO.fullmatch(name):
        connections, payload, depth = map(int, echo.groups()[:3])
        if connections and depth:
            text = echo[4] is not None
            return Cell(name, "echo", connections, payload, depth, text)
    elif other := _OTHER.fullmatch(name):
        kind = other[1]
        connections = int(other[2] or _DEFAULT_CONNECTIONS[kind])
        if connections:
            return Cell(name, kind, connections, depth=2 if kind == "broadcast" else 1)
    raise ValueError(
        f"no cell {name!r}: write CONNECTIONSxPAYLOADxDEPTH, with -text or not, or "
        "handshake, broadcast or memory, with :CONNECTIONS or not"
    )
