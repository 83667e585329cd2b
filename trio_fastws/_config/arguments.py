"""Checks of the arguments of `serve_websocket`, `open_websocket` and `upgrade`.

A mistake raises at the call, not with the first peer in a log, and not inside the
nursery of a server that runs already.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import trio

from trio_fastws._protocol.tokens import is_token

from .options import Limits, PerMessageDeflate, Sending, Timeouts

# As Any: pyright would want its type parameter in an isinstance.
_PATTERN: Any = re.Pattern
# RFC 6454 6.2, as browsers write it: lower case, nothing after host and port.
_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[^/?#A-Z]*")


class Options(NamedTuple):
    """The options that servers, clients and upgrades have in common."""

    limits: Limits
    timeouts: Timeouts
    sending: Sending
    deflate: PerMessageDeflate | None


def fill_in(
    limits: Limits | None,
    timeouts: Timeouts | None,
    sending: Sending | None,
    deflate: PerMessageDeflate | None,
) -> Options:
    """Return the options, the defaults for what is None.

    Raises:
        TypeError: One is not of its class.
    """
    check_kind("limits", limits, Limits)
    check_kind("timeouts", timeouts, Timeouts)
    check_kind("sending", sending, Sending)
    check_kind("deflate", deflate, PerMessageDeflate)
    return Options(
        limits or Limits(), timeouts or Timeouts(), sending or Sending(), deflate
    )


def check_kind(name: str, value: object, kind: type) -> None:
    """Raise TypeError unless that is None or of a class."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, not {value!r}")


def _make_tuple(name: str, value: object, what: str) -> tuple[Any, ...]:
    # A string is a list of its letters, which nobody means.
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list of {what}, not {value!r}")
    return tuple(cast("Iterable[object]", value))


def check_server_context(ssl_context: ssl.SSLContext | None) -> None:
    """Raise unless that is None or an `ssl.SSLContext` for servers."""
    _check_context(ssl_context)
    if ssl_context is not None and ssl_context.protocol == ssl.PROTOCOL_TLS_CLIENT:
        # Else every handshake would fail, and the start of the server would not.
        raise ValueError(
            "ssl_context is a context for clients; use PROTOCOL_TLS_SERVER"
        )


def check_client_context(ssl_context: ssl.SSLContext | None) -> None:
    """Raise unless that is None or an `ssl.SSLContext` for clients."""
    _check_context(ssl_context)
    if ssl_context is not None and ssl_context.protocol == ssl.PROTOCOL_TLS_SERVER:
        raise ValueError(
            "ssl_context is a context for servers; use PROTOCOL_TLS_CLIENT"
        )


def _check_context(ssl_context: object) -> None:
    if ssl_context is not None and not isinstance(ssl_context, ssl.SSLContext):
        raise TypeError(f"ssl_context must be an ssl.SSLContext, not {ssl_context!r}")


def check_stream(stream: object) -> None:
    """Raise TypeError unless that is a `trio.abc.Stream`."""
    if not isinstance(stream, trio.abc.Stream):
        raise TypeError(f"stream must be a trio.abc.Stream, not {stream!r}")


def check_port(port: object) -> None:
    """Raise unless that is a TCP port."""
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"port must be an int, not {port!r}")
    if not 0 <= port <= 65535:
        raise ValueError(f"port is {port}; it must be 0 to 65535")


def check_listeners(listeners: Iterable[Any]) -> tuple[trio.abc.Listener[Any], ...]:
    """Return the listeners as a tuple; raise unless there is one and all are."""
    listeners = _make_tuple("listeners", listeners, "listeners")
    for listener in listeners:
        if not isinstance(listener, trio.abc.Listener):
            raise TypeError(f"listeners holds {listener!r}, which is not a Listener")
    if not listeners:
        raise ValueError("listeners is empty")
    return listeners


def check_subprotocols(subprotocols: Iterable[str]) -> tuple[str, ...]:
    """Return names of subprotocols as a tuple; raise if one is none."""
    names = _make_tuple("subprotocols", subprotocols, "names")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"subprotocols holds {name!r}, which is not a str")
        if not is_token(name):
            raise ValueError(f"subprotocol {name!r} is not a token (RFC 6455 4.1)")
    return names


def check_origins(origins: Iterable[Any] | None) -> tuple[Any, ...] | None:
    """Return the origins as a tuple; raise if one can match no browser's."""
    if origins is None:
        return None
    origins = _make_tuple("origins", origins, "origins")
    for origin in origins:
        if isinstance(origin, _PATTERN):
            if not isinstance(origin.pattern, str):
                raise TypeError(f"origins holds {origin!r}, a pattern for bytes")
        elif isinstance(origin, str):
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError(
                    f"origin {origin!r} can match no browser's; write it as "
                    "'https://example.com' or 'http://localhost:8000'"
                )
        elif origin is not None:
            raise TypeError(
                f"origins holds {origin!r}, which is not a str, pattern or None"
            )
    return origins


def check_callable(name: str, function: object) -> None:
    """Raise TypeError unless that is None or callable."""
    if function is not None and not callable(function):
        raise TypeError(f"{name} must be a function, not {function!r}")
