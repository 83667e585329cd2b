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

    def _abort(self, reason: str) -> None:
        """Give the connection up without another word to the peer."""

    # --- the budget ---------------------------------------------------------

    def _account(self) -> None:
        """See `Holder._account`."""
        held = self._inbox_size
        if self._link is not None:  # it is not over
            held += self._endpoint.held()
            outbox = self._outbox
            if outbox is not None:
                held += outbox.size()
        if held != self._charged:
            self._shared.budget.charge(self, held)

    def _hold_back(self) -> bool:
        """See `Holder._hold_back`; for a peer that is gone nothing is held."""
        if self._hung:
            self._abort(LOST)
            return False
        self._pause(BY_BUDGET)
        return self._paused & BY_BUDGET != 0

    def _let_go(self) -> bool:
        """See `Holder._let_go`."""
        if not self._paused & BY_BUDGET:
            return False
        self._resume(BY_BUDGET)
        return True

    def _is_draining(self, since: float) -> bool:
        """See `Holder._is_draining`."""
        outbox = self._outbox
        return (
            outbox is not None
            and outbox.since > since
            and self._charged - outbox.size() <= FLOOR
        )

    def _is_one_message(self, size: int) -> bool:
        """See `Holder._is_one_message`."""
        return self._endpoint.held() > size

    def _give_up(self, code: int, reason: str) -> None:
        """See `Holder._give_up`: fail the connection, and drop what waits.

        What was not received is lost: that it takes memory is why it ends.
        """
        self._inbox = None
        self._inbox_size = 0
        if self._link is not None:
            self._on_end(self._endpoint.fail(code, reason))
            if self._shared.dispatcher.corked is not self:
                self._settle()
        self._account()
