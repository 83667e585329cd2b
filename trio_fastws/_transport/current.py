"""The current thread and context: the readable twin of `_current`.

Only C can enter and leave a context; Python has `Context.run`, which needs a function
to call in between.
"""

from __future__ import annotations

import gc
import threading
from contextlib import suppress
from ctypes import py_object, pythonapi
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextvars import Context


def thread_ident() -> int:
    """Return the identifier of the calling thread."""
    return threading.get_ident()


def enter_context(context: Context) -> None:
    """Enter ``context``: what follows sees and sets its variables.

    Raises:
        RuntimeError: It is entered already.
    """
    pythonapi.PyContext_Enter(py_object(context))


def leave_context(context: Context) -> None:
    """Leave ``context``; the one before is current again.

    Raises:
        RuntimeError: It was not entered last.
    """
    pythonapi.PyContext_Exit(py_object(context))


def variables(context: Context) -> int:
    """Return a number that changes whenever a variable is set in ``context``.

    It is the address of the context's mapping, which is immutable and replaced with
    each change. A copy of the context has the same one. To compare contexts themselves
    would compare the user's values, and call their `__eq__`.

    Args:
        context: Not entered now.
    """
    return id(gc.get_referents(context)[-1])


with suppress(ImportError):  # where there was no compiler
    from ._current import (
        enter_context as enter_context,
        leave_context as leave_context,
        thread_ident as thread_ident,
        variables as variables,
    )
