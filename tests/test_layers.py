"""The house: imports point down only and in no circle, hot modules stay plain.

A `cimport` in a `.pxd` counts as an import, and so does one for types alone.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.sources import (
    C_SOURCES,
    FILES,
    MODULES,
    PACKAGE,
    imports,
    name_of,
    own_imports,
    parse,
)
from trio_fastws._build import HOT

# A module without a floor fails: give it one. Two on the same floor do not know each
# other.
FLOORS = {
    "_build": 0,
    "_layout": 0,
    "_version": 0,
    "_protocol": 1,
    "_transport": 1,
    "_config": 2,
    "_exceptions": 2,
    "_connection": 3,
    "_client": 4,
    "_server": 4,
    "__init__": 5,
    "rooms": 6,
    "compat": 6,
    "testing": 6,
    "_cli": 7,
    "__main__": 8,
}
FACE = FLOORS["__init__"]  # what `from trio_fastws import ...` gives
# What sans-I/O means: no sockets, no clock, no logging, no scheduler.
NOT_IN_PROTOCOL = {
    "asyncio",
    "logging",
    "select",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
}
HTTP_MODULES = {"body.py", "http_head.py", "request.py"}


def _top(name: str) -> str:
    # Of "_protocol.frames", relative to the package; "" is its face.
    return name.partition(".")[0] or "__init__"


def _may_import(importer: str, imported: str) -> bool:
    above, below = FLOORS[_top(importer)], FLOORS[_top(imported)]
    if above > FACE:
        # Rooms, adapters and the program have what every user has.
        return FACE <= below < above or _top(importer) == _top(imported)
    return below < above or _top(importer) == _top(imported)


def test_every_module_has_a_floor():
    assert {_top(name_of(file)) for file in FILES} <= FLOORS.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_down(file: Path):
    name = name_of(file)
    wrong = [other for other in own_imports(file) if not _may_import(name, other)]
    assert wrong == []


def _neighbours(folder: str) -> dict[str, set[str]]:
    """Return who of those side by side in a folder imports whom.

    A folder in it is one of them, whichever of its modules imports or is imported.
    """
    prefix = f"{folder}." if folder else ""
    found: dict[str, set[str]] = {}
    for file in FILES:
        importer = name_of(file)
        if importer.startswith(prefix):
            there = found.setdefault(_top(importer.removeprefix(prefix)), set())
            there |= {
                _top(imported.removeprefix(prefix))
                for imported in own_imports(file)
                if imported.startswith(prefix)
            }
    return {name: others - {name} for name, others in found.items()}


def _in_circles(arrows: dict[str, set[str]]) -> set[str]:
    """Return all from which arrows lead back to themselves."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        new = set(arrows[start])
        while new:
            found |= new
            new = {far for near in new for far in arrows.get(near, ())} - found
        return found

    return {name for name in arrows if name in reached(name)}


FOLDERS = sorted({name_of(file).rpartition(".")[0] for file in FILES})


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_lead_in_no_circle(folder: str):
    assert _in_circles(_neighbours(folder)) == set()


def test_a_circle_is_found():
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}
    assert _in_circles(arrows) == {"b", "c"}


def test_a_cimport_is_an_import():
    contract = PACKAGE / "_transport" / "contract.pxd"
    assert {"_layout", "_transport.wheel"} <= own_imports(contract)


@pytest.mark.parametrize(
    "module", sorted((PACKAGE / "_protocol").rglob("*.py")), ids=name_of
)
def test_the_protocol_needs_only_itself_and_the_standard_library(module: Path):
    allowed = sys.stdlib_module_names - NOT_IN_PROTOCOL | {"trio_fastws"}
    if module.name in HTTP_MODULES:
        allowed |= {"httptools"}
    assert {name.partition(".")[0] for name in imports(module)} <= allowed


def test_what_needs_httptools_is_listed():
    # A name in the list that imports it no more is to be taken from the list.
    needing = {module.name for module in MODULES if "httptools" in imports(module)}
    assert needing == HTTP_MODULES


@pytest.mark.parametrize(
    "name", [name for name in HOT if name not in {name_of(file) for file in C_SOURCES}]
)
def test_nothing_async_is_compiled(name: str):
    module = PACKAGE.joinpath(*name.split(".")).with_suffix(".py")
    kinds = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    assert [node for node in ast.walk(parse(module)) if isinstance(node, kinds)] == []
    source = module.read_text(encoding="utf-8").splitlines()
    assert source[0] == "# cython: annotation_typing=False"
    assert [line for line in source[1:] if "cython" in line.lower()] == []
