"""docs/cheatsheet.md names nothing that is not there, and leaves nothing out."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from typing import Any

import pytest
import trio

import trio_fastws
from tests.sources import ROOT
from trio_fastws import (
    CloseCode,
    ConnectionBroken,
    EventHandler,
    HandshakeRefused,
    OutgoingMessage,
    Request,
    Server,
    WebSocket,
    open_websocket,
    serve_websocket,
)

PAGE = (ROOT / "docs" / "cheatsheet.md").read_text(encoding="utf-8")
# What the page's names stand for: of these attributes and calls are looked up.
STAND_FOR: dict[str, Any] = {
    "ws": WebSocket,
    "ws.request": Request,
    "server": Server,
    "request": Request,
    "out": OutgoingMessage,
    "broken": ConnectionBroken(1000, ""),
    "refused": HandshakeRefused("", None),
    "nursery": trio.Nursery,
    "trio": trio,
}
# Values of the reader's own.
YOURS = frozenset(
    {
        *("context", "cookie", "data", "decide", "error", "feed", "handler", "head"),
        *("host", "listener", "message", "payload", "piece", "pieces", "port", "rest"),
        *("stream", "url", "user", "work"),
    }
)
OPTIONS = ("Limits", "Timeouts", "Sending", "PerMessageDeflate")


def _spans() -> list[str]:
    """Return the code of ours: of the table of other libraries its last column."""
    kept = [
        line.split(" | ")[-1] if line.count(" | ") > 1 else line
        for line in PAGE.splitlines()
    ]
    return re.findall(r"`([^`]+)`", "\n".join(kept))


def _parse(code: str) -> ast.Module:
    if code.startswith(("with ", "async ")):
        code += ": pass"
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    parsed: ast.Module = compile(code, "cheatsheet", "exec", flags)
    return parsed


def _find(node: ast.expr) -> Any:
    """Return what an expression of names stands for; None: a value of the reader's."""
    if ast.unparse(node) in STAND_FOR:
        return STAND_FOR[ast.unparse(node)]
    if isinstance(node, ast.Attribute):
        owner = _find(node.value)
        return None if owner is None else getattr(owner, node.attr)
    if not isinstance(node, ast.Name) or node.id in YOURS:
        return None
    if node.id.startswith("on_"):
        return getattr(EventHandler, node.id)
    assert not node.id.startswith("_")
    place = trio_fastws if hasattr(trio_fastws, node.id) else builtins
    return getattr(place, node.id)


def _check_call(call: ast.Call) -> None:
    function = _find(call.func)
    names = [keyword.arg for keyword in call.keywords]
    assert None not in names
    if function is None:
        return
    # Of a class what an instance has: `self` comes first.
    bound = isinstance(call.func, ast.Attribute) and not inspect.ismethod(function)
    itself = [None] if bound and call.func.value.id != "trio" else []
    if isinstance(call.func, ast.Name) and call.func.id.startswith("on_"):
        itself = [None]
    try:
        signature = inspect.signature(function)
    except ValueError:  # of a compiled class: the pure build has it
        assert trio_fastws.COMPILED
        return
    signature.bind(*itself, *call.args, **dict.fromkeys(map(str, names)))


@pytest.mark.parametrize("code", _spans())
def test_what_is_named_is_there(code: str):
    if code.endswith("="):
        parameters = [
            name
            for function in (serve_websocket, open_websocket)
            for name in inspect.signature(function).parameters
        ]
        assert code[:-1] in parameters
        return
    for node in ast.walk(_parse(code)):
        if isinstance(node, ast.Call):
            _check_call(node)
        elif isinstance(node, ast.Name | ast.Attribute):
            _find(node)


def test_a_name_that_is_not_there_is_found_out():
    for code in ("ws.recv()", "server.close()", "WebSocketServer"):
        with pytest.raises(AttributeError):
            test_what_is_named_is_there(code)
    for code in ("ws.ping(1, 2)", "Accept(header=())", "serve_websocket(handler)"):
        with pytest.raises(TypeError):
            test_what_is_named_is_there(code)


def test_the_options_have_these_defaults():
    rows = re.findall(r"^\| `\w+=` \| `([A-Z].*)` \|$", PAGE, re.MULTILINE)
    found = {}
    for row in rows:
        call = ast.parse(row, mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Name)
        found[call.func.id] = {
            keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords
        }
    assert found == {
        name: {
            parameter.name: parameter.default
            for parameter in inspect.signature(
                getattr(trio_fastws, name)
            ).parameters.values()
        }
        for name in OPTIONS
    }


def test_the_close_codes_are_these():
    (text,) = re.findall(r"^Close codes, .*?\n\n", PAGE, re.DOTALL | re.MULTILINE)
    codes = {int(code) for code in re.findall(r"\b1\d{3}\b", text)}
    assert codes <= set(CloseCode)


@pytest.mark.parametrize("name", ["ws", "server"])
def test_nothing_is_missing(name: str):
    members = {m for m in dir(STAND_FOR[name]) if not m.startswith("_")}
    assert {m for m in members if f"{name}.{m}" not in "\n".join(_spans())} == set()


def _names_of(*modules: Any) -> set[str]:
    """Return what modules, their classes and instances have, and all parameters."""
    found: dict[str, Any] = {}
    for module in modules:
        found |= vars(module)
    for value in list(found.values()):
        if inspect.isclass(value):
            found |= {name: getattr(value, name, None) for name in dir(value)}
            found["of " + value.__name__] = value.__init__
            if inspect.isfunction(value.__init__):
                found |= dict.fromkeys(value.__init__.__code__.co_names)
    parameters = (
        inspect.signature(value).parameters
        for value in found.values()
        if inspect.isfunction(value)
    )
    return set(found).union(*parameters)


@pytest.mark.parametrize(
    ("column", "modules"),
    [
        (0, ["trio_websocket"]),
        (
            1,
            [
                "websockets.trio.client",
                "websockets.trio.router",
                "websockets.trio.server",
                "websockets.exceptions",
            ],
        ),
    ],
    ids=["trio-websocket", "websockets.trio"],
)
def test_what_others_call_it(column: int, modules: list[str]):
    names = _names_of(*map(pytest.importorskip, modules))
    rows = re.findall(r"^\| (.*) \| (.*) \| .* \|$", PAGE, re.MULTILINE)
    table = PAGE.partition("\n## Coming from ")[2]
    # Every row of that table, and no other.
    assert len(rows) == len(re.findall(r"^\| ", table, re.MULTILINE)) > 15
    spans = re.findall(r"`([^`]+)`", " ".join(row[column] for row in rows))
    used = set(re.findall(r"\b[A-Za-z]\w*", " ".join(spans)))
    values = {"await", "deflate", "request", *dir(builtins)}
    assert used - YOURS - values <= names
