"""What a server was asked for, checked and unchanging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Sequence

    from trio_fastws._config.arguments import Options
    from trio_fastws._connection.handler import Handler

    from .on_request import OnRequest

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
