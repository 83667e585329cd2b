# cython: annotation_typing=False
"""What the opening handshakes of one server have in common.

Owns who may come in: how many handshakes are in progress, whether there is room
for one more connection, and what becomes of a good handshake. How one goes is
`_opening`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.handshake import HandshakeError

from ._options import get_message_size
from ._websocket import WebSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio_fastws._protocol.agreement import Agreement
    from trio_fastws._protocol.request import Request
    from trio_fastws._transport.links import Link, Owner

    from ._connection import Connection
    from ._deflate import Negotiator
    from ._handler import ChooseSubprotocol, OnRequest
    from ._options import Limits
    from ._service import Service


class Reception:
    """What the opening handshakes of one server have in common.

    Options as plain numbers, as in `Service`.

    Attributes:
        pending: Handshakes in progress.
        accepted: How many became a connection.
        closed: Whether the server is shutting down.
    """

    __slots__ = (
        "accepted",
        "closed",
        "fragments",
        "message_size",
        "most",
        "most_pending",
        "negotiator",
        "on_request",
        "on_room",
        "origins",
        "pending",
        "request_fields",
        "request_head",
        "seconds",
        "service",
        "spawn",
        "start_handler",
        "subprotocols",
    )

    def __init__(
        self,
        service: Service,
        limits: Limits,
        seconds: float,
        spawn: Callable[..., None],
        start_handler: Callable[[WebSocket], None] | None,
        on_room: Callable[[], None],
    ) -> None:
        """Receive nobody yet.

        Args:
            service: Of the connections that come of it.
            limits: What a peer may make us hold.
            seconds: How long a handshake may take.
            spawn: Starts a task that is cancelled when the server shuts down.
            start_handler: Starts a connection's own task, if it has one.
            on_room: Called when there is room for a handshake again.
        """
        self.service: Service = service
        self.request_head: int = limits.request_head
        self.request_fields: int = limits.request_fields
        self.message_size: int | None = get_message_size(limits, Role.SERVER)
        self.fragments: int | None = limits.fragments
        self.most: int | None = limits.connections
        self.most_pending: int = limits.pending_handshakes
        self.seconds: float = seconds
        self.spawn: Callable[..., None] = spawn
        self.start_handler: Callable[[WebSocket], None] | None = start_handler
        self.on_room: Callable[[], None] = on_room
        self.pending: set[Any] = set()
        self.accepted: int = 0
        self.closed: bool = False
        # What the user wants of a request; set by the server.
        self.subprotocols: Sequence[str] | ChooseSubprotocol = ()
        self.origins: tuple[Any, ...] | None = None
        self.on_request: OnRequest | None = None
        # Of compression; None without it.
        self.negotiator: Negotiator | None = None

    def has_room(self) -> bool:
        """Tell whether another handshake may begin."""
        return len(self.pending) < self.most_pending

    def check_admission(self) -> None:
        """Raise the refusal for a handshake that comes at the wrong time."""
        if self.closed:
            raise HandshakeError(503, "the server is shutting down")
        if self.most is not None and len(self.service.connections) >= self.most:
            reason = f"the server has its {self.most} connections"
            raise HandshakeError(503, reason, (("Retry-After", "5"),))

    def leave(self, opening: Owner) -> None:
        """Know that a handshake is over, one way or the other."""
        self.pending.discard(opening)
        if len(self.pending) == self.most_pending - 1:
            self.on_room()

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
        ws = WebSocket(self.service, endpoint, link)
        connection: Connection = ws
        connection.subprotocol = subprotocol
        ws.adopt_request(request)
        self.accepted += 1
        ws.write_raw(accept)
        if self.start_handler is not None:
            # In the context of what on_request has set.
            contexts = self.service.turn.contexts
            contexts.enter(ws)
            try:
                self.start_handler(ws)
            finally:
                contexts.leave(ws)
        connection.open(start, stop)
