"""A listener on a Unix socket, and the file in which clients find it.

Owns that file from ``bind`` to the end: what may be replaced, and what may be removed.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import trio

from .logs import logger

if TYPE_CHECKING:
    from collections.abc import Generator

# Opens a socket file without connecting to it; Linux alone has it.
_O_PATH: int | None = getattr(os, "O_PATH", None)


@contextmanager
def unix_listener(
    path: str | bytes, mode: int | None, backlog: int
) -> Generator[trio.SocketListener, None, None]:
    """Listen on a path for the length of a block. Not a checkpoint.

    Args:
        path: Of the socket file. One that nobody listens behind is replaced.
        mode: Its permissions; None for what the umask leaves.
        backlog: As of ``listen``.

    Raises:
        FileExistsError: There is a file that is no socket.
        OSError: Somebody listens there (EADDRINUSE), or the file cannot be made.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            _bind(sock, path)
        except OSError as error:
            # bind(2) does not say where.
            raise OSError(error.errno, error.strerror, path) from None
        with _removing(path):
            # Nobody can connect before `listen`.
            if mode is not None:
                os.chmod(path, mode)
            sock.listen(backlog)
            sock.setblocking(False)
            yield trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def _bind(sock: socket.socket, path: str | bytes) -> None:
    try:
        sock.bind(path)
    except OSError as error:
        # Not the EEXIST of other files: bind(2).
        if error.errno != errno.EADDRINUSE:
            raise
        with suppress(FileNotFoundError):  # somebody else has removed it
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                text = "a file that is no socket is there"
                raise FileExistsError(errno.EEXIST, text) from None
            if not _is_left_over(path):
                raise
            os.unlink(path)
        sock.bind(path)


def _is_left_over(path: str | bytes) -> bool:
    # The socket file of a server that was killed: connections are refused.
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


@contextmanager
def _removing(path: str | bytes) -> Generator[None, None, None]:
    # Remove the file after the block, if what is there is still ours.
    ours = os.lstat(path)
    # Held open: else the file that takes its place may get the same inode.
    held = None if _O_PATH is None else os.open(path, _O_PATH | os.O_NOFOLLOW)
    # The process may change its directory.
    path = os.path.abspath(path)
    try:
        yield
    finally:
        try:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.lstat(path), ours):
                    os.unlink(path)
        except OSError as error:
            # The server has ended well, and the next one replaces the file.
            logger.warning("cannot remove %r: %s", path, error.strerror)
        finally:
            if held is not None:
                os.close(held)
