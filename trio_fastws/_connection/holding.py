"""What the budget of all connections may ask of one.

Rare steps, for when memory is short: to stop reading from a peer, to read again, to see
what it waits for, to close it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .closing import RESET, WITHOUT_CLOSE
from .inbox import BY_BUDGET

if TYPE_CHECKING:
    from trio_fastws._protocol.endpoint import Endpoint
    from trio_fastws._transport.contract import Link

    from .inbox import Inbox

# What a connection may always hold: small messages pass, whatever others do.
FLOOR = 4 * 1024


class Holder(Protocol):
    """A connection, as the budget knows it.

    Attributes:
        _charged: The bytes of which the budget was last told.
    """

    _charged: int
    _endpoint: Endpoint
    _inbox: Inbox | None
    _link: Link | None
    _outbox: Any
    _paused: int
    _state: int

    def _pause(self, why: int) -> None: ...
    def _resume(self, why: int) -> None: ...
    def _account(self) -> None: ...
    def _abort(self, reason: str) -> None: ...
    def _fail(self, code: int, reason: str) -> None: ...


def pause(holder: Holder) -> bool:
    """Stop reading; return whether it is paused now.

    It is not if it is closing, and one that the peer has reset is aborted: for a peer
    that is gone nothing is held.
    """
    if holder._state == RESET:
        holder._abort(WITHOUT_CLOSE)
        return False
    holder._pause(BY_BUDGET)
    return holder._paused & BY_BUDGET != 0


def resume(holder: Holder) -> bool:
    """Read again; return whether it was paused."""
    if not holder._paused & BY_BUDGET:
        return False
    holder._resume(BY_BUDGET)
    return True


def is_draining(holder: Holder, since: float) -> bool:
    """Return whether it waits for nothing but a peer that has read since then."""
    outbox = holder._outbox
    return (
        outbox is not None
        and outbox.since > since
        and holder._charged - outbox.size() <= FLOOR
    )


def is_one_message(holder: Holder, size: int) -> bool:
    """Return whether an unfinished message takes more than ``size`` bytes."""
    return holder._endpoint.memory_size() > size


def give_up(holder: Holder, code: int, reason: str) -> None:
    """Close the connection, and drop what it holds.

    What was not received is lost: that it takes memory is why it ends.
    """
    if holder._inbox is not None:
        holder._inbox.clear()
    if holder._link is not None:
        holder._fail(code, reason)
    holder._account()
