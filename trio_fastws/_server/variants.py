"""The kinds of connections of one server: what an `Accept` decides for each.

Most servers have one kind. One that serves several paths has a few, each with its own
handler, limits or options for sending; a connection refers to what those of its kind
share (`Shared`), so that none pays for it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from trio_fastws._config.options import get_message_size, get_total
from trio_fastws._connection.handler import has_hooks
from trio_fastws._connection.naming import name_of
from trio_fastws._connection.shared import Shared
from trio_fastws._connection.tasks import run_handler
from trio_fastws._protocol.codes import Role

if TYPE_CHECKING:
    from trio_fastws._config.arguments import Options
    from trio_fastws._config.options import Limits
    from trio_fastws._connection.handler import Handler
    from trio_fastws._connection.websocket import WebSocket
    from trio_fastws._transport.contract import Dispatcher

    from .config import ServerConfig
    from .nurseries import Handlers
    from .on_request import Accept

# Of `Limits`, what is about all connections, or about requests: decided before.
OF_THE_SERVER = (
    "total",
    "connections",
    "pending_handshakes",
    "request_head",
    "request_fields",
)


class Variants:
    """What the connections of one server share, for each kind of them.

    Attributes:
        usual: Of the kind that `serve_websocket` was asked for.
    """

    def __init__(
        self, config: ServerConfig, dispatcher: Dispatcher, handlers: Handlers
    ) -> None:
        """Make the usual kind.

        Args:
            config: What the server was asked for.
            dispatcher: Of all connections.
            handlers: Where their tasks run.
        """
        self._config = config
        self._dispatcher = dispatcher
        self._handlers = handlers
        # Each as long as there is a connection of its kind: nobody knows whether a
        # handler is made for every one of them.
        self._others: WeakValueDictionary[object, Shared] = WeakValueDictionary()
        self.usual: Shared = self._make(config.handler, config.options, None)

    def find(self, accept: Accept) -> Shared:
        """Return what connections share that are accepted like this.

        Raises:
            ValueError: ``Accept.limits`` has what is the whole server's.
        """
        if accept.handler is None and accept.sending is None and accept.limits is None:
            return self.usual
        # As long as it is in there, it keeps the handler: no other one has its id.
        key = id(accept.handler), accept.sending, accept.limits
        found = self._others.get(key)
        if found is None:
            options = self._config.options
            if accept.limits is not None:
                _check_limits(accept.limits, options.limits)
                options = options._replace(limits=accept.limits)
            if accept.sending is not None:
                options = options._replace(sending=accept.sending)
            handler = accept.handler
            if handler is None:  # not "or": a room without members may be false
                handler = self._config.handler
            found = self._others[key] = self._make(handler, options, self.usual)
        return found

    def _make(self, handler: Handler, options: Options, alike: Shared | None) -> Shared:
        start_soon, name = self._handlers.start_soon, name_of(handler)
        by_hooks = has_hooks(handler)
        return Shared(
            self._dispatcher,
            options,
            start_soon,
            Role.SERVER,
            handler if by_hooks else None,
            name,
            None if by_hooks else partial(_start_handler, start_soon, handler, name),
            alike,
        )


def _check_limits(chosen: Limits, limits: Limits) -> None:
    usual = type(limits)()
    for name in OF_THE_SERVER:
        value, ours = getattr(chosen, name), getattr(limits, name)
        if value not in (ours, getattr(usual, name)):
            raise ValueError(
                f"Accept(limits=) has {name}={value}, which is about the whole server "
                f"({ours}); give it to serve_websocket"
            )
    size = get_message_size(chosen, Role.SERVER)
    total = get_total(limits, Role.SERVER)
    if size is not None and size > total:
        raise ValueError(
            f"Accept(limits=) has message_size={size}; "
            f"it must be at most the server's Limits.total ({total})"
        )


def _start_handler(start_soon: Any, handler: Any, name: str, ws: WebSocket) -> None:
    start_soon(run_handler, ws, handler, name=name)
