"""One command writes the performance page, from a run or from the file it left."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.measuring import BENCHMARKS, MARKS, run
from tests.programs import ROOT

pytestmark = MARKS

ABOUT = {
    "cpu": "a CPU",
    "cores": 2,
    "python": "3.11",
    "peers": ["trio 1"],
    "trio_fastws": "compiled",
    "rounds": 3,
    "seconds": 2.0,
}


def sample(**changes: Any) -> dict[str, Any]:
    return {"rate": 100.0, "p50_us": 10.0, "p99_us": 20.0, "seconds": 1.0} | changes


def row(server: str, **changes: Any) -> dict[str, Any]:
    told = {"ratio_rounds": {}, "memory_kib": {}, "note": ""}
    told |= {"failed": False, "broken": False}
    return {"server": server, "rounds": []} | told | changes


CELLS: dict[str, list[dict[str, Any]]] = {
    "100x128x16": [
        row("floor", rounds=[sample(worst_mean=1.0)]),
        row(
            "ours-callback",
            rounds=[sample(p99_us=p99, worst_mean=1.5) for p99 in (15.0, 20.0, 90.0)],
            ratio_rounds={"floor": [0.6, 0.7, 0.8]},
        ),
        row(
            "ours-async",
            note="refused: 3 errors; the first: it fell",
            failed=True,
            broken=True,
        ),
    ],
    "handshake": [
        row("floor", note="refused: the generator", failed=True),
        row("ours-callback", rounds=[sample(rate=36_000.0)]),
    ],
    "sleeper:1000x128x1": [
        row(
            "ours-async",
            rounds=[sample(late_ms={"p50": 0.1, "p99": 7.0, "most": 9.0})],
        )
    ],
    "memory": [
        row(
            "ours-callback",
            memory_kib={"open": 0.5, "echoed": 0.75, "open again": 0.5},
        )
    ],
}


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    told = [{"cell": cell, "rows": rows} for cell, rows in CELLS.items()]
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({"about": ABOUT, "cells": told}))
    return path


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def test_a_table_says_which_targets_were_met(module, figures: Path) -> None:
    results = module("results").Results.load(figures)
    table = module("targets").targets_table(results).as_markdown()
    for line in (
        "`100x128x16`, ours-callback: ratio to floor | >= 0.65 "
        "| 0.70 | 0.60 to 0.80 | yes",
        "`100x128x16`, ours-callback: p99 / p50 | <= 3.00 | 2.00 | 1.50 to 9.00 | yes",
        "`100x128x16`, ours-callback: worst / median connection | <= 3.00 "
        "| 1.50 | 1.50 to 1.50 | yes",
        "`100x128x16`, ours-async: ratio to floor | >= 0.10 | - | - | refused",
        "`handshake`, ours-callback: per CPU-s | >= 35.0 k | 36.0 k | - | yes",
        "`handshake`, ours-callback: ratio to floor | >= 0.56 "
        "| - | - | nothing to compare with",
        "`sleeper:1000x128x1`, ours-async: ms late, p99 | <= 5.00 | 7.00 | - | no",
        "`memory`, ours-callback: KiB, open | <= 0.60 | 0.50 | - | yes",
        "`memory`, ours-callback: KiB, after an echo | <= 0.60 | 0.75 | - | no",
        "`memory`, ours-callback: KiB open for the second time / the first | <= 1.10 "
        "| 1.00 | - | yes",
        "`broadcast`, ours-callback: ratio to floor | >= 1.00 | - | - | not measured",
    ):
        assert f"| {line} |\n" in table


def test_what_was_written_is_read_again(module, figures: Path, tmp_path: Path) -> None:
    results = module("results").Results.load(figures)
    again = tmp_path / "again.json"
    results.save(again)
    assert module("results").Results.load(again) == results


@pytest.mark.parametrize(
    ("samples", "failed", "full", "quick"),
    [
        ([{}, {}], {}, 0, 0),
        ([{}, {}, {"refused": "the generator"}], {}, 0, 0),
        ([{}, {"refused": "the generator"}], {}, 1, 0),  # no figure, but nothing wrong
        ([{}, {}, {"refused": "1 errors", "broken": True}], {}, 1, 1),
        ([], {"floor": "did not start"}, 1, 1),
    ],
)
def test_a_quick_run_fails_for_what_went_wrong_only(
    module,
    samples: list[dict[str, Any]],
    failed: dict[str, str],
    full: int,
    quick: int,
) -> None:
    found = [module("measure").Sample(**sample(**changes)) for changes in samples]
    rows = module("tables").compare({"floor": found}, failed)
    cell = module("cells").parse_cell("1x32x1")
    results = module("results").Results(ABOUT, [(cell, rows)])
    assert results.status(quick=False) == full
    assert results.status(quick=True) == quick


def test_a_page_keeps_what_is_outside_of_its_markers(module, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = "before\n<!-- begin: {} -->\nold\n<!-- end: {} -->\nafter\n"
    page.write_text("".join(text.format(name, name) for name in ("one", "two")))
    pages = module("page")
    assert pages.sections(page) == ["one", "two"]
    pages.replace_section(page, "two", "new\n")
    assert page.read_text() == (
        text.format("one", "one") + text.format("two", "two").replace("old", "\nnew\n")
    )
    once = page.read_text()
    pages.replace_section(page, "two", "new\n")
    assert page.read_text() == once


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!-- begin: one -->\n",
        "<!-- end: one -->\n<!-- begin: one -->\n",
        "<!-- begin: one -->\n<!-- end: one -->\n" * 2,
    ],
)
def test_a_page_without_its_markers_is_refused(
    module, tmp_path: Path, text: str
) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="<!-- begin: one --> and <!-- end: one -->"):
        module("page").replace_section(page, "one", "new")
    assert page.read_text() == text


def test_the_page_can_be_written_without_measuring(
    cache: Path, tmp_path: Path, figures: Path
) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "performance.md"
    page.write_text((ROOT / "docs" / "performance.md").read_text())
    options = ["--from", str(figures), "--page", str(page)]
    done = run(cache, *options, program="report.py")
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "| `100x128x16` | 100 | **0.70** (100) | - |" in text
    assert "| `sleeper:1000x128x1` | 0.10 / 7.00 / 9.00 |" in text
    assert "| `memory`, echoed | 0.75 |" in text
    assert "a CPU, 2 cores" in text
    assert "- `handshake`, floor: refused: the generator" in text
    assert "## How to tune" in text
    for picture in ("performance.svg", "performance-memory.svg"):
        assert "ours-callback" in (tmp_path / picture).read_text()


def test_figures_that_are_missing_are_told(cache: Path, tmp_path: Path) -> None:
    done = run(cache, "--from", str(tmp_path / "none.json"), program="report.py")
    assert done.returncode == 1
    assert "no figures in" in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!-- begin: rates -->\n", "must have once"),
        ("<!-- begin: ratios -->\n<!-- end: ratios -->\n", "nothing is named ratios"),
        (None, "No such file"),
    ],
)
def test_a_page_that_cannot_be_written_is_told_before_measuring(
    cache: Path, tmp_path: Path, text: str | None, words: str
) -> None:
    page = tmp_path / "page.md"
    if text:
        page.write_text(text)
    done = run(cache, "--page", str(page), program="report.py")
    assert done.returncode == 1
    assert words in done.stderr
    assert not done.stdout


def test_measuring_and_writing_is_one_command(cache: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page, figures = tmp_path / "page.md", tmp_path / "deep" / "figures.json"
    page.write_text("<!-- begin: rates -->\n<!-- end: rates -->\n")
    options = ["--cells", "3x128x2", "--servers", "floor,ours-callback"]
    times = ["--rounds", "1", "--seconds", "0.1"]
    where = ["--json", str(figures), "--page", str(page)]
    done = run(cache, *options, *times, *where, program="report.py")
    assert "Traceback" not in done.stderr, done.stderr
    assert "`3x128x2`" in page.read_text()
    (cell,) = json.loads(figures.read_text())["cells"]
    ours = cell["rows"][1]
    # On a busy machine a figure may be refused.
    assert len(ours["ratio_rounds"].get("floor", [0.0])) == 1


def test_a_section_named_after_a_program_is_its_output(
    module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = module("report")
    (tmp_path / "costs.py").write_text(
        "import pathlib, sys\n"
        "_, option, path, *more = sys.argv\n"
        "assert option == '--markdown'\n"
        "pathlib.Path(path).write_text(f'cost with {more}')\n"
    )
    monkeypatch.setattr(report, "HERE", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("<!-- begin: costs.py -->\n<!-- end: costs.py -->\n")
    report.run_others(page, quick=True)
    assert "\ncost with ['--quick']\n" in page.read_text()
    (tmp_path / "costs.py").write_text("raise SystemExit(3)")
    with pytest.raises(module("building").RigError, match=r"costs\.py failed"):
        report.run_others(page, quick=False)
    assert "cost with" in page.read_text()
