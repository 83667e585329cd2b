"""What a bug or a broken stream costs: the connection in which it shows, and no more.

Owns what happens when a method of an owner raises an unexpected exception. It is
logged with its traceback; the loop that serves all others goes on. What is not an
`Exception` is never caught.
"""

from __future__ import annotations

import logging
from typing import Any, cast

import trio

from .logs import log

# Why such a connection was lost, for its close reason and the log.
INTERNAL_ERROR = "internal error"


def log_failure(error: Exception, owner: Any = None) -> None:
    """Log an unexpected exception of an owner's, with its traceback."""
    message = "bug or broken stream: a connection is given up"
    log(logging.ERROR, owner, message, exc_info=error)


def contain(dispatcher: Any, owner: Any, error: Exception) -> None:
    """Give up the owner for which something was raised; the others go on.

    Args:
        dispatcher: The `Dispatcher` in which it was raised.
        owner: An `Owner`; None if it was let go of already.
        error: What was raised.
    """
    drop_cork(dispatcher)
    if owner is None:
        log_failure(error)
    else:
        owner._on_failure(error)


def drop_cork(dispatcher: Any) -> None:
    """Drop the cork of an owner that has failed: it may be half of something."""
    dispatcher.corked = None
    dispatcher.cork = []
    dispatcher.cork_size = 0


def give_up(owner: Any, error: Exception) -> None:
    """End an owner as if its link had ended, and the link in any case."""
    log_failure(error, owner)
    try:
        owner._on_eof(OSError(INTERNAL_ERROR))
    except Exception as worse:  # noqa: BLE001 - it cannot even end
        log_failure(worse, owner)
    if owner._link is not None:
        owner._link.close()


def log_stream_failure(group: ExceptionGroup[Exception], owner: Any = None) -> None:
    """Log, in one record, what a stream should not have raised.

    trio's streams raise `trio.BrokenResourceError`. One that somebody wrapped may let
    an OSError through, and that the peer is gone needs no traceback.
    """
    error = unwrap(group)
    if isinstance(error, OSError):
        kind = type(error).__name__
        log(logging.WARNING, owner, "a stream failed: %s: %s", kind, error)
    elif isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError):
        log(logging.DEBUG, owner, "a stream failed: %s", cause_of(error))
    else:
        log_failure(error, owner)


def unwrap(error: Exception) -> Exception:
    """Return the one exception in nested groups: each nursery has added a group."""
    inner: object = error
    while isinstance(inner, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", inner)
        if len(group.exceptions) != 1:
            return group
        error = inner = group.exceptions[0]
    return error


def cause_of(error: BaseException) -> str:
    """Return why a stream is broken: trio's own exception says less than its cause."""
    inner = error.__cause__
    return str(inner if inner is not None else error) or type(error).__name__
