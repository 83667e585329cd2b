"""The benchmarks run: the C programs build, and a tiny cell yields believable rows."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="epoll and /proc are Linux's"
    ),
    pytest.mark.skipif(
        shutil.which("cc") is None and shutil.which("gcc") is None,
        reason="no C compiler",
    ),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run(cache: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / "run.py"), *options],
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def measure(cache: Path, cells: str) -> dict[str, dict[str, object]]:
    report = cache / "report.json"
    options = ["--servers", "floor", "--rounds", "1", "--seconds", "0.1"]
    done = run(cache, "--cells", cells, *options, "--json", str(report))
    assert "Traceback" not in done.stderr, done.stderr
    found = json.loads(report.read_text())
    return {cell["cell"]: cell["rows"][0] for cell in found["cells"]}


def test_every_answer_of_the_floor_is_verified(cache: Path) -> None:
    cells = ["1x32x1", "5x128x3-text", "2x70000x2", "3x5x2", "broadcast:5"]
    rows = measure(cache, ",".join(cells))
    assert list(rows) == cells
    for row in rows.values():
        (sample,) = row["rounds"]
        assert sample["messages"] > 0
        # On a busy machine a figure may be refused, but never for an error.
        assert "errors" not in sample["refused"]


def test_handshakes_and_memory_are_measured(cache: Path) -> None:
    rows = measure(cache, "handshake:4,memory:50")
    (sample,) = rows["handshake:4"]["rounds"]
    assert sample["messages"] > 0
    assert "errors" not in sample["refused"]
    assert {"open", "echoed", "closed"} <= rows["memory:50"]["memory_kib"].keys()


def test_wrong_answers_are_noticed(cache: Path) -> None:
    """What one echoes, a server that broadcasts sends to the others too."""
    measure(cache, "1x32x1")  # builds
    (loadgen,) = cache.glob("*/*/loadgen")
    (floor,) = cache.glob("*/*/floor")
    with subprocess.Popen([floor, "broadcast"], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split()[1].decode()
        try:
            done = subprocess.run(
                [loadgen, "--port", port, "--connections", "3", "--seconds", "0.1"],
                capture_output=True,
                check=False,
                timeout=60,
            )
        finally:
            server.kill()
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["event"] == "failed"
    assert "tagged" in report["first_error"] or "an answer" in report["first_error"]


@pytest.mark.parametrize(
    ("server", "generator", "believed"),
    [
        (0.99, 0.99, True),  # both full: the server was
        (0.60, 0.99, False),  # the generator was the limit
        (0.85, 0.96, True),
        (0.40, 0.35, True),  # one message in flight: the trip is the limit
        (0.00, 0.10, False),  # nothing was measured
    ],
)
def test_a_round_the_generator_limited_is_refused(
    monkeypatch: pytest.MonkeyPatch, server: float, generator: float, believed: bool
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    measure = importlib.import_module("measure")
    outcome = importlib.import_module("rig").Outcome(
        event="done",
        seconds=1.0,
        messages=1000,
        errors=0,
        first_error="",
        p50_us=1.0,
        p99_us=2.0,
        server_cpu=server,
        own_cpu=generator,
    )
    assert (measure.verdict(outcome) == "") is believed


@pytest.mark.parametrize("cell", ["0x1x1", "1x1", "memory:0", "nonsense"])
def test_an_unknown_cell_is_refused_with_the_grammar(cache: Path, cell: str) -> None:
    done = run(cache, "--cells", cell)
    assert done.returncode == 2
    assert "CONNECTIONSxPAYLOADxDEPTH" in done.stderr
