# cython: annotation_typing=False
"""When freed memory goes back to the system: a second after much less is held.

Owns the decision, not the way (see `memory`): a process that is busy again within that
second keeps what it has.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .memory import give_back
from .wheel import Timer

if TYPE_CHECKING:
    from .contract import Dispatcher

# When the memory that is held has fallen by so many bytes for so many seconds, trimming
# is worth a thread and a walk through the heap.
WORTH_GIVING_BACK = 32 * 2**20
GIVE_BACK_SECONDS = 1.0


class Peak(Timer):
    """How much memory was held at most, and when freed memory is to be given back.

    Attributes:
        held: Bytes held now.
        most: The most since memory was given back.
        recent: The most since it was planned to give some back.
        planned: When that is due, in seconds; ``math.inf``: it is not planned.
    """

    __slots__ = ("_dispatcher", "held", "most", "planned", "recent")

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._init_timer()
        self._dispatcher: Dispatcher = dispatcher
        self.held: int = 0
        self.most: int = 0
        self.recent: int = 0
        self.planned: float = math.inf

    def plan(self) -> None:
        """Plan to give memory back: much less is held now than at most."""
        if self.planned == math.inf:
            self.recent = self.held
            self.planned = self._dispatcher.time() + GIVE_BACK_SECONDS
            self._dispatcher.schedule(self, self.planned)

    def _on_deadline(self, now: float) -> float:
        """See `Timer._on_deadline`."""
        if now < self.planned:
            return self.planned
        self.planned = math.inf
        # If as much was held again meanwhile, it is in use.
        if self.most - self.recent >= WORTH_GIVING_BACK:
            self.most = self.recent
            give_back()
        if self.most - self.held >= WORTH_GIVING_BACK:
            self.recent = self.held
            self.planned = now + GIVE_BACK_SECONDS
        return self.planned
