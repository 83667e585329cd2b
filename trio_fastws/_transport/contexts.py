# cython: annotation_typing=False
"""The context variables that the user's functions see and set, for each connection.

The functions of all connections run in the same few tasks, and a variable that one of
them sets would be seen by the next. So each runs in a context of its connection, which
keeps what `Contexts.leave` returns: None until something was set. Until then all share
one context, the *scratch*, a copy of that of whoever started it all; when a function
has changed it, it becomes that connection's own, and another copy takes its place. To
see that takes a comparison of two addresses.

Knows as well whether such a function is running in this thread, of any connection:
then there is nobody to catch what concerns another one.
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import TYPE_CHECKING

from .current import enter_context, leave_context, thread_ident, variables

if TYPE_CHECKING:
    from contextvars import Context

_thread = threading.local()


class Running:
    """For whom the user's functions run in one thread; None: none is running."""

    __slots__ = ("owner",)

    def __init__(self) -> None:
        self.owner: object = None


def _get_running() -> Running:
    running: Running | None = getattr(_thread, "running", None)
    if running is None:
        running = _thread.running = Running()
    return running


class Contexts:
    """What enters the contexts of all connections of one dispatcher."""

    __slots__ = ("_base", "_entered", "_scratch", "_unchanged", "running", "thread")

    def __init__(self) -> None:
        """What is set now is what every connection begins with."""
        self.thread: int = thread_ident()
        self.running: Running = _get_running()
        self._base = copy_context()
        self._renew()
        self._entered: Context = self._scratch

    def _renew(self) -> None:
        self._scratch: Context = self._base.copy()
        self._unchanged: int = variables(self._scratch)

    def check_thread(self) -> None:
        """Raise RuntimeError in any other thread than that of the dispatcher.

        By luck nothing would go wrong there, but under load bytes would be lost or
        sent twice.
        """
        if thread_ident() != self.thread:
            raise RuntimeError(
                "this belongs to the thread of its trio run; "
                "from another one call it by trio.from_thread.run_sync"
            )

    def enter(self, owner: object, context: Context | None) -> None:
        """Begin to run functions of the user's; always call `leave` afterwards.

        Args:
            owner: The connection they are about.
            context: What they have set so far, as `leave` returned it; None: nothing.
        """
        if context is None:
            context = self._scratch
        enter_context(context)
        self._entered = context
        self.running.owner = owner

    def leave(self, context: Context | None) -> Context | None:
        """End what `enter` began; return what they have set by now, to be kept.

        Args:
            context: What the owner keeps. None: nothing was set before.
        """
        self.running.owner = None
        leave_context(self._entered)
        if context is not None or variables(self._scratch) == self._unchanged:
            return context
        changed = self._scratch
        self._renew()
        return self._unless_unset(changed)

    def _unless_unset(self, context: Context) -> Context | None:
        # Many functions set everything back, for each message.
        return None if _are_alike(context, self._base) else context

    def capture(self) -> Context | None:
        """Return what the current task, which worked for an owner, has set."""
        return self._unless_unset(copy_context())

    def copy(self, context: Context | None) -> Context:
        """Return a context for a new task: a copy of what its owner has set so far."""
        found: Context = self._base if context is None else context
        return found.copy()


def _are_alike(one: Context, other: Context) -> bool:
    # By identity: what the user's values think of each other does not matter.
    if len(one) != len(other):
        return False
    missing = object()
    return all(other.get(name, missing) is value for name, value in one.items())
