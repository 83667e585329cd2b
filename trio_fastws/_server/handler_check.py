"""Whether a handler can serve: said when serving begins, not to the first peer.

What cannot be known is left for the first connection, which logs it: whether a plain
function that returns something returns an awaitable.
"""

from __future__ import annotations

import dis
import inspect
from difflib import get_close_matches
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from trio_fastws._connection.handler import EventHandler

# Each hook, and what it is called with.
HOOKS = {
    "on_open": ("ws",),
    "on_message": ("ws", "message"),
    "on_ping": ("ws", "payload"),
    "on_pong": ("ws", "payload"),
    "on_drain": ("ws",),
    "on_close": ("ws",),
}
# As people write them by mistake: `onmessage`, `onMessage`.
_SQUEEZED = {name.replace("_", ""): name for name in HOOKS}
# One letter too many, missing, wrong or exchanged in the shortest name: 0.83. `on_join`
# has 0.67 of `on_open`, `on_message_sent` 0.82 of `on_message`.
_ALIKE = 0.83


def check_handler(handler: object) -> None:
    """Check that a handler can serve a connection.

    Raises:
        TypeError: It cannot; it says why.
    """
    if isinstance(handler, type):
        raise TypeError(f"handler must be an instance of {handler.__name__}, not it")
    if isinstance(handler, EventHandler):
        _check_hooks(handler)
        return
    if inspect.iscoroutine(handler):
        handler.close()  # it is not forgotten: this says more
        raise TypeError(
            f"handler must be the function itself: {handler.__name__}, "
            f"not {handler.__name__}(...)"
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


def _check_hooks(handler: EventHandler) -> None:
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
            raise TypeError(f"{where} must not yield: nobody would run it")
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
        # What a decorator wraps may take more, which the decorator gives.
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return  # of C, which does not say what it takes
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
