# cython: annotation_typing=False
"""What the opening handshakes of one server have in common.

Owns who may come in: how many handshakes are in progress, whether there is room
for one more connection, and what becomes of a good handshake. How one goes is
`_opening`'s business.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from trio_fastws._config.options import get_message_size
from trio_fastws._connection.websocket import WebSocket
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._transport.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio_fastws._config.compression import Negotiator
    from trio_fastws._config.options import Limits
    from trio_fastws._connection.connection import Connection
    from trio_fastws._connection.handler import ChooseSubprotocol, OnRequest
    from trio_fastws._connection.shared import Shared
    from trio_fastws._protocol.deflate.agreement import Agreement
    from trio_fastws._protocol.handshake.request import Request
    from trio_fastws._transport.contract import Link


class Admission:
    """What the opening handshakes of one server have in common.

    Options as plain numbers, as in `Shared`. Connections that are no WebSocket yet, or
    will be none, stand in one of four lines, oldest first:

    Attributes:
        heads: Their request is not complete, nor is TLS perhaps.
        deciding: `on_request` has not decided yet.
        answers: An answer is being written.
        lingering: They had their answer; the peer has not closed yet.
        accepted: How many became a connection.
        dropped: How many had to make room for another.
        closed: Whether the server is shutting down.
    """

    __slots__ = (
        "accepted",
        "answers",
        "closed",
        "deciding",
        "dropped",
        "fragments",
        "heads",
        "lingering",
        "message_size",
        "most",
        "most_pending",
        "negotiator",
        "on_request",
        "origins",
        "request_fields",
        "request_head",
        "seconds",
        "shared",
        "spawn",
        "start_handler",
        "subprotocols",
    )

    def __init__(
        self,
        shared: Shared,
        limits: Limits,
        seconds: float,
        spawn: Callable[..., None],
        start_handler: Callable[[WebSocket], None] | None,
    ) -> None:
        """Receive nobody yet.

        Args:
            shared: Of the connections that come of it.
            limits: What a peer may make us hold.
            seconds: How long a handshake may take.
            spawn: Starts a task that is cancelled when the server shuts down.
            start_handler: Starts a connection's own task, if it has one.
        """
        self.shared: Shared = shared
        self.request_head: int = limits.request_head
        self.request_fields: int = limits.request_fields
        self.message_size: int | None = get_message_size(limits, Role.SERVER)
        self.fragments: int | None = limits.fragments
        self.most: int | None = limits.connections
        self.most_pending: int = limits.pending_handshakes
        self.seconds: float = seconds
        self.spawn: Callable[..., None] = spawn
        self.start_handler: Callable[[WebSocket], None] | None = start_handler
        # Ordered ones give their oldest without a search, however many left before it.
        self.heads: OrderedDict[Any, None] = OrderedDict()
        self.deciding: OrderedDict[Any, None] = OrderedDict()
        self.answers: OrderedDict[Any, None] = OrderedDict()
        self.lingering: OrderedDict[Any, None] = OrderedDict()
        self.accepted: int = 0
        self.dropped: int = 0
        self.closed: bool = False
        # What the user wants of a request; set by the server.
        self.subprotocols: Sequence[str] | ChooseSubprotocol = ()
        self.origins: tuple[Any, ...] | None = None
        self.on_request: OnRequest | None = None
        # Of compression; None without it.
        self.negotiator: Negotiator | None = None

    def handshakes(self) -> list[Any]:
        """Return the handshakes that nobody has decided."""
        return [*self.heads, *self.deciding]

    def enter(self, opening: Any) -> None:
        """Add a new connection; the oldest makes room if there are too many.

        So whoever comes is heard at once, however many others say nothing. The most
        numerous kind loses one: of silent peers, or of those that had their answer. Who
        waits for a decision is the last to go.
        """
        if self._count() >= self.most_pending:
            # Its request may be there already, on a server that is busy.
            next(iter(self._crowd())).hurry()
            while self._count() >= self.most_pending:
                oldest, _ = self._crowd().popitem(last=False)
                self.dropped += 1
                message = "the oldest of too many handshakes makes room"
                log(logging.DEBUG, oldest, message)
                oldest.close()
        self.heads[opening] = None

    def _count(self) -> int:
        unheard = len(self.heads) + len(self.deciding)
        return unheard + len(self.answers) + len(self.lingering)

    def _crowd(self) -> OrderedDict[Any, None]:
        crowd = max(self.lingering, self.answers, self.heads, key=len)
        return crowd or self.deciding

    def check_open(self) -> None:
        """Raise the refusal for a request that comes while the server shuts down."""
        if self.closed:
            raise HandshakeError(503, "the server is shutting down")

    def check_admission(self) -> None:
        """Raise the refusal for a handshake that comes at the wrong time."""
        self.check_open()
        if self.most is not None and len(self.shared.connections) >= self.most:
            reason = f"connection limit ({self.most}) reached"
            raise HandshakeError(503, reason, (("Retry-After", "5"),))

    def ask(self, opening: Any) -> None:
        """Move a handshake to those whose request waits for a decision."""
        self.heads.pop(opening, None)
        self.deciding[opening] = None

    def leave(self, opening: Any) -> None:
        """Remove a handshake that is over, one way or the other."""
        self.heads.pop(opening, None)
        self.deciding.pop(opening, None)

    def welcome(
        self,
        link: Link,
        request: Request,
        subprotocol: str | None,
        agreement: Agreement | None,
        accept: bytes,
        start: int,
        stop: int,
    ) -> None:
        """Make a WebSocket of a connection whose handshake is good."""
        endpoint = Endpoint(Role.SERVER, self.message_size, self.fragments, agreement)
        ws = WebSocket(self.shared, endpoint, link)
        connection: Connection = ws
        connection.subprotocol = subprotocol
        ws._adopt_request(request)
        self.accepted += 1
        ws._write_raw(accept)
        if self.start_handler is not None:
            # In the context of what on_request has set.
            contexts = self.shared.dispatcher.contexts
            contexts.enter(connection, connection._context)
            try:
                self.start_handler(ws)
            finally:
                connection._context = contexts.leave(connection._context)
        connection._open(start, stop)
