"""The opening handshake (RFC 6455 4): every name that other floors need.

Owns nothing but this list; each rule lives in the module it comes from. A server
reads a head with `find_head_end` and `parse_request`, asks `is_upgrade`, checks with
`check_upgrade` and `check_origin`, then writes `build_accept`; what fails raises
`HandshakeError`, which `refuse` and `encode_response` turn into an answer. A client
goes from `parse_url` to `ClientHandshake`, which does the rest: `build_request`,
`parse_response` and `check_accept`.
"""

from __future__ import annotations

from .client_handshake import build_request, check_accept
from .dialling import Accepted, ClientHandshake, Refused
from .errors import HandshakeError
from .head import MAX_FIELDS, MAX_HEAD, find_head_end
from .headers import Headers
from .keys import accept_key, generate_key
from .request import Request, parse_request
from .response import Response, encode_response, parse_response, refuse
from .server_handshake import (
    build_accept,
    check_origin,
    check_upgrade,
    choose_subprotocol,
    is_upgrade,
)
from .url import URL, InvalidURL, parse_url

__all__ = [
    "MAX_FIELDS",
    "MAX_HEAD",
    "URL",
    "Accepted",
    "ClientHandshake",
    "HandshakeError",
    "Headers",
    "InvalidURL",
    "Refused",
    "Request",
    "Response",
    "accept_key",
    "build_accept",
    "build_request",
    "check_accept",
    "check_origin",
    "check_upgrade",
    "choose_subprotocol",
    "encode_response",
    "find_head_end",
    "generate_key",
    "is_upgrade",
    "parse_request",
    "parse_response",
    "parse_url",
    "refuse",
]
