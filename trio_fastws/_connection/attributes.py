"""What can be seen of a WebSocket: attributes to read only, and its counters.

Nothing here changes anything but what it remembers for itself, so another thread than
that of the trio run may look too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from trio_fastws._protocol.handshake.request import Request, parse_request
from trio_fastws._transport.logs import in_words

from .closing import CLOSED, OPEN
from .connection import Connection
from .statistics import Statistics, count

if TYPE_CHECKING:
    from trio_fastws._protocol.codes import CloseFrame
    from trio_fastws._protocol.deflate.negotiation import DeflateParameters
    from trio_fastws._protocol.handshake.response import Response


class Attributes(Connection):
    """What a `WebSocket` says of itself."""

    __slots__ = ()

    # --- how it stands, and how it ended ------------------------------------

    @property
    def state(self) -> Literal["open", "closing", "closed"]:
        """Where it stands: nothing can be sent unless it is "open".

        "closing" from the first step of the closing handshake on, whichever side
        began it (RFC 6455 7.1.3), when this side has failed the connection (7.1.7),
        and when the peer has reset it and messages that came before are still
        there. "closed" when it is over.
        """
        if self._state == OPEN:
            return "open"
        return "closed" if self._state == CLOSED else "closing"

    @property
    def closed(self) -> bool:
        """Whether it is over: `state` is "closed", and `wait_closed` returns.

        A connection that is closing is neither open nor closed. Whether a message
        can be sent is ``ws.state == "open"``.
        """
        return self._state == CLOSED

    @property
    def close_code(self) -> int | None:
        """How it ended (RFC 6455 7.1.5); None while that is open.

        The peer's close code, ours if we failed the connection, 1005 if the peer
        gave none, 1006 if the connection was lost. `close_sent` and
        `close_received` are what each side said.
        """
        return None if self._closing is None else self._closing.code

    @property
    def close_reason(self) -> str | None:
        """What came with the close code, or what happened."""
        return None if self._closing is None else self._closing.reason

    @property
    def close_sent(self) -> CloseFrame | None:
        """The Close that this side has sent, or queued behind messages; else None.

        Also when the peer closed first: the answer, which repeats its code and
        reason (RFC 6455 5.5.1). A peer that is gone is sent none.
        """
        return None if self._closing is None else self._closing.sent

    @property
    def close_received(self) -> CloseFrame | None:
        """The Close that the peer has sent; None before, and if it never came."""
        return None if self._closing is None else self._closing.received

    # --- the opening handshake ----------------------------------------------

    @property
    def request(self) -> Request | None:
        """The handshake request; None once dropped, and always for a client.

        It is dropped when an async handler first receives, and after the `on_open` of
        an `EventHandler`: kept are those that were looked at before, and all with
        `Limits.keep_request`. What you need later belongs into `session`.
        """
        if type(self._request) is bytes:
            raw: bytes = self._request
            # It has passed the server's limits, which may be wider than the defaults.
            self._request = parse_request(raw, len(raw), len(raw))
            self._request._peer = self._link
        if type(self._request) is str:  # its path alone was kept
            return None
        return cast("Request | None", self._request)

    @property
    def subprotocol(self) -> str | None:
        """The agreed subprotocol, or None."""
        return self._subprotocol

    @property
    def response(self) -> Response | None:
        """The server's handshake response; None on the server's side."""
        return cast("Response | None", self._response)

    @property
    def deflate(self) -> DeflateParameters | None:
        """What was agreed upon for compression; None if messages go plain.

        In the words of RFC 7692: `server_no_context_takeover`,
        `client_no_context_takeover`, `server_max_window_bits` and
        `client_max_window_bits`.
        """
        context = self._endpoint.deflate
        return None if context is None else context.agreement.parameters

    # --- the rest -----------------------------------------------------------

    @property
    def remote_address(self) -> Any:
        """The peer's address as the socket module gives it; None if unknown.

        It stays known when the connection is over, also after a reset. That of a
        reverse proxy if there is one.
        """
        if self._remote_address is None and self._link is not None:
            self._remote_address = self._link.peer_address()
        return self._remote_address

    @property
    def local_address(self) -> Any:
        """Our own address as the socket module gives it; None if unknown."""
        return None if self._link is None else self._link.local_address()

    def statistics(self) -> Statistics:
        """Return this connection's counters."""
        return count(self)

    def __repr__(self) -> str:
        known = self._describe()
        del known["handler"]
        return f"<WebSocket {self.state}, {in_words(known)}>"
