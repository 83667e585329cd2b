"""Where ``trio-fastws dial`` reads lines and shows messages.

Owns stdin and stdout: reads that can be cancelled, writes that do not hold up the
connection. Of WebSockets it knows only that messages are ``str`` or ``bytes``.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

import trio

from .words import CommandFailed, clean, print_line

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

_READ_SIZE = 64 * 1024


# Insert rows above the cursor's: save the cursor, make room below, go back up and
# insert them; then restore the cursor and move it down as far.
_ABOVE, _BACK = "\x1b7{room}\x1b[{rows}A\x1b[{rows}L", "\x1b8\x1b[{rows}B"
_PROMPT = "> "
_ERASE = "\r\x1b[K"
# Of messages, on terminals with colours.
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
        """Print messages, one a line.

        A checkpoint. If cancelled, a part of them may have been printed.

        Raises:
            CommandFailed: Nobody reads stdout any more.
        """
        lines = "\n".join(map(self._format, messages))
        text = f"{lines}\n" if self._console is None else self._render(lines)
        try:
            # In a thread: the reader of a pipe may be slow, and meanwhile the
            # server's Pings must be answered.
            await trio.to_thread.run_sync(
                _write, text.encode(errors="replace"), abandon_on_cancel=True
            )
        except OSError as error:
            raise CommandFailed(f"cannot write to stdout: {error.strerror}") from None

    def note(self, text: str, *, always: bool = False) -> None:
        """Print a note to stderr, if a person is there or if ``always``."""
        if always or self.interactive:
            print_line(clean(text))

    def prompt(self) -> None:
        """Print the prompt, if a person types."""
        if self.interactive and self._console is not None:
            self._prompted = True
            _write(_PROMPT.encode())

    def clear(self) -> None:
        """Erase the prompt, if there is one."""
        if self._prompted:
            self._prompted = False
            _write(_ERASE.encode())

    def _format(self, message: str | bytes) -> str:
        text = f"0x{message.hex()}" if isinstance(message, bytes) else message
        if self._terminal:
            text = clean(text)
        return f"< {text}" if self._terminal and self.interactive else text

    def _render(self, text: str) -> str:
        # Not wrapped: the terminal does that itself, and then a message that is copied
        # from it has no line ends in it.
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
    # Not through sys.stdout: an abandoned thread would hold its lock, and the
    # interpreter would wait for that when it ends.
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
        # A regular file is always readable, so epoll refuses it.
        return await trio.to_thread.run_sync(
            os.read, fd, _READ_SIZE, abandon_on_cancel=True
        )
    try:
        return os.read(fd, _READ_SIZE)
    except OSError:
        return b""  # the terminal is gone
