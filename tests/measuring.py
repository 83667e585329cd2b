"""The programs of the benchmarks, as tests run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire import accept_value, field, upgrade_response

if TYPE_CHECKING:
    import socket

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="epoll and /proc are Linux's"
    ),
    pytest.mark.skipif(
        shutil.which("cc") is None and shutil.which("gcc") is None,
        reason="no C compiler",
    ),
]


def check_zlib() -> None:
    """Skip a test where the C programs cannot be built."""
    compiler = shutil.which("cc") or "gcc"
    included = subprocess.run(
        [compiler, "-E", "-include", "zlib.h", "-xc", "/dev/null"],
        capture_output=True,
        check=False,
    )
    if included.returncode and os.environ.get("TRIO_FASTWS_REQUIRE_PEERS") != "1":
        pytest.skip("no zlib.h")


def run(
    cache: Path, *options: str, program: str = "run.py", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of the benchmarks to its end."""
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / program), *options],
        env=os.environ | {"XDG_CACHE_HOME": str(cache)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def measure(
    cache: Path, cells: str, servers: str = "floor"
) -> dict[str, list[dict[str, Any]]]:
    """Measure cells for a moment; the rows of each."""
    report = cache / "report.json"
    options = ["--servers", servers, "--rounds", "1", "--seconds", "0.1"]
    done = run(cache, "--cells", cells, *options, "--json", str(report))
    assert "Traceback" not in done.stderr, done.stderr
    found = json.loads(report.read_text())
    return {cell["cell"]: cell["rows"] for cell in found["cells"]}


def built(cache: Path, name: str) -> Path:
    """One of the C programs."""
    measure(cache, "1x32x1")
    (program,) = cache.glob(f"*/*/{name}")
    return program


def shake(peer: socket.socket, extension: str = "") -> None:
    """Answer the opening handshake of the load generator."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(4096)
    accept = accept_value(field(head, "Sec-WebSocket-Key"))
    fields = [extension] if extension else []
    peer.sendall(upgrade_response(*fields, accept=accept))
