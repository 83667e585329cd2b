"""Tokens, and lists of them in header fields (RFC 9110 5.6).

Owns the grammar of a list's elements, extensions with their parameters among them, and
how much is read of what a peer has written. Refuses to know which field a list is in.
"""

from __future__ import annotations

import re

# RFC 9110 5.6.2: token = 1*tchar
_TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"

_TOKEN = re.compile(rf"{_TCHAR}+")

# RFC 9110 5.6.1.2: a recipient MUST accept empty elements in a list
_LIST = r"[ \t,]*{0}(?:[ \t]*,[ \t,]*{0})*[ \t,]*"

_TOKEN_LIST = re.compile(_LIST.format(rf"{_TCHAR}+").encode())

# RFC 6455 9.1: extension = token *( ";" token [ "=" ( token | quoted-string ) ] ),
# where the quoted string, once unquoted, MUST be a token
# No part may match the same text in two ways: the text is an attacker's.
_EXTENSION = (
    rf"{_TCHAR}+(?:[ \t]*;[ \t]*{_TCHAR}+"
    rf'(?:[ \t]*=[ \t]*(?:{_TCHAR}+|"(?:\\?{_TCHAR})+"))?)*'
)
_EXTENSION_LIST = re.compile(_LIST.format(_EXTENSION).encode())

# Who sends a head chooses what reading it costs: 60 KB of offers took 10 ms, where a
# cookie of that size takes 0.03. So what is looked at of a list is bounded. One may
# carry a token to log in with, as browsers can send no other field of their own; and
# proxies rarely pass a line of more than 8 KiB.
MAX_LIST = 8192
# Nobody is known to offer more than ten.
MAX_ELEMENTS = 32
# Of all extensions together; RFC 7692 has four.
MAX_PARAMETERS = 64


def is_token(text: str) -> bool:
    """Return whether ``text`` is a token: a name that needs no quotes."""
    return _TOKEN.fullmatch(text) is not None


def is_token_list(value: bytes) -> bool:
    """Return whether a field value is a list of one or more tokens."""
    return _TOKEN_LIST.fullmatch(value) is not None


def is_extension_list(value: bytes) -> bool:
    """Return whether a field value is a list of extensions with their parameters."""
    return _EXTENSION_LIST.fullmatch(value) is not None


def find_excess(value: bytes) -> str | None:
    """Return how a list passes the bounds on what is looked at, None if it does not.

    In words that follow the name of the field. To be asked before `is_token_list` and
    `is_extension_list`, whose cost depends on the list.
    """
    if len(value) > MAX_LIST:
        return f"has {len(value)} bytes, which is over the limit of {MAX_LIST}"
    if value.count(b",") >= MAX_ELEMENTS:
        return f"has more than {MAX_ELEMENTS} elements"
    if value.count(b";") > MAX_PARAMETERS:
        return f"has more than {MAX_PARAMETERS} parameters"
    return None


def split_list(value: str) -> list[str]:
    """Split a comma-separated field value into its elements, in their order.

    RFC 9110 5.6.1.2: a recipient MUST parse and ignore empty list elements.
    """
    return [element for part in value.split(",") if (element := part.strip(" \t"))]
