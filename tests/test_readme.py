"""Every page: links lead somewhere, code compiles, the README's program runs."""

from __future__ import annotations

import ast
import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#]+)[^)]*\)")
ANCHOR = re.compile(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)")
INSTALL = re.compile(
    r"pip install(?:\s+--?[\w-]+)*\s+['\"]?(\w[\w.-]*|\.)(?:\[([\w,-]+)\])?"
)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    # In code, brackets and parentheses are no link.
    text = PYTHON.sub("", page.read_text(encoding="utf-8"))
    targets = LINK.findall(text)
    assert [link for link in targets if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_a_heading(page: Path):
    for name, anchor in ANCHOR.findall(page.read_text(encoding="utf-8")):
        target = page.parent / name if name else page
        headings = re.findall(
            r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE
        )
        anchors = [
            re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in headings
        ]
        assert anchor in anchors, (name, anchor)


def test_what_the_readme_points_to_is_there_wherever_it_is_read():
    # The package index shows it too, and has no files beside it.
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert LINK.findall(readme) == []
    pages = set(re.findall(r"`((?:docs/)?[\w/]+\.md)`", readme))
    assert {str(page.relative_to(ROOT)) for page in PAGES} - {"README.md"} == pages


def test_the_readme_names_all_dependencies():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    for requirement in (
        *project["dependencies"],
        *extras["cli"],
        *extras["deflate"],
        *PYPROJECT["build-system"]["requires"],
    ):
        name = re.split("[<>=]", requirement)[0]
        assert re.search(rf"\b{name}\b", readme), requirement


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_to_be_installed_exists(page: Path):
    found = INSTALL.findall(page.read_text(encoding="utf-8"))
    for what, extras in found:
        assert what in (".", PYPROJECT["project"]["name"])
        named = set(extras.split(",")) - {""}
        assert named <= set(PYPROJECT["project"]["optional-dependencies"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_is_python(page: Path):
    for code in PYTHON.findall(page.read_text(encoding="utf-8")):
        # A fragment may await.
        compile(code, page.name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_program_in_the_readme_runs():
    (program,) = PYTHON.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    for port in re.findall(r"(?m)serve_websocket, .*, (\d+)\)", program):
        program = program.replace(port, str(_free_port()))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["HELLO", "Hello"]
    assert done.returncode == 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
