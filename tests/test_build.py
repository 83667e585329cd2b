"""The build: what is compiled, from which sources, and how it is left out."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import subprocess
import sys
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import pytest

import trio_fastws
from trio_fastws import PreparedMessage, Request
from trio_fastws._build import HOT

ROOT = Path(__file__).resolve().parent.parent
# Modules of C alone: without their extensions there is nothing to import.
LEAVES = ("_protocol._xor", "_transport._current", "_transport._syscalls")
# What `build_ext.py` writes into each extension: sha256sum's lines.
MADE_FROM = re.compile(rb"([0-9a-f]{64})  (trio_fastws/[\w/]+\.(?:py|pyx|pxd))\n")


def test_every_dependency_names_its_lowest_version() -> None:
    """CI runs the suite with these."""
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "lowest.py", "build", "test", "cli", "deflate"],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        assert re.fullmatch(r"[\w-]+==[\d.]+(; .+)?", line)


def _loaded() -> dict[str, Path]:
    """Return the extensions that an import takes, by name of the module."""
    specs = {
        name: find_spec(f"trio_fastws.{name}") for name in HOT if name not in LEAVES
    }
    if trio_fastws.COMPILED:
        specs |= {name: find_spec(f"trio_fastws.{name}") for name in LEAVES}
    origins = {name: Path(spec.origin) for name, spec in specs.items()}
    suffixes = tuple(EXTENSION_SUFFIXES)
    return {
        name: path for name, path in origins.items() if path.name.endswith(suffixes)
    }


def _find_stale(extension: Path, root: Path) -> list[str]:
    """Return which of the files that an extension was made from have changed."""
    recorded = MADE_FROM.findall(extension.read_bytes())
    assert recorded, f"{extension} does not say what it was made from: build it again"
    return [
        name
        for digest, name in ((d.decode(), n.decode()) for d, n in recorded)
        if not (root / name).exists()
        or hashlib.sha256((root / name).read_bytes()).hexdigest() != digest
    ]


def test_no_extension_is_older_than_its_source():
    for name, extension in _loaded().items():
        stale = _find_stale(extension, ROOT)
        assert stale == [], f"{name} is stale; `pip install -e .` builds it again"
        source = name.replace(".", "/") + (".pyx" if name in LEAVES else ".py")
        assert f"trio_fastws/{source}\n".encode() in extension.read_bytes()


def test_a_changed_source_is_found(tmp_path: Path):
    source = tmp_path / "trio_fastws" / "module.py"
    source.parent.mkdir()
    source.write_text("x = 1\n")
    extension = tmp_path / "module.so"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    extension.write_bytes(f"ELF\0{digest}  trio_fastws/module.py\n\0".encode())
    assert _find_stale(extension, tmp_path) == []
    source.write_text("x = 2\n")
    assert _find_stale(extension, tmp_path) == ["trio_fastws/module.py"]
    source.unlink()
    assert _find_stale(extension, tmp_path) == ["trio_fastws/module.py"]


def test_all_hot_modules_are_compiled_or_none():
    assert len(_loaded()) == (len(HOT) if trio_fastws.COMPILED else 0)


def test_the_environment_says_which_build_was_meant():
    # Set by CI: a missing compiler would make the suite test the wrong build.
    meant = os.environ.get("TRIO_FASTWS_REQUIRE_COMPILED") == "1"
    assert trio_fastws.COMPILED or not meant


def test_the_build_compiles_what_the_package_calls_hot():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extensions = project["tool"]["setuptools"]["ext-modules"]
    assert [extension["name"] for extension in extensions] == [
        f"trio_fastws.{name}" for name in HOT
    ]
    assert all(extension["optional"] for extension in extensions)


def test_an_extension_asks_for_a_level_and_nothing_else():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extensions = project["tool"]["setuptools"]["ext-modules"]
    assert {
        argument
        for extension in extensions
        for argument in extension.get("extra-compile-args", ())
    } == {"-O0", "-O1", "-O3"}
    assert all(
        (ROOT / source).exists()
        for extension in extensions
        for source in extension["sources"]
    )


def test_ci_names_only_tests_that_exist():
    # What it leaves out would be run again, without a word, when it has moved.
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<!/)tests/[\w./]+", script))
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_ci_knows_its_parts_and_no_other():
    done = subprocess.run(
        [ROOT / ".ci" / "run", "fast", "fats"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    parts = "readme fast suite peers package versions bench"
    assert f"no part 'fats'; there are: {parts}\n" in done.stderr
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for part in parts.split():
        assert f"`{part}`" in guide


def test_public_objects_are_pickled_in_either_build():
    # Cython is told which modules' objects are.
    request = Request("GET", "/room?id=1", {"Host": "example.com"})
    again = pickle.loads(pickle.dumps(request))
    assert (again.raw, again.target) == (request.raw, request.target)
    assert again.headers == request.headers
    message = PreparedMessage("hello", compress=False)
    again = pickle.loads(pickle.dumps(message))
    assert (again.message, again.compress) == ("hello", False)


@pytest.mark.parametrize("value", ["1", "yes"])
def test_the_pure_switch_ignores_extensions(value: str):
    program = (
        "import trio_fastws, trio_fastws._build as pure, importlib, sys\n"
        f"leaves = {['trio_fastws.' + name for name in LEAVES]}\n"
        "for name in pure.HOT:\n"
        "    if 'trio_fastws.' + name not in leaves:\n"
        "        print(importlib.import_module('trio_fastws.' + name).__file__)\n"
        "print(trio_fastws.COMPILED, any(name in sys.modules for name in leaves))\n"
    )
    environment = {**os.environ, "TRIO_FASTWS_PURE": value}
    *files, last = _run(program, environment).splitlines()
    assert len(files) == len(HOT) - len(LEAVES)
    assert [file for file in files if not file.endswith(".py")] == []
    assert last == "False False"


def test_the_pure_switch_is_off_at_zero():
    program = "import trio_fastws; print(trio_fastws.COMPILED)"
    clean = {k: v for k, v in os.environ.items() if k != "TRIO_FASTWS_PURE"}
    zero = {**clean, "TRIO_FASTWS_PURE": "0"}
    assert _run(program, zero) == _run(program, clean)


def _run(program: str, environment: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
