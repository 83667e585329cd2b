"""`serve_websocket`: the server's face, its arguments checked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_fastws._config.arguments import (
    check_callable,
    check_origins,
    check_server_context,
    check_subprotocols,
    fill_in,
)
from trio_fastws._config.calling import FOR_SERVERS, takes
from trio_fastws._config.listen import find_place

from .config import ServerConfig
from .handler_check import check_call, check_handler
from .listeners import opened
from .server import run_server

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from trio_fastws._config.listen import Listen
    from trio_fastws._config.options import Limits, PerMessageDeflate, Sending, Timeouts
    from trio_fastws._connection.handler import Handler
    from trio_fastws._connection.session import SessionT

    from .config import Origins
    from .on_request import OnRequest
    from .server import Server


@takes(
    "a handler and a port, and all else by keyword, host and ssl_context too "
    "(trio-websocket's order is another)",
    FOR_SERVERS,
)
async def serve_websocket(  # noqa: PLR0913 - one server, its parts grouped
    handler: Handler[SessionT],
    port: int | Listen,
    *,
    host: str | bytes | None = None,
    ssl_context: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    sending: Sending | None = None,
    deflate: PerMessageDeflate | None = None,
    subprotocols: Sequence[str] = (),
    origins: Origins | None = None,
    on_request: OnRequest[SessionT] | None = None,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve WebSockets until cancelled, or until `Server.aclose`.

    ``server = await nursery.start(serve_websocket, handler, 8765)`` waits until
    it listens. When cancelled it closes every connection with code 1001, waits
    `Timeouts.shutdown` seconds at most, and ends by raising ``Cancelled``. It ends in
    the same order, and returns, when `Server.aclose` is called.

    Args:
        handler: An ``async def`` called with each `WebSocket` in a task of its
            own, or an `EventHandler` for all of them. When an async handler
            returns, its connection is closed with code 1000; when it raises,
            that is logged and the code is 1011. The server goes on.
        port: TCP port, 0 for any that is free; or a `Listen`: for a Unix socket, for
            listeners of your own, and for what else a port can have.
        host: Address or name to bind; None for all interfaces.
        ssl_context: Serve ``wss://`` with this context.
        limits: What a peer may make us hold; see `Limits`.
        timeouts: How long to wait for a peer; see `Timeouts`.
        sending: What happens to messages for slow peers; see `Sending`.
        deflate: Compress messages if the peer can too; see `PerMessageDeflate`.
        subprotocols: What the server speaks, its favourite first. An ``on_request``
            may choose for itself, with `Accept`.
        origins: What the Origin header may be: strings, compiled patterns that
            match a whole one, None for a client that sends none. Others get 403.
            Without it every page of the web can connect with its visitor's
            cookies.
        on_request: Called with each `Request` (GET, HEAD or OPTIONS; HTTP/1.1 or
            1.0), upgrade or not. None accepts it (426 if it is no upgrade), and so
            does an `Accept`, which decides more: session, fields of the 101, handler
            and options; a `Response` is sent instead. May be ``async def``:
            then `Timeouts.handshake` limits it. Context variables that it sets are
            its connection's own, seen by all of its hooks and tasks.
        task_status: Filled in by ``nursery.start``.

    Raises:
        TypeError: An argument is of the wrong kind, such as a handler's class, a
            plain function as handler, or hooks that are async, misspelt or of the
            wrong arity; or there is a host beside a `Listen`.
        ValueError: An argument is out of its range, which is named.
        OSError: The address cannot be bound.
    """
    listen = find_place(port, host)
    check_handler(handler)
    check_server_context(ssl_context)
    check_callable("on_request", on_request)
    if on_request is not None:
        check_call("on_request", on_request, ("request",))
    config = ServerConfig(
        handler=handler,
        ssl_context=ssl_context,
        options=fill_in(limits, timeouts, sending, deflate),
        subprotocols=check_subprotocols(subprotocols),
        origins=check_origins(origins),
        on_request=on_request,
    )
    async with opened(listen) as listeners:
        await run_server(config, listeners, task_status)
