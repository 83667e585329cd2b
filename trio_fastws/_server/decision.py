"""The task of an `on_request` that waits before it decides about a handshake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import trio

    from .on_request import Answer


class Undecided(Protocol):
    """A handshake that waits for a decision.

    Attributes:
        scope: Of the task that waits, while there is one.
    """

    scope: trio.CancelScope | None

    def on_decided(self, answer: object) -> None:
        """Go on with what the user's own code has answered."""

    def on_failed(self, error: Exception) -> None:
        """Refuse: the user's own code has raised."""

    def _on_failure(self, error: Exception) -> None:
        """See `Owner._on_failure`."""


async def wait_for_decision(
    handshake: Undecided,
    answer: Awaitable[Answer],
    scope: trio.CancelScope,
) -> None:
    """Wait for what the user's own code answers, and go on with it. Never raises.

    Args:
        handshake: The handshake that waits for it.
        answer: What `on_request` returned.
        scope: Ends the waiting, when it takes too long or the peer has gone.
    """
    decided: Answer = None
    failed = False
    try:
        with scope:
            decided = await answer
    except* Exception as group:  # noqa: BLE001 - isolation: logged, 500
        # A group may hold Cancelled as well; that goes on its way.
        alone = len(group.exceptions) == 1
        failed = True
        try:
            handshake.on_failed(group.exceptions[0] if alone else group)
        except Exception as worse:  # noqa: BLE001 - isolation, as in a turn
            handshake._on_failure(worse)
    finally:
        handshake.scope = None
    if not failed and not scope.cancelled_caught:
        handshake.on_decided(decided)
