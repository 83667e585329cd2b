"""The package as text: what its files import, what its `.pxd` declare."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "trio_fastws"
MODULES = sorted(PACKAGE.rglob("*.py"))
STUBS = sorted(PACKAGE.rglob("*.pyi"))
DECLARATIONS = sorted(PACKAGE.rglob("*.pxd"))
C_SOURCES = sorted(PACKAGE.rglob("*.pyx"))
FILES = [*MODULES, *STUBS, *DECLARATIONS, *C_SOURCES]

Function = ast.FunctionDef | ast.AsyncFunctionDef

_IMPORT = re.compile(r"from \S+ c?import |c?import ")
_CIMPORT = re.compile(r"^(from \S+ )?c?import ")
_FUNCTION = re.compile(r"^(?:cdef|cpdef) [^=(]*?(\w+)\(")
_CLASS = re.compile(r"^cdef class (\w+)")
_VARIABLE = re.compile(r"^cdef (?:public |readonly )?(?:\w+ )*?(\w+(?:, \w+)*)$")


def name_of(file: Path) -> str:
    """Return "_protocol.frames" for its `.py` and for its `.pxd`."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


@cache
def parse(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def imports(file: Path) -> set[str]:
    """Return the full name of every module that is imported, typing included."""
    found = set()
    for whole, names in _import_statements(file):
        inner = {f"{whole}.{name}" for name in names}
        modules = {name for name in inner if _is_module(name)}
        found |= modules if inner and inner == modules else {whole, *modules}
    return found


def imported_names(module: Path) -> dict[str, str]:
    """Return what `from ... import` binds in a module, by the name that it has there.

    Of "Timer" this may be "trio_fastws._transport.wheel.Timer".
    """
    return {
        alias.asname or alias.name: f"{_whole(module, node)}.{alias.name}"
        for node in ast.walk(parse(module))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def own_imports(file: Path) -> set[str]:
    """Return what it imports of ours, relative to the package; "" is its face."""
    return {
        name.removeprefix("trio_fastws").removeprefix(".")
        for name in imports(file)
        if name.partition(".")[0] == "trio_fastws"
    }


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or any(
        path.with_suffix(suffix).exists() for suffix in (".py", ".pyx", ".pxd")
    )


def _import_statements(file: Path) -> Iterator[tuple[str, list[str]]]:
    # The full name of the module, and the names that are taken from it.
    if file.suffix in {".py", ".pyi"}:
        statements = list(ast.walk(parse(file)))
    else:
        # What Cython imports is written as Python does it, but for one letter.
        statements = [
            ast.parse(_CIMPORT.sub(r"\1import ", line)).body[0]
            for _, line in logical_lines(file)
            if _IMPORT.match(line)
        ]
    for node in statements:
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield _whole(file, node), [alias.name for alias in node.names]


def _whole(file: Path, node: ast.ImportFrom) -> str:
    package = ["trio_fastws", *file.relative_to(PACKAGE).parts[:-1]]
    above = package[: len(package) - node.level + 1] if node.level else []
    return ".".join([*above, *filter(None, [node.module])])


def logical_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield indentation and text of each statement; one in brackets is one line."""
    pending = ""
    for raw in file.read_text(encoding="utf-8").splitlines():
        line = raw.partition("#")[0].rstrip()
        pending = f"{pending} {line.strip()}" if pending else line
        if pending.strip() and pending.count("(") <= pending.count(")"):
            text = pending.strip()
            yield len(pending) - len(pending.lstrip()), text
            pending = ""
        elif not pending.strip():
            pending = ""


class Declared(NamedTuple):
    """What a `.pxd` says of one class, or with "" as its name of the module."""

    variables: set[str]
    # Of each function the names in its `cython.locals`.
    functions: dict[str, set[str]]


def declared(file: Path) -> dict[str, Declared]:
    """Return the declarations of a `.pxd`, by class."""
    found: dict[str, Declared] = {}
    owner, names = "", set[str]()
    for indent, line in logical_lines(file):
        if indent == 0:
            match = _CLASS.match(line)
            owner = match[1] if match else "extern" if "extern" in line else ""
        if owner == "extern" or _CLASS.match(line):
            continue
        there = found.setdefault(owner, Declared(set(), {}))
        if line.startswith("@cython.locals("):
            names = set(re.findall(r"(\w+) *=", line))
        elif match := _FUNCTION.match(line):
            there.functions[match[1]] = names
            names = set()
        elif match := _VARIABLE.match(line):
            there.variables.update(match[1].split(", "))
    return found


def functions_in(body: list[ast.stmt]) -> dict[str, Function]:
    """Return the functions of a module or class, by name; of overloads the last."""
    return {
        node.name: node
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
