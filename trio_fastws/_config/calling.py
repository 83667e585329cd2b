"""What a call with the wrong arguments says, besides what Python says of it."""

from __future__ import annotations

import inspect
import sys
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# Keywords of trio-websocket, websockets, aiohttp and asyncio: what to write here.
_FOR_ALL = {
    "additional_headers": "headers=",
    "close_timeout": "timeouts=Timeouts(close=)",
    "compression": "deflate=PerMessageDeflate()",
    "disconnect_timeout": "timeouts=Timeouts(close=)",
    "extra_headers": "headers=",
    "max_message_size": "limits=Limits(message_size=)",
    "max_msg_size": "limits=Limits(message_size=)",
    "max_queue": "limits=Limits(receive_buffer=)",
    "max_size": "limits=Limits(message_size=)",
    "message_queue_size": "limits=Limits(receive_buffer=)",
    "ping_interval": "timeouts=Timeouts(ping_interval=)",
    "ping_timeout": "timeouts=Timeouts(ping_timeout=)",
}
_FOR_OPENINGS = {
    **_FOR_ALL,
    "connect_timeout": "timeouts=Timeouts(handshake=)",
    "open_timeout": "timeouts=Timeouts(handshake=)",
    "ssl": "ssl_context=",
    "tls": "ssl_context=",
}
FOR_UPGRADE = {**_FOR_ALL, "subprotocol": "subprotocols="}
FOR_CLIENTS = {
    **_FOR_OPENINGS,
    "protocols": "subprotocols=",
    "sock": "stream=",
    "timeout": "timeouts=Timeouts(handshake=)",
    "use_ssl": "a URL that begins with wss://",
    "user_agent_header": 'headers={"User-Agent": ...}',
}
_ACCEPT_HEADERS = "an on_request= that returns Accept(headers=)"
FOR_SERVERS = {
    **_FOR_OPENINGS,
    "additional_headers": _ACCEPT_HEADERS,
    "backlog": "Listen(port, backlog=) in place of the port",
    "extra_headers": _ACCEPT_HEADERS,
    "headers": _ACCEPT_HEADERS,
    "listeners": "Listen(listeners=) in place of the port",
    "on_disconnect": "sending=Sending(on_disconnect=)",
    "process_request": "on_request=",
    "reuse_port": "Listen(port, reuse_port=True) in place of the port",
    "select_subprotocol": "an on_request= that returns Accept(subprotocol=)",
    "sock": "Listen(listeners=) in place of the port",
    "unix": "Listen(unix=) in place of the port",
}


def takes(
    what: str, elsewhere: Mapping[str, str]
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Return a decorator for a function of which nothing runs when it is called.

    Such as an ``async def``: a TypeError of the call is then one of its arguments.

    Args:
        what: What it takes; appended to the TypeError, unless only the name of a
            keyword is wrong.
        elsewhere: Keywords that others have: what to write here, which is appended.
    """

    def decorate(
        function: Callable[Parameters, Result],
    ) -> Callable[Parameters, Result]:
        signature = inspect.signature(function)

        def explain(args: tuple[object, ...], names: Mapping[str, object]) -> str:
            strange = [name for name in names if name not in signature.parameters]
            words = [
                f"; for {name}= write {elsewhere[name]}"
                for name in strange
                if name in elsewhere
            ]
            try:
                signature.bind(*args, **{n: 0 for n in names if n not in strange})
            except TypeError:
                words.append(f"; it takes {what}")
            return "".join(words)

        @wraps(function)
        def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            try:
                return function(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{error}{explain(args, kwargs)}") from None

        if sys.version_info >= (3, 12) and inspect.iscoroutinefunction(function):
            inspect.markcoroutinefunction(call)
        return call

    return decorate
