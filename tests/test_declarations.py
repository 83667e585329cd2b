"""What a `.pxd` declares is what the `.py` beside it has: Cython checks half of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.sources import DECLARATIONS, Declared, declared, functions_in, name_of, parse

# With a module of Python beside it; the others declare what a `.pyx` defines.
PAIRED = [file for file in DECLARATIONS if file.with_suffix(".py").exists()]

pytestmark = pytest.mark.parametrize("file", PAIRED, ids=name_of)


def _pairs(file: Path) -> list[tuple[str, Declared, ast.Module | ast.ClassDef]]:
    """Return what is declared together with the module or class that it is about."""
    module = parse(file.with_suffix(".py"))
    places = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    return [
        (name, there, places[name] if name else module)
        for name, there in declared(file).items()
    ]


def _set_on_self(place: ast.AST) -> set[str]:
    return {
        node.attr
        for node in ast.walk(place)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def _bound(place: ast.AST) -> set[str]:
    """Return the names that are arguments, assigned, or imported."""
    found = set()
    for node in ast.walk(place):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
    return found


def _slots(place: ast.ClassDef) -> set[str]:
    (value,) = (
        node.value
        for node in place.body
        if isinstance(node, ast.Assign)
        and [getattr(target, "id", "") for target in node.targets] == ["__slots__"]
    )
    slots = ast.literal_eval(value)
    return {slots} if isinstance(slots, str) else set(slots)


def test_every_attribute_is_set_by_its_class_and_has_a_slot(file: Path):
    for name, there, place in _pairs(file):
        if isinstance(place, ast.ClassDef):
            # Python sets that one.
            variables = there.variables - {"__weakref__"}
            assert variables <= _set_on_self(place), f"{name} never sets one"
            assert there.variables == _slots(place), f"{name}: slots differ"


def test_every_number_of_the_module_has_its_value(file: Path):
    for _, there, place in _pairs(file):
        if isinstance(place, ast.Module):
            assert there.variables <= _bound(place)


def test_every_typed_local_is_a_local(file: Path):
    # Cython takes a name that the function has not, and types nothing.
    for name, there, place in _pairs(file):
        functions = functions_in(place.body)
        for function, typed in there.functions.items():
            assert typed <= _bound(functions[function]), f"{name}.{function}"
