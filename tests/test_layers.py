"""The house: imports point down, hot modules stay plain, nothing grows too large."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trio_fastws._build import HOT

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "trio_fastws"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The first prefix that fits counts. A module without a floor fails: give it one.
FLOORS = {
    "_build": 0,
    "_layout": 0,
    "_version": 0,
    "_protocol": 1,
    "_transport": 2,
    "_config": 3,
    "_exceptions": 3,
    "_connection": 4,
    "_client": 5,
    "_server": 5,
    "rooms": 6,
    "compat": 6,
    "testing": 6,
    "_cli": 7,
    "__main__": 7,
}
# Modules of C alone.
LEAVES = ("_protocol._xor", "_transport._current", "_transport._syscalls")
FACE = 5  # what `from trio_fastws import ...` gives stands on this floor
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
HTTP_MODULES = {"body.py", "http_head.py", "request.py", "response.py"}

MAX_FILE, MAX_FUNCTION, MAX_METHODS = 400, 60, 20
# Larger than the house allows, and by how much at most. It only ever shrinks.
LARGER_FILES: dict[str, int] = {}
LARGER_CLASSES = {
    "Connection": 27,
    "Input": 21,
    "Server": 21,
    "WebSocket": 26,
}


def _name(module: Path) -> str:
    path = module.relative_to(PACKAGE).with_suffix("")
    return ".".join(path.parts)


def _floor(name: str) -> int | None:
    # Of "_protocol.frames", relative to the package; "" and "__init__": its face.
    if name in {"", "__init__"}:
        return FACE
    top = name.partition(".")[0]
    return next((FLOORS[key] for key in FLOORS if top.startswith(key)), None)


@cache
def _parse(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def _imports(module: Path) -> Iterator[str]:
    """Yield the full name of everything that a module imports, typing included."""
    package = ["trio_fastws", *module.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(_parse(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield name if _exists(name) else base


def _exists(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def _own(module: Path) -> list[str]:
    # What it imports of ours, relative to the package.
    return [
        name.removeprefix("trio_fastws").removeprefix(".")
        for name in _imports(module)
        if name.partition(".")[0] == "trio_fastws"
    ]


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_imports_point_down(module: Path):
    floor = _floor(_name(module))
    assert floor is not None, f"{module.name} has no floor in FLOORS"
    upward = [name for name in _own(module) if (_floor(name) or 0) > floor]
    assert upward == []


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_only_the_upper_floors_use_the_public_face(module: Path):
    floor = _floor(_name(module))
    assert floor is not None
    assert floor > FACE or "" not in _own(module)


@pytest.mark.parametrize(
    "module", sorted((PACKAGE / "_protocol").glob("*.py")), ids=_name
)
def test_the_protocol_needs_only_itself_and_the_standard_library(module: Path):
    allowed = sys.stdlib_module_names - NOT_IN_PROTOCOL
    if module.name in HTTP_MODULES:
        allowed |= {"httptools"}
    foreign = {
        name
        for name in _imports(module)
        if name.partition(".")[0] not in allowed
        and not name.startswith(("trio_fastws._protocol", "trio_fastws._layout"))
    }
    assert foreign == set()


@pytest.mark.parametrize(
    "module", sorted((PACKAGE / "_transport").glob("*.py")), ids=_name
)
def test_the_transport_never_sees_a_frame(module: Path):
    assert [name for name in _own(module) if name.startswith("_protocol")] == []


@pytest.mark.parametrize(
    "name",
    [name for name in HOT if not name.endswith(LEAVES)],
)
def test_nothing_async_is_compiled(name: str):
    module = PACKAGE.joinpath(*name.split(".")).with_suffix(".py")
    kinds = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    assert [node for node in ast.walk(_parse(module)) if isinstance(node, kinds)] == []
    source = module.read_text(encoding="utf-8").splitlines()
    assert source[0] == "# cython: annotation_typing=False"
    assert [line for line in source[1:] if "cython" in line.lower()] == []


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_files_stay_small(module: Path):
    lines = len(module.read_text(encoding="utf-8").splitlines())
    assert lines <= LARGER_FILES.get(module.name, MAX_FILE)


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_functions_and_classes_stay_small(module: Path):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(_parse(module)):
        if isinstance(node, functions):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = node.end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= MAX_FUNCTION, f"{node.name} has {lines} lines"
        elif isinstance(node, ast.ClassDef):
            methods = sum(isinstance(part, functions) for part in node.body)
            limit = LARGER_CLASSES.get(node.name, MAX_METHODS)
            assert methods <= limit, f"{node.name} has {methods} methods"


def test_the_exceptions_are_needed():
    lines = {m.name: len(m.read_text(encoding="utf-8").splitlines()) for m in MODULES}
    assert [name for name in LARGER_FILES if lines.get(name, 0) <= MAX_FILE] == []
