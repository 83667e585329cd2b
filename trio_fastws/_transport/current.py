"""The current thread and context: the readable twin of `_current`.

Only C can enter and leave a context; Python has `Context.run`, which needs a function
to call in between.
"""

from __future__ import annotations

import gc
from contextlib import suppress
from ctypes import PYFUNCTYPE, c_int, py_object, pythonapi
from threading import get_ident
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context


# Returns the identifier of the calling thread.
thread_ident = get_ident

_OnContext = PYFUNCTYPE(c_int, py_object)

# Enters a context: what follows sees and sets its variables. RuntimeError: it is
# entered already.
enter_context: Callable[[Context], object] = _OnContext(("PyContext_Enter", pythonapi))
# Leaves a context; the one before is current again. RuntimeError: it was not entered
# last.
leave_context: Callable[[Context], object] = _OnContext(("PyContext_Exit", pythonapi))


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
