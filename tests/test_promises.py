"""docs/promises.md names tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.sources import ROOT, functions_in, parse

PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?!promise \||--)(.+) \| (.+) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("promise", "tests"), ROWS)
def test_the_tests_of_a_promise_exist(promise: str, tests: str):
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
    assert ", ".join(f"`{file}::{name}`" for file, name in named) == tests
    for file, name in named:
        assert f"test_{name}" in functions_in(parse(ROOT / "tests" / file).body)


def test_no_promise_stands_outside_a_table():
    lines = [line for line in PAGE.splitlines() if "::" in line]
    assert len(lines) == len(ROWS) > 50
