"""What a bug or a broken stream costs: the connection in which it shows, and no more.

Owns what happens when a method of an owner has raised what nobody expected. It is
logged with its traceback; the loop that serves all others goes on. What is no
`Exception` goes on its way.
"""

from __future__ import annotations

import logging
from typing import Any

from .logs import log

# Why a connection was lost that was given up so.
INTERNAL_ERROR = "internal error"


def log_failure(error: Exception, owner: Any = None) -> None:
    """Log what nobody expected of an owner, with its traceback."""
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
    """Forget what an owner held back that has failed: it may be half of something."""
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
