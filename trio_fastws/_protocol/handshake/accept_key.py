# cython: annotation_typing=False
"""The key of an opening handshake and its answer (RFC 6455 1.3).

Owns the proof that a server understood a WebSocket request. Refuses to know where
in a head it stands.
"""

from __future__ import annotations

import binascii
import re
from hashlib import sha1
from os import urandom

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3

# What all of a Sec-WebSocket-Key must match. RFC 6455 4.1: base64 of 16 bytes. The
# 22nd digit carries two bits, so it is one of four.
KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")


def generate_key() -> str:
    """Return a Sec-WebSocket-Key: 16 random bytes in base64."""
    # RFC 6455 4.1: the nonce MUST be selected randomly for each connection
    return binascii.b2a_base64(urandom(16), newline=False).decode("ascii")


def accept_key(key: str) -> str:
    """Return the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key."""
    return accept(key.encode("ascii")).decode("ascii")


def accept(key: bytes) -> bytes:
    """Return what `accept_key` returns, without text on the way."""
    # RFC 6455 4.2.2: base64 of SHA-1 of the key, as sent, and the GUID
    digest = sha1(key + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False)
