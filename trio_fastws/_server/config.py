"""What a server was asked for, checked and unchanging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trio_fastws._connection.handler import EventHandler
from trio_fastws._connection.naming import name_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from trio_fastws._config.arguments import Options
    from trio_fastws._connection.websocket import WebSocket

    from .on_request import OnRequest

    Handler = Callable[[WebSocket], Awaitable[object]] | EventHandler
    Origins = Iterable[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """The arguments of `serve_websocket`, which documents them."""

    handler: Handler
    ssl_context: ssl.SSLContext | None
    options: Options
    subprotocols: Sequence[str]
    origins: tuple[Any, ...] | None
    on_request: OnRequest | None

    @property
    def events(self) -> EventHandler | None:
        """The handler if it has hooks; None if it is an async function."""
        return self.handler if isinstance(self.handler, EventHandler) else None

    @property
    def handler_name(self) -> str:
        """As logs and trio's tasks name the handler."""
        return name_of(self.handler)
