"""What things are called in logs: paths of requests, functions of the user's."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any, cast

from trio_fastws._protocol.request import parse_request
from trio_fastws._transport.logs import show_path


def get_path(request: Any) -> str | None:
    """Return the path of a request, which may be raw or dropped; never its query.

    A query may hold what is secret. Of the few paths that a server has, each is in
    memory once, however many connections have it.

    Args:
        request: A `Request`, the bytes of one, a path that was kept of one, or None.
    """
    if request is None or type(request) is str:
        return request
    if type(request) is bytes:
        target = request.split(b" ", 2)[1].decode("latin-1")
        path = target.partition("?")[0]
        if path[:1] != "/":  # an absolute URL
            path = parse_request(request, len(request), len(request)).path
    else:
        path = request.path
    return sys.intern(show_path(path))


def name_of(function: Any) -> str:
    """Return the qualified name of a function, or of an object's class."""
    named: Any = function
    while isinstance(named, partial):
        named = cast("Any", named).func
    if not hasattr(named, "__qualname__"):
        named = cast("Any", type(named))
    return f"{named.__module__}.{named.__qualname__}"
