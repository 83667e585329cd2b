"""Log records that say which connection they are about.

There is one logger, ``trio_fastws``. Behind the message stands what is known about the
connection, in brackets, and the record has the same as attributes: `connection_id`,
`remote_address`, `path` and `handler`, each None if unknown.
"""

from __future__ import annotations

import logging
from typing import Any, cast

logger = logging.getLogger("trio_fastws")

# The attributes of a record, and their names in the message.
WORDS = {
    "connection_id": "connection",
    "remote_address": "peer",
    "path": "path",
    "handler": "handler",
}
# Longer paths are cut: a peer must not be able to fill the log.
PATH_LENGTH = 64


def log(
    level: int,
    owner: Any,
    message: str,
    *args: object,
    exc_info: BaseException | None = None,
) -> None:
    """Log something about one connection.

    Args:
        level: One of `logging`.
        owner: The `Owner` of the connection, None if there is none.
        message: As for ``logger.log``, with ``args``.
        args: What goes into the message.
        exc_info: The exception that was raised.
    """
    if logger.isEnabledFor(level):
        known: dict[str, object] = {} if owner is None else owner._describe()
        extra = {name: known.get(name) for name in WORDS}
        text = message + " [%s]" if known else message
        values = (*args, in_words(known)) if known else args
        logger.log(level, text, *values, exc_info=exc_info, extra=extra, stacklevel=2)


def in_words(known: dict[str, object]) -> str:
    """Return what `Owner._describe` has returned, as text for the log."""
    parts: list[str] = []
    for name, word in WORDS.items():
        value = known.get(name)
        if name == "remote_address":
            parts.append(f"{word} {show_address(value)}")
        elif value is not None:
            parts.append(f"{word} {value}")
    return ", ".join(parts)


def show_address(address: object) -> str:
    """Return text for an address as the socket module gives it."""
    if address is None:
        return "unknown"
    if isinstance(address, tuple):
        host, port = (str(part) for part in cast("tuple[object, ...]", address)[:2])
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return str(address) or "unnamed"  # of Unix sockets


def show_path(path: str) -> str:
    """Return a path for the log: short, and all of it printable ASCII."""
    if len(path) > PATH_LENGTH:
        path = path[: PATH_LENGTH - 3] + "..."
    return path if path.isascii() and path.isprintable() else ascii(path)
