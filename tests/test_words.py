"""One word for one idea: what was renamed does not come back under its old name."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.sources import FILES, MODULES, ROOT, parse

# The old name and the one that took its place.
RENAMED = {
    "Reception": "Admission",
    "Service": "Shared",
    "Turn": "Dispatcher",
    "event_fd": "polled_fd",
    "event_mask": "polled_mask",
    "make_service": "Shared",
    "on_continue": "_on_deferred",
    "put_off": "defer",
}
# The changelog tells of releases that had the old names.
PAGES = sorted({*(ROOT / "docs").glob("*.md")} - {ROOT / "docs" / "changelog.md"})
TESTS = sorted({*(ROOT / "tests").rglob("*.py")} - {Path(__file__)})
# English and HTTP have a use for these.
ORDINARY = {"Service", "Turn"}


def _relative(file: Path) -> str:
    return str(file.relative_to(ROOT))


def _found(file: Path, names: set[str]) -> set[str]:
    """Return which of the names stand in a file, as words or as parts of a name."""
    text = file.read_text(encoding="utf-8")
    return {name for name in names if re.search(rf"(?<![a-z]){name}(?![a-z])", text)}


@pytest.mark.parametrize("file", FILES, ids=_relative)
def test_the_package_has_no_old_name(file: Path):
    assert _found(file, {*RENAMED}) == set()


@pytest.mark.parametrize("file", [*PAGES, *TESTS], ids=_relative)
def test_pages_and_tests_have_no_old_name(file: Path):
    assert _found(file, {*RENAMED} - ORDINARY) == set()


def test_no_new_name_is_an_old_one():
    assert RENAMED.keys().isdisjoint(RENAMED.values())


@cache
def _names() -> set[str]:
    """Return every name that the package's modules define or use."""
    found = {file.stem for file in FILES}
    for node in (node for module in MODULES for node in ast.walk(parse(module))):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Attribute():
                found.add(node.attr)
            case ast.Name():
                found.add(node.id)
    return found


@pytest.mark.parametrize("file", FILES, ids=_relative)
def test_what_comments_refer_to_is_there(file: Path):
    # `_private` names, and those of a class or module: `Sender._balance`.
    text = file.read_text(encoding="utf-8")
    references = re.findall(r"(?<!`)`(_\w+|[A-Z]\w+\.\w+)`(?!`)", text)
    gone = {
        reference for reference in references if not {*reference.split(".")} <= _names()
    }
    assert gone == set()
