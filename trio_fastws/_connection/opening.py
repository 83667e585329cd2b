# cython: annotation_typing=False
"""From an agreed opening handshake to an open WebSocket, on either side.

Owns the order in which that happens. Does not know how anything was agreed upon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_fastws._layout import HEADROOM
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._transport.logs import show_path

from .websocket import WebSocket

if TYPE_CHECKING:
    from trio_fastws._protocol.deflate.agreement import Agreement
    from trio_fastws._protocol.handshake.request import Request
    from trio_fastws._protocol.handshake.response import Response
    from trio_fastws._transport.contract import Link

    from .connection import Connection
    from .shared import Shared


class Agreed:
    """What an opening handshake has brought.

    Attributes:
        request: What was asked for; of a client its target, which is for logs alone.
        subprotocol: The one that was chosen, or None.
        deflate: What was agreed on for compression, or None.
        accept: The 101 that is still to be written; of a client nothing.
        response: The 101 that a client received; of a server None.
        session: What `WebSocket.session` is from the start.
    """

    __slots__ = (
        "accept",
        "deflate",
        "request",
        "response",
        "session",
        "subprotocol",
    )

    def __init__(
        self,
        request: Request | str,
        subprotocol: str | None,
        deflate: Agreement | None,
        accept: bytes = b"",
        response: Response | None = None,
        session: object = None,
    ) -> None:
        self.request: Request | str = request
        self.subprotocol: str | None = subprotocol
        self.deflate: Agreement | None = deflate
        self.accept: bytes = accept
        self.response: Response | None = response
        self.session: object = session


def open_connection(
    shared: Shared,
    link: Link,
    agreed: Agreed,
    early: bytes,
) -> WebSocket:
    """Make the WebSocket of a handshake that is over, and open it.

    Args:
        shared: What it has in common with others.
        link: The link of the handshake. Its owner's context becomes the WebSocket's.
        agreed: What the handshake has brought.
        early: What came behind the handshake; at most one read. It goes through the
            dispatcher's buffer, so nothing else may be in that.
    """
    dispatcher = shared.dispatcher
    endpoint = Endpoint(
        shared.role, shared.message_size, shared.fragments, agreed.deflate
    )
    ws = WebSocket(shared, endpoint, link)
    connection: Connection = ws
    connection._subprotocol = agreed.subprotocol
    connection._response = agreed.response
    connection.session = agreed.session
    request = agreed.request
    if isinstance(request, str):
        connection._request = show_path(request.partition("?")[0])
    else:
        # As raw bytes unless it is wanted: parsed it takes four times as much.
        connection._request = request if shared.keep_request else request.raw
    if agreed.accept:
        connection._commit(agreed.accept)
    start = shared.start
    if start is not None:
        # In the context of what on_request has set.
        contexts = dispatcher.contexts
        contexts.enter(connection, connection._context)
        try:
            start(ws)
        finally:
            connection._context = contexts.leave(connection._context)
    stop = HEADROOM + len(early)
    if early:
        dispatcher.buffer[HEADROOM:stop] = early
    connection._open(HEADROOM, stop)
    return ws
