"""A build without the compiled modules says so, once, unless it was chosen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import trio_fastws

PACKAGE = Path(trio_fastws.__file__).parent
# Two servers, and two clients, in two runs; what is logged goes to stderr.
PROGRAM = """
import trio, trio_fastws
from trio_fastws import open_websocket, serve_websocket

async def echo(ws):
    async for message in ws:
        await ws.send(message)

async def main():
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            server = await nursery.start(serve_websocket, echo, 0)
            async with open_websocket(f"ws://127.0.0.1:{server.port}") as ws:
                await ws.send("hello")
                assert await ws.receive() == "hello"
        nursery.cancel_scope.cancel()

trio.run(main)
trio.run(main)
print(trio_fastws.__file__, trio_fastws.COMPILED)
"""


def run(folder: Path, **environment: str) -> tuple[str, list[str]]:
    """Run the program with the package in a folder; return both of its outputs."""
    # Nor is the coverage of a copy measured: it would count as that of the package.
    clean = {
        name: value
        for name, value in os.environ.items()
        if name != "TRIO_FASTWS_PURE" and not name.startswith("COVERAGE_")
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**clean, "PYTHONPATH": str(folder), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), done.stderr.splitlines()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with the package as an install without a compiler has it."""
    shutil.copytree(
        PACKAGE,
        tmp_path / "trio_fastws",
        ignore=shutil.ignore_patterns("*.so", "*.pyd", "*.c", "__pycache__"),
    )
    return tmp_path


def test_it_is_said_once_and_how_to_get_the_other(sources: Path) -> None:
    out, lines = run(sources)
    assert out == f"{sources / 'trio_fastws' / '__init__.py'} False"
    (line,) = lines
    assert "without its compiled modules, 2 to 6 times slower" in line
    assert "C compiler" in line


def test_who_has_chosen_it_is_not_told(sources: Path) -> None:
    out, lines = run(sources, TRIO_FASTWS_PURE="1")
    assert out.endswith(" False")
    assert lines == []


def test_a_compiled_build_says_nothing() -> None:
    if not trio_fastws.COMPILED:
        pytest.skip("nothing is compiled here")
    out, lines = run(PACKAGE.parent)
    assert out.endswith(" True")
    assert lines == []
