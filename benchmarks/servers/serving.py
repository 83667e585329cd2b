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


@dataclass(frozen=True, slots=True)
class Job:
    """What a server is to do; the same words for each of them."""

    broadcast: bool
    handler: str
    keepalive: bool


def arguments(*handlers: str) -> Job:
    """Read the command line; raise the file descriptor limit for 10,000 peers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["echo", "broadcast"], default="echo")
    parser.add_argument(
        "--keepalive", action="store_true", help="the library's default"
    )
    parser.add_argument("--handler", choices=handlers or ["-"], default=None)
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
    )


def listening(port: int) -> None:
    """Tell the runner where to connect."""
    print(f"listening {port}", flush=True)
