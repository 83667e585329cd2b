# cython: annotation_typing=False
"""What a connection holds for its peer, for the budget of all (`_budget`).

Owns what is counted: of the endpoint, what came of an unfinished message and input
that waits to be parsed; of the inbox, what nobody has received; of the outbox, what
waits to be written. What a stream's pump has taken is not: 128 KiB at the most.
"""

from __future__ import annotations

from typing import Any

from .budget import FLOOR
from .inbox import BY_BUDGET, Inbox
from .liveness import LOST


class Holding(Inbox):
    """What is held. `Input` adds how it comes."""

    __slots__ = ()

    # --- what the other half does -------------------------------------------

    def _on_end(self, event: Any) -> None:
        """End: a Close came, or the connection has failed."""

    def _settle(self) -> None:
        """Finish, if that only waited for the last bytes to be written."""

    def abort(self, reason: str) -> None:
        """Give the connection up without another word to the peer."""

    # --- the budget ---------------------------------------------------------

    def account(self) -> None:
        """See `Holder.account`."""
        held = self._inbox_size
        if self.link is not None:  # it is not over
            held += self.endpoint.held()
            outbox = self._outbox
            if outbox is not None:
                held += outbox.size()
        if held != self.charged:
            self._service.budget.charge(self, held)

    def hold_back(self) -> bool:
        """See `Holder.hold_back`; for a peer that is gone nothing is held."""
        if self._hung:
            self.abort(LOST)
            return False
        self._pause(BY_BUDGET)
        return self._paused & BY_BUDGET != 0

    def let_go(self) -> bool:
        """See `Holder.let_go`."""
        if not self._paused & BY_BUDGET:
            return False
        self._resume(BY_BUDGET)
        return True

    def is_draining(self, since: float) -> bool:
        """See `Holder.is_draining`."""
        outbox = self._outbox
        return (
            outbox is not None
            and outbox.since > since
            and self.charged - outbox.size() <= FLOOR
        )

    def is_one_message(self, size: int) -> bool:
        """See `Holder.is_one_message`."""
        return self.endpoint.held() > size

    def give_up(self, code: int, reason: str) -> None:
        """See `Holder.give_up`: fail the connection, and drop what waits.

        What was not received is lost: that it takes memory is why it ends.
        """
        self._inbox = None
        self._inbox_size = 0
        if self.link is not None:
            self._on_end(self.endpoint.fail(code, reason))
            if self._service.turn.corked is not self:
                self._settle()
        self.account()
