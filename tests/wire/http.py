"""The opening handshake of RFC 6455 4 as bytes, right or changed."""

from __future__ import annotations

import base64
import hashlib
import re

# RFC 6455 1.3: a key, and what a server makes of it.
WEBSOCKET_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
WEBSOCKET_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# The headers of a good request.
HEADERS = (
    ("Host", "example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", WEBSOCKET_KEY),
    ("Sec-WebSocket-Version", "13"),
)


def _head(first: str, fields: list[str]) -> bytes:
    return "\r\n".join([first, *fields, "", ""]).encode("latin-1")


def upgrade_request(
    *fields: str,
    target: str = "/",
    method: str = "GET",
    version: str = "HTTP/1.1",
    without: tuple[str, ...] = (),
) -> bytes:
    """Return the head of a good upgrade request, changed as told.

    Args:
        fields: Lines to add, each ``Name: value``.
        target: The request target.
        method: The method.
        version: The version.
        without: Names of headers to leave out.
    """
    kept = [f"{name}: {value}" for name, value in HEADERS if name not in without]
    return _head(f"{method} {target} {version}", [*kept, *fields])


def plain_request(target: str = "/", method: str = "GET") -> bytes:
    """Return the head of a plain HTTP request."""
    return _head(f"{method} {target} HTTP/1.1", ["Host: example.com"])


def upgrade_response(*fields: str, accept: str = WEBSOCKET_ACCEPT) -> bytes:
    """Return the head of a good 101, with these lines added."""
    return _head(
        "HTTP/1.1 101 Switching Protocols",
        [
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
            *fields,
        ],
    )


def field(head: bytes, name: str) -> str | None:
    """Return the value of a header; None if ``head`` has none of that name."""
    found = re.search(rf"(?im)^{name}:[ \t]*(.*?)[ \t]*\r$", head.decode("latin-1"))
    return None if found is None else found[1]


def accept_value(key: str) -> str:
    """Return what answers a ``Sec-WebSocket-Key`` (RFC 6455 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
