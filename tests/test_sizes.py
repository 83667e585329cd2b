"""Nothing grows too large: files, functions, classes, and what they inherit.

A size is a question, not a goal: when something is too long, look for the object that
is missing. What is larger is listed with its size, and the lists only ever shrink: an
entry that is not needed, or says more than there is, fails as one that is exceeded.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import trio_fastws
from tests.sources import (
    MODULES,
    PACKAGE,
    Function,
    functions_in,
    imported_names,
    name_of,
    parse,
)
from trio_fastws import WebSocket
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._transport.epoll import SocketLink

MAX_FILE, MAX_FUNCTION, MAX_METHODS, MAX_INHERITED = 400, 60, 20, 60
LARGER_FILES: dict[str, int] = {
    # The public face is one class; more than half of it are its docstrings.
    "_connection.websocket": 555,
}
LARGER_CLASSES = {
    # What one object has to be: a socket's owner, what receives, and how it ends.
    "_connection.connection.Connection": 26,
    "_connection.outbox.Outbox": 27,
    "_connection.sending.Sender": 21,
    # The public face.
    "_connection.websocket.WebSocket": 33,
    # What a link has to be, and its two tasks.
    "_transport.stream_link.StreamLink": 21,
}
# Methods over the whole inheritance of a class, distinct names.
LARGER_WITH_BASES = {
    "_connection.websocket.WebSocket": 80,
}

# Bytes of the objects that each idle connection has, compiled, without Python's 16 for
# the collector. Lower a number with the change that earns it.
OBJECT_SIZES = {WebSocket: 232, Endpoint: 200, SocketLink: 64}

Classes = dict[str, ast.ClassDef]


def _lines(function: Function) -> int:
    # Without its docstring: the contract may be as long as it needs to be.
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def _classes() -> Classes:
    """Return every class by its full name, "_transport.wheel.Timer"."""
    return {
        f"{name_of(module)}.{node.name}": node
        for module in MODULES
        for node in ast.walk(parse(module))
        if isinstance(node, ast.ClassDef)
    }


def _bases(name: str, classes: Classes) -> list[str]:
    """Return the full names of the bases that are classes of ours."""
    module = name.rpartition(".")[0]
    imported = imported_names(PACKAGE.joinpath(*module.split(".")).with_suffix(".py"))
    found = []
    for expression in classes[name].bases:
        # `Base` or `Base[int]`
        generic = isinstance(expression, ast.Subscript)
        base = expression.value if generic else expression
        if isinstance(base, ast.Name):
            full = imported.get(base.id, f"trio_fastws.{module}.{base.id}")
            found.append(full.removeprefix("trio_fastws."))
    return [base for base in found if base in classes]


def _with_bases(name: str, classes: Classes) -> set[str]:
    """Return the names of all methods that instances of a class have from us."""
    names = set(functions_in(classes[name].body))
    return names.union(*(_with_bases(base, classes) for base in _bases(name, classes)))


def test_files_stay_small():
    sizes = {
        name_of(module): len(module.read_text(encoding="utf-8").splitlines())
        for module in MODULES
    }
    larger = {name: size for name, size in sizes.items() if size > MAX_FILE}
    assert larger == LARGER_FILES


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_functions_stay_small(module: Path):
    functions = [node for node in ast.walk(parse(module)) if isinstance(node, Function)]
    sizes = {function.name: _lines(function) for function in functions}
    assert {name: size for name, size in sizes.items() if size > MAX_FUNCTION} == {}


def test_classes_stay_small():
    sizes = {name: len(functions_in(c.body)) for name, c in _classes().items()}
    larger = {name: size for name, size in sizes.items() if size > MAX_METHODS}
    assert larger == LARGER_CLASSES


def test_classes_stay_small_with_what_they_inherit():
    classes = _classes()
    sizes = {name: len(_with_bases(name, classes)) for name in classes}
    larger = {name: size for name, size in sizes.items() if size > MAX_INHERITED}
    assert larger == LARGER_WITH_BASES


def test_inherited_methods_are_counted():
    classes = _classes()
    inherited = _with_bases("_connection.websocket.WebSocket", classes)
    assert {"send_nowait", "_on_data", "_on_deadline"} <= inherited


@pytest.mark.skipif(not trio_fastws.COMPILED, reason="sizes of the compiled build")
@pytest.mark.parametrize("kind", OBJECT_SIZES, ids=lambda kind: kind.__name__)
def test_what_an_idle_connection_has_stays_small(kind: type):
    assert kind.__basicsize__ <= OBJECT_SIZES[kind]
