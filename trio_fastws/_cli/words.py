"""What the program prints, above all when something goes wrong: one line.

Owns the words for errors, and escapes the control characters of what a peer wrote,
so that no peer can send commands to a terminal.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import sys
from typing import TYPE_CHECKING, TextIO, cast

import trio

from trio_fastws import ConnectionBroken, HandshakeError, HandshakeRefused, InvalidURL

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a terminal takes for commands: all control characters but line end and tab.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class CommandFailed(Exception):  # noqa: N818 - reads better where it is raised
    """The program prints this line and ends with status 1."""


def clean(text: str) -> str:
    r"""Return text with its control characters escaped, as in ``\x1b``."""
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def print_line(line: str, *, out: bool = False) -> None:
    """Print a line and flush it, to stderr or, if ``out``, to stdout.

    A stream that is closed, or a pipe that nobody reads, is no error.
    """
    stream = cast("TextIO | None", sys.stdout if out else sys.stderr)
    if stream is None:
        return  # closed when the program was started
    try:
        print(line, file=stream, flush=True)
    except OSError:
        # Else Python would fail when it flushes the stream at its end.
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def print_error(line: str) -> None:
    """Print to stderr, in one line, what went wrong."""
    print_line(f"trio-fastws: {clean(' '.join(line.split()))}")


def explain_file(error: OSError) -> str:
    """Return why a file with certificates or a key cannot be used."""
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    # OpenSSL has no reason where it found nothing that it can read.
    return error.reason or "no certificate, or no private key, in PEM form"


def describe_error(error: BaseException, url: str) -> str | None:  # noqa: PLR0911 - a table
    """Return the line to print for an error of `open_websocket`, or of its block.

    None for what only a bug can raise: there a traceback is of more use.
    """
    error = next(_leaves(error), error)
    match error:
        case CommandFailed() | ConnectionBroken():
            return str(error)
        case HandshakeRefused():
            bad = error.response is None or error.response.status == 101
            return f"bad handshake: {error}" if bad else str(error)
        case trio.TooSlowError():
            return f"no answer of {url} to the opening handshake in time"
        case socket.gaierror():
            return f"cannot find the host of {url}: {error.strerror}"
        case ssl.SSLCertVerificationError():
            return f"TLS verification of {url} failed: {error.verify_message}"
        case trio.BrokenResourceError(__cause__=ssl.SSLError()):
            return f"{url}: {error}"
        case ConnectionRefusedError():
            return f"cannot connect to {url}: connection refused"
        case OSError():
            return f"cannot connect to {url}: {error.strerror or error}"
        case trio.BrokenResourceError():
            return f"connection to {url} was lost"
        case InvalidURL():
            return f"bad URL: {error}"
        case ValueError():
            return str(error)
        case _:
            return None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    # Through groups and causes, down to what the user can do something about.
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        for part in group.exceptions:
            yield from _leaves(part)
        return
    cause = error.__cause__
    # "all attempts to connect failed", "TLS handshake failed": the cause says why. Of
    # an error of TLS only what is wrong with a certificate is plainer than our words.
    wrapped = type(error) in (OSError, trio.BrokenResourceError) or (
        isinstance(error, HandshakeError) and not isinstance(error, HandshakeRefused)
    )
    plain = isinstance(cause, ssl.SSLCertVerificationError)
    if cause is not None and wrapped and (plain or not isinstance(cause, ssl.SSLError)):
        yield from _leaves(cause)
    else:
        yield error
