# cython: annotation_typing=False
"""Whose context variables the user's functions see and set: each connection its own.

The functions of all connections run in the same few tasks, and a variable that one of
them sets would be seen by the next. So each runs in a context of its connection: an
empty place until something was set. Until then all share one, the *scratch*, a copy of
the context of whoever started it all; when a function has changed it, it becomes that
connection's own, and another copy takes its place. To see that costs a comparison of
two addresses.

Owns as well who knows whether such a function is running in this thread, of any
connection: then nobody is there to catch what concerns another one.
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import TYPE_CHECKING

from .current import enter_context, leave_context, thread_ident, variables
from .wheel import Timer

if TYPE_CHECKING:
    from contextvars import Context

_thread = threading.local()


class ContextOwner(Timer):
    """What functions of the user's are about."""

    __slots__ = ("_context",)

    def _init_context(self) -> None:
        self._init_timer()
        # What they have set so far; None: nothing.
        self._context: Context | None = None


class Running:
    """What runs in one thread: the functions of which owner, or of none."""

    __slots__ = ("owner",)

    def __init__(self) -> None:
        self.owner: ContextOwner | None = None


def _get_running() -> Running:
    running: Running | None = getattr(_thread, "running", None)
    if running is None:
        running = _thread.running = Running()
    return running


class Contexts:
    """The contexts of the owners of one turn."""

    __slots__ = ("_base", "_entered", "_scratch", "_thread", "_unchanged", "running")

    def __init__(self) -> None:
        """Begin: what is set now is what every owner begins with."""
        self._thread: int = thread_ident()
        self.running: Running = _get_running()
        self._base = copy_context()
        self._renew()
        self._entered: Context = self._scratch

    def _renew(self) -> None:
        self._scratch: Context = self._base.copy()
        self._unchanged: int = variables(self._scratch)

    def check_thread(self) -> None:
        """Raise RuntimeError in any other thread than that of the turn.

        By luck nothing would go wrong there, but under load bytes would be lost or
        sent twice.
        """
        if thread_ident() != self._thread:
            raise RuntimeError(
                "this belongs to the thread of its trio run; "
                "from another one call it by trio.from_thread.run_sync"
            )

    def enter(self, owner: ContextOwner) -> None:
        """Begin to run functions of an owner; always `leave` behind it."""
        context = owner._context
        if context is None:
            context = self._scratch
        enter_context(context)
        self._entered = context
        self.running.owner = owner

    def leave(self, owner: ContextOwner) -> None:
        """End it; what they have set is the owner's."""
        self.running.owner = None
        leave_context(self._entered)
        if owner._context is None and variables(self._scratch) != self._unchanged:
            self._keep(owner, self._scratch)
            self._renew()

    def _keep(self, owner: ContextOwner, context: Context) -> None:
        # Not if everything was set back: many do so for each message.
        if not _are_alike(context, self._base):
            owner._context = context

    def keep_current(self, owner: ContextOwner) -> None:
        """Keep the current task's context for an owner: it has worked for it."""
        self._keep(owner, copy_context())

    def get(self, owner: ContextOwner) -> Context:
        """Return a context for a new task of an owner."""
        context: Context = self._base if owner._context is None else owner._context
        return context.copy()


def _are_alike(one: Context, other: Context) -> bool:
    # By identity: what the user's values think of each other does not matter.
    if len(one) != len(other):
        return False
    missing = object()
    return all(other.get(name, missing) is value for name, value in one.items())
