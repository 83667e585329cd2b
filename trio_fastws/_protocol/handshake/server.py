# cython: annotation_typing=False
"""The server's half of the opening handshake (RFC 6455 4.2).

Owns the rules that turn a request into a WebSocket, and the 101. Refuses to know how
a head is read (`request`) and which answers a user's own code gives.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.tokens import (
    MAX_ELEMENTS,
    find_excess,
    is_extension_list,
    is_token_list,
)

from .accept_key import KEY, accept
from .headers import (
    HeaderSource,
    check_field,
    write_handshake_fields,
)
from .request import check_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .request import Request

UPGRADE_REQUIRED = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))

# RFC 6455 4.1: what a request MUST NOT hold more than once, and what nobody would
# know which one to believe of.
_SINGLE = (b"sec-websocket-version", b"sec-websocket-key", b"origin")


def is_upgrade(request: Request) -> bool:
    """Return whether a request asks for a WebSocket, well or badly.

    True also if only the key is there: then a proxy has removed Upgrade, and
    `check_upgrade` says so, where a plain HTTP answer would puzzle.
    """
    index = request._fields.index
    return b"sec-websocket-key" in index or has_token(
        index.get(b"upgrade"), b"websocket"
    )


def has_token(value: bytes | None, token: bytes) -> bool:
    """Return whether a list field holds a lower-case token, in any case.

    Only its first `MAX_ELEMENTS` elements are looked at.
    """
    if value is None:
        return False
    value = value.lower()
    if value == token:
        return True
    parts = value.split(b",", MAX_ELEMENTS)[:MAX_ELEMENTS]
    return token in [part.strip(b" \t") for part in parts]


def check_upgrade(request: Request) -> None:
    """Check that a request is a valid opening handshake (RFC 6455 4.2.1).

    Raises:
        HandshakeError: 400, 405, 426 or 431, with a reason for the client.
    """
    fields = request._fields
    index = fields.index
    if request.method != "GET":
        # RFC 6455 4.1: the method of the request MUST be GET
        raise HandshakeError(405, "a WebSocket needs GET", (("Allow", "GET"),))
    if not request._checked:  # made by hand
        check_fields(fields, request.http_version)
    if request.http_version != "1.1":
        # RFC 6455 4.2.1: an HTTP/1.1 or higher GET request. RFC 9110 7.8: MUST ignore
        # an Upgrade field of a 1.0 request; so it is answered as one that lacks it,
        # and not with 505, which is about the major version (RFC 9110 15.6.6).
        reason = "a WebSocket needs HTTP/1.1, and this request is HTTP/1.0"
        hint = "a proxy may have changed it (nginx: proxy_http_version 1.1)"
        raise _upgrade_required(index, reason, hint)
    if not has_token(index.get(b"upgrade"), b"websocket"):
        reason = "Upgrade header is missing or is not 'websocket'"
        raise _upgrade_required(index, reason, "a proxy may have removed it")
    if not has_token(index.get(b"connection"), b"upgrade"):
        reason = "Connection header lacks 'Upgrade'; a proxy may have changed it"
        raise HandshakeError(400, reason)
    if fields.repeated:
        fields.check_single(_SINGLE)
    if index.get(b"sec-websocket-version") != b"13":
        # RFC 6455 4.4: MUST send back the versions it is capable of
        reason = "Sec-WebSocket-Version is not 13"
        raise HandshakeError(426, reason, UPGRADE_REQUIRED)
    key = index.get(b"sec-websocket-key")
    if key is None:
        raise HandshakeError(400, "Sec-WebSocket-Key header is missing")
    if KEY.fullmatch(key) is None:
        raise HandshakeError(400, "Sec-WebSocket-Key is not base64 of 16 bytes")
    if b"sec-websocket-protocol" in index or b"sec-websocket-extensions" in index:
        _check_offers(request)


def _upgrade_required(
    index: dict[bytes, bytes], reason: str, hint: str
) -> HandshakeError:
    # The hint is for who has asked for a WebSocket, as a key shows.
    if b"sec-websocket-key" in index:
        reason = f"{reason}; {hint}"
    return HandshakeError(426, reason, UPGRADE_REQUIRED)


def _check_offers(request: Request) -> None:
    """Check the grammar of what is offered, so that choosing need not."""
    index = request._fields.index
    value = index.get(b"sec-websocket-protocol")
    if value is not None:
        _check_size("Sec-WebSocket-Protocol", value)
        if not is_token_list(value):
            raise HandshakeError(400, "Sec-WebSocket-Protocol is not a list of tokens")
        # RFC 6455 4.1: the elements MUST all be unique strings
        if b"," in value:
            offers = request.subprotocols
            if len(set(offers)) != len(offers):
                reason = "Sec-WebSocket-Protocol repeats a subprotocol"
                raise HandshakeError(400, reason)
    value = index.get(b"sec-websocket-extensions")
    if value is not None:
        _check_size("Sec-WebSocket-Extensions", value)
        if not is_extension_list(value):
            reason = "Sec-WebSocket-Extensions does not follow RFC 6455 9.1"
            raise HandshakeError(400, reason)


def _check_size(name: str, value: bytes) -> None:
    excess = find_excess(value)
    if excess is not None:
        # RFC 6585 5: 431 also when a single header field is at fault
        raise HandshakeError(431, f"{name} {excess}")


def check_origin(
    request: Request, origins: Iterable[str | re.Pattern[str] | None]
) -> None:
    """Check that the page a request comes from is one that may connect.

    Args:
        request: A request that passed `check_upgrade`.
        origins: Origins as browsers write them (``"https://example.com"``), patterns
            that match a whole one, or None to let in clients that send none.

    Raises:
        HandshakeError: 403, the origin is none of these; 400, there are several.
    """
    request._fields.check_single((b"origin",))
    origin = request.origin
    for allowed in origins:
        if isinstance(allowed, re.Pattern):
            if origin is not None and allowed.fullmatch(origin):
                return
        elif origin == allowed:
            return
    reason = "Origin is missing" if origin is None else "Origin is not allowed"
    # RFC 6455 4.2.2: a server that does not accept the origin MUST answer 403
    raise HandshakeError(403, reason)


def choose_subprotocol(request: Request, supported: Sequence[str]) -> str | None:
    """Return the first of ``supported`` that the client offers, or None.

    The server's order decides: it knows what each costs it, and the RFC leaves the
    choice among the client's offers to it (RFC 6455 4.2.2).
    """
    if not supported:
        return None
    offered = request.subprotocols
    return next((name for name in supported if name in offered), None)


def build_accept(
    request: Request,
    subprotocol: str | None = None,
    extensions: str | None = None,
    headers: HeaderSource = (),
) -> bytes:
    """Return the 101 that accepts a request which passed `check_upgrade`.

    Args:
        request: The request.
        subprotocol: One of ``request.subprotocols``, or None.
        extensions: Value of Sec-WebSocket-Extensions, or None.
        headers: More fields, such as Set-Cookie.

    Raises:
        ValueError: The subprotocol was not offered, or a header is malformed or
            written by the library.
    """
    head = (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept(request._fields.index[b"sec-websocket-key"])
    )
    if subprotocol is None and extensions is None and not headers:
        return head + b"\r\n\r\n"
    lines: list[str] = []
    if subprotocol is not None:
        # RFC 6455 4.2.2: MUST be derived from the client's handshake
        if subprotocol not in request.subprotocols:
            offers = ", ".join(map(repr, request.subprotocols)) or "none"
            msg = (
                f"subprotocol {subprotocol!r} was not offered by the client, "
                f"which offers {offers}"
            )
            raise ValueError(msg)
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    if extensions is not None:
        check_field("Sec-WebSocket-Extensions", extensions)
        lines.append(f"Sec-WebSocket-Extensions: {extensions}")
    lines += write_handshake_fields(headers)
    return head + "\r\n".join(["", *lines, "", ""]).encode("latin-1")
