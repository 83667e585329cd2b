"""A listener on a Unix socket, and the file in which clients find it.

Owns that file from ``bind`` to the end: what may be replaced, and what may be removed.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import trio

from .logs import logger

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Generator

# How often to ask for a lock on the directory, a millisecond apart: who takes the place
# of a file there has it for less. One that a stranger holds delays a start, no more.
_ATTEMPTS = 100
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
    with socket.socket(socket.AF_UNIX) as sock, ExitStack() as stack:
        # Until it listens, another server would take its file for left over.
        with _alone(path):
            try:
                _bind(sock, path)
            except OSError as error:
                # bind(2) does not say where.
                raise OSError(error.errno, error.strerror, path) from None
            stack.enter_context(_removing(path))
            # Nobody can connect before `listen`.
            if mode is not None:
                os.chmod(path, mode)
            sock.listen(backlog)
        sock.setblocking(False)
        yield trio.SocketListener(trio.socket.from_stdlib_socket(sock))


@contextmanager
def _alone(path: str | bytes) -> Generator[None, None, None]:
    # Of all servers that do so, be the only one to take or leave a place in this
    # directory. What stands in the way of that is no reason not to serve.
    with ExitStack() as stack:
        with suppress(OSError):
            directory = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
            stack.callback(os.close, directory)  # which unlocks it
            for _ in range(_ATTEMPTS):
                if _lock(directory):
                    break
                time.sleep(0.001)
        yield


def _lock(directory: int) -> bool:
    # True if it is ours, or nobody's because this system has no such lock.
    if sys.platform != "win32":
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


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
            with suppress(FileNotFoundError), _alone(path):
                if os.path.samestat(os.lstat(path), ours):
                    os.unlink(path)
        except OSError as error:
            # The server has ended well, and the next one replaces the file.
            logger.warning("cannot remove %r: %s", path, error.strerror)
        finally:
            if held is not None:
                os.close(held)
