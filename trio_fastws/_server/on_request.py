"""What a server's user may say to a request: yes, yes with conditions, or no."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from trio_fastws._protocol.handshake.headers import (
    Headers,
    HeaderSource,
    check_str,
    write_handshake_fields,
)
from trio_fastws._protocol.handshake.request import Request
from trio_fastws._protocol.handshake.response import Response
from trio_fastws._protocol.tokens import is_token


@dataclass(frozen=True, slots=True)
class Accept:
    """What ``on_request`` returns to accept an upgrade, and more than None says.

    Attributes:
        subprotocol: The choice among what the client offers; None leaves it to the
            ``subprotocols`` of `serve_websocket`. One that was not offered is a
            mistake of yours: it is logged, and the client gets 500 (RFC 6455 4.2.2
            lets a server choose from the offers only).
        headers: More fields of the 101, such as Set-Cookie: given as pairs, a mapping
            or `Headers`; held as `Headers`.
        session: What `WebSocket.session` is when ``on_open`` or the handler begins.

    Raises:
        ValueError: A header or the subprotocol is malformed, or a header is one that
            the handshake writes itself (Upgrade, Connection, Sec-WebSocket-Accept,
            ...) or that announces a body.
        TypeError: One of them is of another type.
    """

    subprotocol: str | None = None
    headers: Headers = field(default_factory=Headers)
    session: object = None

    def __init__(
        self,
        *,
        subprotocol: str | None = None,
        headers: HeaderSource = (),
        session: object = None,
    ) -> None:
        if subprotocol is not None:
            check_str("subprotocol", subprotocol)
            if not is_token(subprotocol):
                raise ValueError(
                    f"subprotocol {subprotocol!r} is not a token (RFC 6455 4.1)"
                )
        headers = Headers(headers)
        write_handshake_fields(headers)
        # The class is frozen, its constructor is not.
        put = object.__setattr__
        put(self, "subprotocol", subprotocol)
        put(self, "headers", headers)
        put(self, "session", session)


Answer = Accept | Response | None
# What a server may ask its user about a request; see `serve_websocket`.
OnRequest = Callable[[Request], Answer | Awaitable[Answer]]
