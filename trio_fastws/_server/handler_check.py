"""Checks of a handler when serving begins: the first peer is too late.

One thing shows only with the first connection, which logs it: whether a plain function
that returns something returns an awaitable.
"""

from __future__ import annotations

import dis
import inspect
from difflib import get_close_matches
from functools import partial
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakValueDictionary

from trio_fastws._connection.handler import EventHandler, has_hooks

# Each hook, and what it is called with.
HOOKS = {
    "on_open": ("ws",),
    "on_message": ("ws", "message"),
    "on_ping": ("ws", "payload"),
    "on_pong": ("ws", "payload"),
    "on_drain": ("ws",),
    "on_close": ("ws",),
    "on_error": ("ws", "error"),
}
# To recognise `onmessage` and `onMessage`, the usual mistakes.
_SQUEEZED = {name.replace("_", ""): name for name in HOOKS}
# What other libraries call them.
_ELSEWHERE = {
    "on_connect": "on_open",
    "on_data": "on_message",
    "on_text": "on_message",
    "on_binary": "on_message",
    "on_disconnect": "on_close",
}
# `difflib`'s ratio for one letter too many, missing, wrong or exchanged in the shortest
# name. Names that mean something else have less: `on_join` and `on_open` 0.67,
# `on_message_sent` and `on_message` 0.82.
_ALIKE = 0.83
# By their ids: an `Accept` has one for each connection, and to check it takes 70 us.
_checked: WeakValueDictionary[int, EventHandler[Any]] = WeakValueDictionary()


def check_handler(handler: object) -> None:
    """Check that a handler can serve a connection.

    Raises:
        TypeError: It cannot; the message says why.
    """
    if isinstance(handler, type):
        name = handler.__name__
        raise TypeError(f"handler is the class {name}; pass an instance: {name}()")
    if has_hooks(handler):
        if _checked.get(id(handler)) is not handler:
            _check_hooks(handler)
            _checked[id(handler)] = handler
        return
    if inspect.iscoroutine(handler):
        handler.close()  # no "was never awaited": this error says more
        name = handler.__name__
        raise TypeError(
            f"handler is the coroutine {name}(...); pass the function: {name}"
        )
    if not callable(handler):
        raise TypeError(
            f"handler must be an async function or an EventHandler, not {handler!r}"
        )
    function = _innermost(handler)
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"handler must not yield, as {handler!r} does")
    if _returns_nothing(function):
        raise TypeError(
            f"handler must be an async function, but {handler!r} is a plain one; "
            "write `async def`"
        )
    check_call("handler", handler, ("ws",))


def _check_hooks(handler: EventHandler[Any]) -> None:
    kind = type(handler).__name__
    for name, parameters in HOOKS.items():
        hook = getattr(handler, name)
        where = f"{kind}.{name}"
        if not callable(hook):
            raise TypeError(f"{where} must be a function, not {hook!r}")
        function = _innermost(hook)
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(
            function
        ):
            raise TypeError(
                f"{where} is async, but hooks are plain "
                "functions; start what waits with ws.start_soon"
            )
        if inspect.isgeneratorfunction(function):
            raise TypeError(f"{where} must not yield: hooks are called, not iterated")
        check_call(where, hook, parameters)
    for name in dir(handler):
        meant = None if name in HOOKS else _nearest_hook(name)
        if meant is not None and callable(getattr(handler, name, None)):
            raise TypeError(
                f"{kind}.{name} is no hook; did you mean {meant}? "
                "If it is a function of your own, rename it"
            )


def _nearest_hook(name: str) -> str | None:
    squeezed = name.lower().replace("_", "")
    if name.startswith("_") or not squeezed.startswith("on"):
        return None
    for other, hook in _ELSEWHERE.items():
        if squeezed == other.replace("_", ""):
            return hook
    found = get_close_matches(squeezed, _SQUEEZED, 1, _ALIKE)
    return _SQUEEZED[found[0]] if found else None


def check_call(name: str, function: Any, parameters: tuple[str, ...]) -> None:
    """Check that a function takes what it is called with.

    Args:
        name: What it is given as.
        function: The function, or any other callable.
        parameters: Names of what it is called with, for the message.

    Raises:
        TypeError: It does not.
    """
    try:
        # Not that of the wrapped function: a decorator may add arguments.
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return  # a function of C without a signature
    try:
        signature.bind(*parameters)
    except TypeError:
        wanted = ", ".join(parameters)
        raise TypeError(
            f"{name} is called with ({wanted}), but {function!r} takes {signature}"
        ) from None


def _innermost(function: Any) -> Any:
    # The function whose code runs when that is called, as far as one can know.
    while True:
        if isinstance(function, partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        elif not isinstance(function, FunctionType) and isinstance(
            type(function).__call__, FunctionType
        ):
            function = type(function).__call__
        else:
            return function


def _returns_nothing(function: object) -> bool:
    """Return whether a function is a plain one in which nothing but a constant returns.

    A plain function may return a coroutine, and often does: a decorator's, a lambda.
    """
    if not isinstance(function, FunctionType) or inspect.iscoroutinefunction(function):
        return False
    before = ""
    for step in dis.get_instructions(function):
        constant = before.startswith(("LOAD_CONST", "LOAD_SMALL_INT"))
        if step.opname == "RETURN_VALUE" and (step.is_jump_target or not constant):
            return False
        before = step.opname
    return True
