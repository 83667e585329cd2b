"""What things are called in logs: paths of requests, functions of the user's."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, cast

from trio_fastws._protocol.handshake.request import parse_request
from trio_fastws._transport.logs import PATH_LENGTH, show_path


def get_path(request: Any) -> str | None:
    """Return the path of a request, which may be raw or dropped; never its query.

    A query may hold what is secret. Of the few paths that a server has, each is in
    memory once, however many connections have it.

    Args:
        request: A `Request`, the bytes of one, a path that was kept of one, or None.
    """
    if request is None or type(request) is str:
        return request
    if type(request) is not bytes:
        return show_path(request.path)
    path = request.split(b" ", 2)[1].partition(b"?")[0]
    if path[:1] != b"/":  # an absolute URL
        return show_path(parse_request(request, len(request), len(request)).path)
    # One byte more than is shown tells that it was cut.
    return _show(path[: PATH_LENGTH + 1])


def without_raw(request: Any) -> Any:
    """Return what is kept of a request: of a raw one its path, all of any other.

    Nobody has looked at a raw one; see `WebSocket.request`.
    """
    return get_path(request) if type(request) is bytes else request


# Read for each connection, out of few.
@lru_cache(maxsize=256)
def _show(path: bytes) -> str:
    return show_path(path.decode("latin-1"))


def name_of(function: Any) -> str:
    """Return the qualified name of a function, or of an object's class."""
    named: Any = function
    while isinstance(named, partial):
        named = cast("Any", named).func
    if not hasattr(named, "__qualname__"):
        named = cast("Any", type(named))
    module = getattr(named, "__module__", None)
    return f"{module}.{named.__qualname__}" if module else str(named.__qualname__)
