# cython: annotation_typing=False
"""Who may come in: the opening handshakes of one server, and room for their outcome.

Owns how many handshakes are in progress, who makes room for whom, and whether one more
connection may be opened. How a handshake goes is `handshake`'s business.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._transport.logs import log

from .refusals import MADE_ROOM, SHUTTING_DOWN, Refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio_fastws._config.compression import Negotiator
    from trio_fastws._connection.shared import Shared

    from .config import ServerConfig
    from .on_request import OnRequest
    from .variants import Variants


class Admission:
    """What the opening handshakes of one server have in common.

    Options as plain numbers, as in `Shared`. Connections that are no WebSocket yet, or
    will be none, are in one of four queues, oldest first:

    Attributes:
        heads: Their request is not complete, nor is TLS perhaps.
        deciding: `on_request` has not decided yet.
        answers: An answer is being written.
        lingering: They had their answer; the peer has not closed yet.
        accepted: How many became a connection.
        dropped: How many had to make room for another.
        refused: How many became none, by reason.
        on_idle: Called, unless it is None, when somebody leaves and `busy` is over.
        closed: Whether the server is shutting down.
    """

    __slots__ = (
        "accepted",
        "answers",
        "closed",
        "deciding",
        "dropped",
        "heads",
        "lingering",
        "most",
        "most_pending",
        "negotiator",
        "on_idle",
        "on_request",
        "origins",
        "refused",
        "request_fields",
        "request_head",
        "seconds",
        "shared",
        "spawn",
        "subprotocols",
        "variants",
    )

    def __init__(
        self,
        config: ServerConfig,
        variants: Variants,
        negotiator: Negotiator | None,
        spawn: Callable[..., None],
    ) -> None:
        """Start without handshakes.

        Args:
            config: What the server was asked for.
            variants: What the connections share that come of it.
            negotiator: Of compression; None without it.
            spawn: Starts a task that is cancelled when the server shuts down.
        """
        self.variants: Variants = variants
        self.shared: Shared = variants.usual
        limits = config.options.limits
        self.request_head: int = limits.request_head
        self.request_fields: int = limits.request_fields
        self.most: int | None = limits.connections
        self.most_pending: int = limits.pending_handshakes
        self.seconds: float = config.options.timeouts.handshake
        self.subprotocols: Sequence[str] = config.subprotocols
        self.origins: tuple[Any, ...] | None = config.origins
        self.on_request: OnRequest | None = config.on_request
        self.negotiator: Negotiator | None = negotiator
        self.spawn: Callable[..., None] = spawn
        # Ordered: the oldest is found without a search, however many left before it.
        self.heads: OrderedDict[Any, None] = OrderedDict()
        self.deciding: OrderedDict[Any, None] = OrderedDict()
        self.answers: OrderedDict[Any, None] = OrderedDict()
        self.lingering: OrderedDict[Any, None] = OrderedDict()
        self.accepted: int = 0
        self.dropped: int = 0
        self.refused: Refusals = Refusals()
        self.closed: bool = False
        self.on_idle: Callable[[], None] | None = None

    def handshakes(self) -> list[Any]:
        """Return the handshakes that are not decided yet."""
        return [*self.heads, *self.deciding]

    def busy(self) -> bool:
        """Return whether a handshake is in progress, or an answer is being written."""
        return len(self.heads) + len(self.deciding) + len(self.answers) > 0

    def enter(self, handshake: Any) -> None:
        """Add a new connection; if there are too many, close the oldest.

        So a new client is served at once, however many others are silent. The longest
        queue loses its oldest: of silent peers, or of those that had their answer.
        Those that wait for a decision go last.
        """
        if self._count() >= self.most_pending:
            # Its request may be there already, on a server that is busy.
            next(iter(self._longest_queue())).hurry()
            while self._count() >= self.most_pending:
                queue = self._longest_queue()
                oldest, _ = queue.popitem(last=False)
                self.dropped += 1
                message = "the oldest of too many handshakes makes room"
                log(logging.DEBUG, oldest, message)
                if queue is self.heads or queue is self.deciding:
                    oldest.close(MADE_ROOM)
                else:  # it had its answer
                    oldest.close()
        self.heads[handshake] = None

    def _count(self) -> int:
        undecided = len(self.heads) + len(self.deciding)
        return undecided + len(self.answers) + len(self.lingering)

    def _longest_queue(self) -> OrderedDict[Any, None]:
        longest = max(self.lingering, self.answers, self.heads, key=len)
        return longest or self.deciding

    def check(self, upgrade: bool) -> None:
        """Raise the refusal for a request that comes at the wrong time.

        Args:
            upgrade: Whether it would become one more connection.
        """
        if self.closed:
            raise HandshakeError(503, SHUTTING_DOWN)
        if (
            upgrade
            and self.most is not None
            and len(self.shared.connections) >= self.most
        ):
            reason = f"connection limit ({self.most}) reached"
            raise HandshakeError(503, reason, (("Retry-After", "5"),))

    def ask(self, handshake: Any) -> None:
        """Move a handshake to those whose request waits for a decision."""
        self.heads.pop(handshake, None)
        self.deciding[handshake] = None

    def leave(self, handshake: Any) -> None:
        """Remove a handshake that is over, one way or the other."""
        self.heads.pop(handshake, None)
        self.deciding.pop(handshake, None)
        self.report_idle()

    def leave_answer(self, answer: Any) -> None:
        """Remove an answer that is written, or given up."""
        self.answers.pop(answer, None)
        self.report_idle()

    def report_idle(self) -> None:
        """Call `on_idle` if nobody is left."""
        if self.on_idle is not None and not self.busy():
            self.on_idle()
