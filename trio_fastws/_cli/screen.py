"""Where ``trio-fastws dial`` reads lines and shows messages.

Owns stdin and stdout: reading that can be cancelled, writing that does not hold
up the connection. Knows nothing of WebSockets but that messages are ``str`` or
``bytes``.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

import trio

from .words import CommandFailed, clean, say

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

_READ_SIZE = 64 * 1024


# Put rows above the one where the cursor is: save the cursor, make room below, go
# back up, push that row down; then restore the cursor and follow it.
_ABOVE, _BACK = "\x1b7{room}\x1b[{rows}A\x1b[{rows}L", "\x1b8\x1b[{rows}B"
_PROMPT = "> "
_ERASE = "\r\x1b[K"
# Messages have a colour, where there are colours.
_CYAN, _PLAIN = "\x1b[36m", "\x1b[0m"


class Screen:
    """Shows messages on stdout and notes on stderr.

    On a terminal `rich`, if it is there, gives colour, and a prompt that stays
    put while messages arrive.

    Attributes:
        interactive: Whether a person types what is sent.
    """

    def __init__(self, interactive: bool) -> None:
        self.interactive = interactive
        out = cast("TextIO | None", sys.stdout)  # None: closed from the beginning
        self._terminal = out is not None and out.isatty()
        self._console: Any = None
        self._cells: Any = None
        self._prompted = False
        if self._terminal:
            try:
                console = importlib.import_module("rich.console")
            except ModuleNotFoundError:
                return
            self._console = console.Console()
            self._cells = importlib.import_module("rich.cells")

    async def show(self, messages: Sequence[str | bytes]) -> None:
        """Write messages, one a line.

        A checkpoint. Cancelled, what was not written yet is not.

        Raises:
            CommandFailed: Nobody reads stdout any more.
        """
        lines = "\n".join(map(self._format, messages))
        text = f"{lines}\n" if self._console is None else self._render(lines)
        try:
            # In a thread: a reader of the pipe may be slow, and meanwhile the
            # server's pings want their answers.
            await trio.to_thread.run_sync(
                _write, text.encode(errors="replace"), abandon_on_cancel=True
            )
        except OSError as error:
            raise CommandFailed(f"cannot write to stdout: {error.strerror}") from None

    def note(self, text: str, *, always: bool = False) -> None:
        """Write a note to stderr: for a person, or for whoever asked for it."""
        if always or self.interactive:
            say(clean(text))

    def prompt(self) -> None:
        """Ask a person for the next line."""
        if self.interactive and self._console is not None:
            self._prompted = True
            _write(_PROMPT.encode())

    def clear(self) -> None:
        """Take the prompt away, if there is one."""
        if self._prompted:
            self._prompted = False
            _write(_ERASE.encode())

    def _format(self, message: str | bytes) -> str:
        text = f"0x{message.hex()}" if isinstance(message, bytes) else message
        if self._terminal:
            text = clean(text)
        return f"< {text}" if self._terminal and self.interactive else text

    def _render(self, text: str) -> str:
        # Never wrapped: the terminal goes on in its next row where one is full, and
        # who copies a message from it gets it whole.
        show = self._put_above if self._prompted else "{}\n".format
        colour, plain = (_CYAN, _PLAIN) if self._console.color_system else ("", "")
        return "".join(show(f"{colour}{line}{plain}") for line in text.split("\n"))

    def _put_above(self, line: str) -> str:
        # Above the prompt, and what a person has typed behind it.
        wide, high = self._console.size
        rows = self._count_rows(line, wide) if len(line) < wide * high else high
        if rows >= high:
            return f"{_ERASE}{line}\n{_PROMPT}"  # there is no room above
        above = _ABOVE.format(room="\n" * rows, rows=rows)
        return f"{above}{line}{_BACK.format(rows=rows)}"

    def _count_rows(self, line: str, wide: int) -> int:
        bare = line.removeprefix(_CYAN).removesuffix(_PLAIN).expandtabs()
        return max(1, len(self._cells.chop_cells(bare, wide)))


def _write(data: bytes) -> None:
    # Not through sys.stdout: its lock, held by a thread that was abandoned,
    # would stop the interpreter at its end.
    out = cast("TextIO | None", sys.stdout)
    if out is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    fd = out.fileno()
    while data:
        data = data[os.write(fd, data) :]


async def read_lines() -> AsyncGenerator[str, None]:
    """Yield the lines of stdin without their ends; safe to cancel.

    Raises:
        CommandFailed: A line is not UTF-8.
    """
    rest = b""
    number = 0
    while True:
        data = await _read()
        *lines, rest = (rest + data).split(b"\n")
        if not data and rest:
            lines.append(rest)
        for line in lines:
            number += 1
            try:
                yield line.removesuffix(b"\r").decode()
            except UnicodeDecodeError:
                raise CommandFailed(f"line {number} of stdin is not UTF-8") from None
        if not data:
            return


async def _read() -> bytes:
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        return b""  # closed when the program was started
    fd = sys.stdin.fileno()
    try:
        await trio.lowlevel.wait_readable(fd)
    except PermissionError:
        # A file: epoll does not take it, because it never has to be waited for.
        return await trio.to_thread.run_sync(
            os.read, fd, _READ_SIZE, abandon_on_cancel=True
        )
    try:
        return os.read(fd, _READ_SIZE)
    except OSError:
        return b""  # the terminal is gone
