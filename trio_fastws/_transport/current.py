"""What runs now, thread and context: the readable twin of `_current`.

A context can be entered and left by C alone; Python has only `Context.run`, which
wants a function to call in between.
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
    """Return the number of the calling thread; the main thread has one, too."""
    return threading.get_ident()


def enter_context(context: Context) -> None:
    """Enter ``context``: what follows sees and sets its variables.

    Raises:
        RuntimeError: It is entered already.
    """
    pythonapi.PyContext_Enter(py_object(context))


def leave_context(context: Context) -> None:
    """Leave ``context`` for the one before.

    Raises:
        RuntimeError: It is not the one that was entered last.
    """
    pythonapi.PyContext_Exit(py_object(context))


def variables(context: Context) -> int:
    """Return what changes whenever a variable is set in ``context``.

    The address of its mapping, which is never changed but replaced. A copy of the
    context has the same one. To compare contexts would compare the user's values,
    and call what they have to say to that.

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
