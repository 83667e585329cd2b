"""Runs every example as its docstring prints it.

Each docstring holds its commands, ``python examples/...``. One that names a ws:// URL
dials the server beside it, or else an echo, and ends by itself; any other serves and
says ``listening on`` a URL.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = re.compile(r"^ +(?:\S*/)?python (examples/\S.*)$", re.MULTILINE)
READY = re.compile(r"listening on (\S+://\S+)")
SECONDS = 20

# One goes on until it is stopped, one needs a Chromium: both have tests that run them.
TESTED = {"follow.py", "devtools.py"}


def main() -> int:
    """Run them all; return the exit status."""
    pages = find_commands()
    commands = {command for page in pages for command in page}
    dialling = {command for command in commands if "ws://" in command}
    serving = sorted(commands - dialling)
    if not dialling or not serving:
        print("no example serves, or none dials", file=sys.stderr)
        return 1
    alone = {page[0] for page in pages if dialling.issuperset(page)}
    for command in serving:
        own = {other for page in pages if command in page for other in page}
        clients = dialling & own | (alone if "echo.py" in command else set())
        serve(command, sorted(clients))
    return 0


def find_commands() -> list[list[str]]:
    """Return what each example's docstring prints, in the order of their names."""
    pages: list[list[str]] = []
    for path in sorted((ROOT / "examples").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if path.name in TESTED:
            continue
        found = COMMAND.findall(ast.get_docstring(ast.parse(source), clean=False) or "")
        if not found and "__main__" in source:
            raise SystemExit(f"{path}: its docstring does not print how to run it")
        if found:
            pages.append(found)
    return pages


def serve(command: str, clients: list[str]) -> None:
    """Run a server, and clients against it."""
    print(f"python {command}", flush=True)
    process = subprocess.Popen(
        [sys.executable, *shlex.split(command)],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    signal.alarm(SECONDS)  # ends this program if the server never gets ready
    try:
        assert process.stdout is not None
        output = ""
        while (ready := READY.search(output)) is None:
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"it did not get ready:\n{output}")
            output += line
        for client in clients:
            dial(re.sub(r"ws://\S+", ready[1], client))
        assert process.poll() is None, "the server has ended"
    finally:
        signal.alarm(0)
        process.kill()
        process.communicate()


def dial(command: str) -> None:
    """Run a client to its end."""
    print(f"  python {command}", flush=True)
    subprocess.run(
        [sys.executable, *shlex.split(command)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
