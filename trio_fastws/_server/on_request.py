"""What a server's user may say to a request: yes, yes with conditions, or no."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeGuard

from trio_fastws._config.arguments import check_kind
from trio_fastws._config.checks import check_bool
from trio_fastws._config.options import Limits, Sending
from trio_fastws._connection.session import SessionT
from trio_fastws._protocol.handshake.headers import (
    Headers,
    HeaderSource,
    check_str,
    write_handshake_fields,
)
from trio_fastws._protocol.tokens import is_token

from .handler_check import check_handler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio_fastws._connection.handler import Handler
    from trio_fastws._protocol.handshake.request import Request
    from trio_fastws._protocol.handshake.response import Response


@dataclass(frozen=True, slots=True)
class Accept(Generic[SessionT]):
    """What ``on_request`` returns to accept an upgrade, and more than None says.

    Everything is checked when it is made; one may be made once and returned often.
    What returns an ``Accept[User]`` goes with a handler of a ``WebSocket[User]``.

    Attributes:
        subprotocol: The choice among what the client offers; None leaves it to the
            ``subprotocols`` of `serve_websocket`. One that was not offered is a
            mistake of yours: it is logged, and the client gets 500 (RFC 6455 4.2.2
            lets a server choose from the offers only).
        headers: More fields of the 101, such as Set-Cookie: given as pairs, a mapping
            or `Headers`; held as `Headers`.
        session: What `WebSocket.session` is when ``on_open`` or the handler begins.
        handler: What serves this connection, of either kind; None: the server's.
        sending: Its options for sending; None: the server's.
        limits: Its ``message_size``, ``fragments``, ``receive_buffer``, ``tasks`` and
            ``keep_request``; None: the server's. The other limits are about all
            connections: they must be the server's own, or not given.
        deflate: Whether to compress if the server does and the client can.

    Raises:
        ValueError: A header or the subprotocol is malformed, or a header is one that
            the handshake writes itself (Upgrade, Connection, Sec-WebSocket-Accept,
            ...) or that announces a body.
        TypeError: One of them is of another type, or the handler cannot serve: see
            `serve_websocket`.
    """

    subprotocol: str | None = None
    headers: Headers = field(default_factory=Headers)
    session: SessionT | None = None
    handler: Handler[SessionT] | None = None
    sending: Sending | None = None
    limits: Limits | None = None
    deflate: bool = True

    def __init__(
        self,
        *,
        subprotocol: str | None = None,
        headers: HeaderSource = (),
        session: SessionT | None = None,
        handler: Handler[SessionT] | None = None,
        sending: Sending | None = None,
        limits: Limits | None = None,
        deflate: bool = True,
    ) -> None:
        if subprotocol is not None:
            check_str("subprotocol", subprotocol)
            if not is_token(subprotocol):
                raise ValueError(
                    f"subprotocol {subprotocol!r} is not a token (RFC 6455 4.1)"
                )
        headers = Headers(headers)
        write_handshake_fields(headers)
        if handler is not None:
            check_handler(handler)
        check_kind("sending", sending, Sending)
        check_kind("limits", limits, Limits)
        check_bool("deflate", deflate)
        # The class is frozen, its constructor is not.
        put = object.__setattr__
        put(self, "subprotocol", subprotocol)
        put(self, "headers", headers)
        put(self, "session", session)
        put(self, "handler", handler)
        put(self, "sending", sending)
        put(self, "limits", limits)
        put(self, "deflate", deflate)


def accepts(answer: object) -> TypeGuard[Accept[Any]]:
    """Return whether an answer of ``on_request`` is an `Accept`."""
    return isinstance(answer, Accept)


if TYPE_CHECKING:
    Answer = Accept[SessionT] | Response | None
    # What a server may ask its user about a request; see `serve_websocket`.
    OnRequest = Callable[[Request], Answer[SessionT] | Awaitable[Answer[SessionT]]]
