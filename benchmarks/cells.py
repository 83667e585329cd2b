"""What can be measured: cells by name, servers by name, and who is compared."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

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
# Words that may follow the name of one of ours, with "+" before each: with what it
# compresses, how it keeps a context, and broadcasts without a `PreparedMessage`.
VARIANTS = ("zlib-ng", "isal", "window", "unprepared")
# What these cannot do is not measured.
NO_DEFLATE = ("trio_websocket", "picows_uvloop")
# Whose loop has room for a task that sleeps, as all that run on trio have.
SLEEPERS = ("trio_websocket", "websockets_trio", "ours-callback", "ours-async")
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
    """One thing to measure: messages, opening handshakes, memory, or a sleeper.

    Attributes:
        slow: The server works for a millisecond on each message.
        loads: What keeps the server busy beside a sleeper; nothing if it is idle.
    """

    name: str
    kind: str
    connections: int
    payload: int = 128
    depth: int = 1
    text: bool = False
    deflate: str = "none"
    slow: bool = False
    loads: tuple[Cell, ...] = ()

    @property
    def mode(self) -> str:
        """What the server has to do."""
        return "broadcast" if self.kind == "broadcast" else "echo"

    @property
    def unit(self) -> str:
        """What is counted."""
        kinds = {"echo": "msg", "broadcast": "deliveries", "handshake": "handshakes"}
        return kinds.get(self.kind, "KiB")

    @property
    def has_answers(self) -> bool:
        """Whether messages come back that may be compressed."""
        return self.deflate != "none" and self.kind in {"echo", "broadcast"}

    def takes(self, server: str) -> bool:
        """Whether a server can be measured in it."""
        words = set(server.split("+")[1:])
        if "unprepared" in words and self.kind != "broadcast":
            return False
        if "window" in words and self.deflate != "takeover":
            return False
        if self.kind == "sleeper":
            return server in SLEEPERS
        if server == "ours-nowait" and self.kind != "echo":
            return False
        if self.deflate == "none":
            return words <= {"unprepared"}
        return server not in NO_DEFLATE

    def options(self) -> list[str]:
        """For the load generator, but for how long."""
        options = ["--mode", "idle" if self.kind == "memory" else self.kind]
        options += ["--deflate", self.deflate]
        if self.kind == "handshake":
            return [*options, "--concurrency", str(self.connections)]
        options += ["--connections", str(self.connections)]
        options += ["--payload", str(self.payload), "--depth", str(self.depth)]
        options += ["--path", "/slow"] if self.slow else []
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
# How late a task wakes that asked for a millisecond, while all else goes on.
SLEEPER = (
    "sleeper:idle",
    "sleeper:1000x128x1",
    "sleeper:100x128x16",
    "sleeper:100x128x1+1x128x512",  # one floods the server, beside the others
    "sleeper:100x128x1+1x128x1-slow",
    "sleeper:100x128x1+1x128x16-slow",
)
CELLS = (
    *ECHO,
    "1000x128x1:deflate",
    "handshake",
    "broadcast",
    "broadcast:deflate",
    *SLEEPER,
    "memory",
    "memory:deflate-takeover",
)
QUICK_CELLS = ("1x32x1", "100x128x1", "100x128x16", "100x128x1:deflate")
_ECHO = re.compile(r"(\d+)x(\d+)x(\d+)(-text)?")
_SLOW = "-slow"
_OTHER = re.compile(r"(handshake|broadcast|memory)(?::(\d+))?")
# What the load generator and the servers call what follows the name of a cell.
_DEFLATE = {":deflate": "alone", ":deflate-takeover": "takeover"}
# The load generator's tag, which a compressed payload must have.
_LEAST_DEFLATED = 16
_DEFAULT_CONNECTIONS = {"handshake": 32, "broadcast": 1000, "memory": 10000}


def _parse_load(name: str) -> Cell | None:
    ending = next((word for word in _DEFLATE if name.endswith(word)), "")
    deflate = _DEFLATE.get(ending, "none")
    base = name.removesuffix(ending)
    if echo := _ECHO.fullmatch(base):
        connections, payload, depth = map(int, echo.groups()[:3])
        enough = payload >= _LEAST_DEFLATED or deflate == "none"
        if connections and depth and enough:
            text = echo[4] is not None
            return Cell(name, "echo", connections, payload, depth, text, deflate)
    elif other := _OTHER.fullmatch(base):
        kind = other[1]
        connections = int(other[2] or _DEFAULT_CONNECTIONS[kind])
        if connections:
            depth = 2 if kind == "broadcast" else 1
            return Cell(name, kind, connections, depth=depth, deflate=deflate)
    return None


def _parse_sleeper(name: str) -> Cell | None:
    words = name.removeprefix("sleeper:").split("+")
    if words == ["idle"]:
        return Cell(name, "sleeper", 0)
    loads: list[Cell] = []
    for word in words:
        load = _parse_load(word.removesuffix(_SLOW))
        if load is None or load.kind != "echo" or load.deflate != "none":
            return None
        loads.append(replace(load, name=word, slow=word.endswith(_SLOW)))
    connections = sum(load.connections for load in loads)
    return Cell(name, "sleeper", connections, loads=tuple(loads))


def parse_cell(name: str) -> Cell:
    """Make a cell of ``CONNECTIONSxPAYLOADxDEPTH[-text]`` or ``KIND[:CONNECTIONS]``.

    Either may end with ``:deflate``, without context takeover, or
    ``:deflate-takeover``, with a context of 12 bits both ways. Or it is ``sleeper:``
    with ``idle``, or with one or more of the former joined by ``+``, each with
    ``-slow`` behind it or not.

    Raises:
        ValueError: It is none of these.
    """
    sleeper = name.startswith("sleeper:")
    if cell := _parse_sleeper(name) if sleeper else _parse_load(name):
        return cell
    raise ValueError(
        f"no cell {name!r}: write CONNECTIONSxPAYLOADxDEPTH, with -text or not, or "
        "handshake, broadcast or memory, with :CONNECTIONS or not; and :deflate or "
        ":deflate-takeover behind it or not (payloads of 16 bytes or more); or "
        "sleeper:idle, or sleeper: with CONNECTIONSxPAYLOADxDEPTH, with -slow or not, "
        "and more of these with + between them"
    )


def check_server(name: str) -> None:
    """Check the name of a server, with its variants.

    Raises:
        ValueError: There is none of that name.
    """
    base, *words = name.split("+")
    if base not in (*SERVERS, *MORE_SERVERS):
        raise ValueError(f"no server {base!r}")
    if words and not (base.startswith("ours-") and set(words) <= set(VARIANTS)):
        raise ValueError(
            f"no server {name!r}: one of ours may be followed by any of "
            f"{', '.join(f'+{word}' for word in VARIANTS)}"
        )
