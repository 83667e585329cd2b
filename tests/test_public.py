"""The public face: what a user can import, and that type checkers see it."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from pathlib import Path

import pytest

import trio_fastws

ROOT = Path(__file__).resolve().parent.parent
FACE = ROOT / "trio_fastws" / "__init__.py"
# The whole face. A name more or less here is a decision.
NAMES = {
    "Accept",
    "COMPILED",
    "CloseCode",
    "CloseFrame",
    "ConnectionBroken",
    "DeflateParameters",
    "EventHandler",
    "HandshakeError",
    "HandshakeRefused",
    "Headers",
    "IncomingMessage",
    "InvalidURL",
    "Limits",
    "Listen",
    "OutgoingMessage",
    "PerMessageDeflate",
    "PreparedMessage",
    "Request",
    "Response",
    "Sending",
    "Server",
    "ServerStatistics",
    "Statistics",
    "Timeouts",
    "WebSocket",
    "open_websocket",
    "serve_websocket",
    "upgrade",
}


def _exports() -> dict[str, str | None]:
    """Return what the face imports: name, and what it says after ``as``."""
    return {
        alias.name: alias.asname
        for node in ast.parse(FACE.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_public_names():
    public = {name for name in _exports() if not name.startswith("_")}
    assert public == NAMES
    assert all(hasattr(trio_fastws, name) for name in NAMES)


def test_every_export_is_explicit():
    # `X as X`: what makes a name public for mypy --strict and pyright.
    assert [name for name, as_name in _exports().items() if name != as_name] == []


def test_every_class_and_function_is_documented():
    missing = [
        name
        for name in NAMES - {"COMPILED"}
        if not (getattr(trio_fastws, name).__doc__ or "").strip()
    ]
    assert missing == []


@pytest.mark.parametrize("name", ["serve_websocket", "open_websocket", "upgrade"])
def test_no_call_has_more_parameters_than_one_can_survey(name: str):
    # What belongs together is a group, such as `Limits` or `Listen`.
    assert len(inspect.signature(getattr(trio_fastws, name)).parameters) <= 12


def test_it_is_typed():
    assert (ROOT / "trio_fastws" / "py.typed").exists()


def test_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    version = project["project"]["version"]
    assert trio_fastws.__version__ == version
    changelog = (ROOT / "docs" / "changelog.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
