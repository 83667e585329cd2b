"""What the benchmark servers share: their command line and their one line of output."""

from __future__ import annotations

import argparse
import logging
import resource
from dataclasses import dataclass

HOST = "127.0.0.1"
# Large enough for the 1 MiB cell with room for a header.
MAX_MESSAGE = 4 * 1024 * 1024
BACKLOG = 4096
# The same for all that let one choose: the least CPU, and 12 bits of window.
LEVEL = 1
WINDOW_BITS = 12
MEMORY_LEVEL = 5


@dataclass(frozen=True, slots=True)
class Job:
    """What a server is to do; the same words for each of them.

    Attributes:
        broadcast: What one sends goes to all; else it goes back.
        handler: Which of the library's ways, if it has several.
        keepalive: Whether it pings idle peers.
        deflate: Whether it agrees on permessage-deflate and compresses all.
        takeover: Whether it agrees on contexts, of `WINDOW_BITS` both ways.
        sleeper: Whether a task tells how late it wakes, and messages on the path
            ``/slow`` cost a millisecond each.
        variants: The library's other options.
    """

    broadcast: bool
    handler: str
    keepalive: bool
    deflate: bool
    takeover: bool
    sleeper: bool
    variants: frozenset[str]


def arguments(*handlers: str, variants: tuple[str, ...] = ()) -> Job:
    """Read the command line; raise the file descriptor limit for 10,000 peers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["echo", "broadcast"], default="echo")
    parser.add_argument(
        "--keepalive", action="store_true", help="the library's default"
    )
    parser.add_argument("--handler", choices=handlers or ["-"], default=None)
    parser.add_argument("--deflate", choices=["none", "alone", "takeover"])
    parser.add_argument("--sleeper", action="store_true", help="see sleeper.py")
    parser.add_argument("--variant", choices=variants, action="append", default=[])
    found = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The load generator leaves without ceremony; that is not worth a line each.
    logging.getLogger().addHandler(logging.NullHandler())
    logging.disable(logging.WARNING)
    return Job(
        broadcast=found.mode == "broadcast",
        handler=found.handler or (handlers or ("-",))[0],
        keepalive=found.keepalive,
        deflate=found.deflate in {"alone", "takeover"},
        takeover=found.deflate == "takeover",
        sleeper=found.sleeper,
        variants=frozenset(found.variant),
    )


def listening(port: int) -> None:
    """Tell the runner where to connect."""
    print(f"listening {port}", flush=True)
