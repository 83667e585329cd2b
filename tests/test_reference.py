"""What a user finds with Tab is what docs/reference.md lists, no more and no less."""

from __future__ import annotations

import re

import pytest

import trio_fastws
from tests.serving import pair
from tests.sources import ROOT
from trio_fastws import (
    CloseCode,
    ConnectionBroken,
    HandshakeError,
    HandshakeRefused,
    InvalidURL,
    WebSocket,
)

REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
# Their attributes are seen on an instance alone.
ERRORS = (
    ConnectionBroken(1000, ""),
    HandshakeError(400, ""),
    HandshakeRefused("", None),
    InvalidURL(""),
)
# What of a WebSocket can be set: the compiler alone knows of attributes to read only.
WRITABLE = {"session"} if trio_fastws.COMPILED else {"session", "id"}


def _section(title: str) -> str:
    (text,) = re.findall(
        rf"^#+ {title}\n(.*?)(?=^#|\Z)", REFERENCE, re.MULTILINE | re.DOTALL
    )
    return text


def _names(text: str) -> list[str]:
    """Return what is called or named in backticks: ``await send(x)`` is "send"."""
    code = re.findall(r"`(?:await |async with )?(\w+)(?:\([^`]*\))?`", text)
    assert code
    return code


def _documented_face() -> set[str]:
    first_columns = re.findall(r"^\| (`.*?) \|", _section("Reference"), re.MULTILINE)
    return set(_names(" ".join(first_columns)))


def _documented_members() -> dict[str, set[str]]:
    rows = re.findall(
        r"^\| `(\w+)` \| (.*) \|$",
        _section("What the other classes have"),
        re.MULTILINE,
    )
    found = {name: set(re.findall(r"`(?:await )?(\w+)", what)) for name, what in rows}
    # Words of the prose, which are no members.
    found["IncomingMessage"] -= {"async", "trio"}
    found["InvalidURL"] -= {"ValueError"}
    websocket = _section("WebSocket")
    calls = re.findall(r"^\| (`.*?) \|", websocket, re.MULTILINE)
    attributes = re.findall(
        r"^Attributes: (.*?)\.$", websocket, re.MULTILINE | re.DOTALL
    )
    found["WebSocket"] = set(_names(" ".join([*calls, *attributes])))
    return found


def _members(found: type | BaseException) -> set[str]:
    """Return the public names of a class, or an error, that are ours."""
    kind = found if isinstance(found, type) else type(found)
    definers = {
        name: next(base for base in kind.__mro__ if name in vars(base))
        for name in dir(kind)
        if not name.startswith("_")
    }
    names = {
        name
        for name, base in definers.items()
        if base.__module__.startswith("trio_fastws")
    }
    if not isinstance(found, type):
        names |= {name for name in vars(found) if not name.startswith("_")}
    return names


CLASSES = {
    name: value
    for name, value in vars(trio_fastws).items()
    if isinstance(value, type) and not name.startswith("_")
}


def test_the_reference_lists_the_public_face():
    public = {name for name in dir(trio_fastws) if not name.startswith("_")}
    assert public == _documented_face()


def test_the_reference_lists_every_class():
    assert _documented_members().keys() == CLASSES.keys()


@pytest.mark.parametrize("name", CLASSES)
def test_the_reference_lists_every_member(name: str):
    errors = {type(error).__name__: error for error in ERRORS}
    members = _members(errors.get(name, CLASSES[name]))
    assert members == _documented_members()[name]


def test_the_reference_has_the_numbers_of_close_codes():
    rows = re.findall(r"`([A-Z_]+)` (\d{4})", REFERENCE)
    assert {name: int(code) for name, code in rows} == CloseCode.__members__


async def test_what_a_websocket_lets_one_set():
    names = [name for name in dir(WebSocket) if not name.startswith("_")]
    async with pair() as (ws, _):
        writable = []
        for name in names:
            value = getattr(ws, name)
            try:
                setattr(ws, name, value)
            except AttributeError:
                continue
            writable.append(name)
    assert set(writable) == WRITABLE
