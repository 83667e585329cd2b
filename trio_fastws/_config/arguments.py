"""Checks of the arguments of `serve_websocket`, `open_websocket` and `upgrade`.

A mistake raises at the call, not with the first peer in a log, and not inside the
nursery of a server that runs already.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from trio_fastws._protocol.handshake.request import Request
from trio_fastws._protocol.tokens import is_token

from .checks import make_tuple
from .options import Limits, PerMessageDeflate, Sending, Timeouts

if TYPE_CHECKING:
    from collections.abc import Iterable

# As Any: pyright would want its type parameter in an isinstance.
_PATTERN: Any = re.Pattern
# RFC 6454 6.2, as browsers write it: lower case, nothing after host and port, and no
# port that is the scheme's own.
_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[^/?#A-Z*]*")
_OWN_PORT = re.compile(r"http://.*:80|https://.*:443")


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


def check_request(request: object) -> None:
    """Raise TypeError unless that is a `Request`."""
    if not isinstance(request, Request):
        raise TypeError(
            f"request must be a Request, not {request!r}; see Request.parse"
        )


def check_subprotocols(subprotocols: Iterable[str]) -> tuple[str, ...]:
    """Return names of subprotocols as a tuple; raise if one is none."""
    names = make_tuple("subprotocols", subprotocols, "names")
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
    origins = make_tuple("origins", origins, "origins")
    for origin in origins:
        if isinstance(origin, _PATTERN):
            if not isinstance(origin.pattern, str):
                raise TypeError(f"origins holds {origin!r}, a pattern for bytes")
        elif isinstance(origin, str):
            _check_origin(origin)
        elif origin is not None:
            raise TypeError(
                f"origins holds {origin!r}, which is not a str, pattern or None"
            )
    return origins


def _check_origin(origin: str) -> None:
    if "*" in origin:
        hint = (
            r"write re.compile(r'https://[^.]+\.example\.com'): there are no wildcards"
        )
    elif _ORIGIN.fullmatch(origin) is None:
        hint = "write it as 'https://example.com' or 'http://localhost:8000'"
    elif _OWN_PORT.fullmatch(origin) is not None:
        hint = f"write {origin.rpartition(':')[0]!r}: browsers leave that port out"
    else:
        return
    raise ValueError(f"origin {origin!r} can match no browser's; {hint}")


def check_callable(name: str, function: object) -> None:
    """Raise TypeError unless that is None or callable."""
    if function is not None and not callable(function):
        raise TypeError(f"{name} must be a function, not {function!r}")
