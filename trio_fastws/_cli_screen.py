"""Where ``trio-fastws dial`` reads lines and shows messages.

Owns stdin and stdout: reading that can be cancelled, writing that does not hold
up the connection. Knows nothing of WebSockets but that messages are ``str`` or
``bytes``.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

import trio

from ._cli_words import CommandFailed, clean, say

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

_READ_SIZE = 64 * 1024


# Put a line above the one where the cursor is: save the cursor, make room below,
# go back up, push the line down; then restore the cursor and follow that line.
_ABOVE, _BACK = "\x1b7\n\x1b[A\x1b[L", "\x1b8\x1b[B"


class Screen:
    """Shows messages on stdout and notes on stderr.

    On a terminal `rich`, if it is there, gives colour, and a prompt that stays
    put while messages arrive.

    Attributes:
        interactive: Whether a person types what is sent.
    """

    def __init__(self, interactive: bool) -> None:
        self.interactive = interactive
        self._terminal = sys.stdout.isatty()
        self._console: Any = None
        self._prompted = False
        if self._terminal:
            try:
                console = importlib.import_module("rich.console")
            except ModuleNotFoundError:
                return
            self._console = console.Console(highlight=False, markup=False, emoji=False)

    async def show(self, messages: Sequence[str | bytes]) -> None:
        """Write messages, one a line.

        A checkpoint. Cancelled, what was not written yet is not.

        Raises:
            CommandFailed: Nobody reads stdout any more.
        """
        text = "".join(f"{self._format(message)}\n" for message in messages)
        if self._console is not None:
            text = self._render(text)
        try:
            # In a thread: a reader of the pipe may be slow, and meanwhile the
            # server's pings want their answers.
            await trio.to_thread.run_sync(
                _write, text.encode(errors="replace"), abandon_on_cancel=True
            )
        except OSError as error:
            raise CommandFailed(f"cannot write to stdout: {error.strerror}") from None

    def note(self, text: str, *, always: bool = False) -> None:
        """Say something on stderr: to a person, or to whoever asked for it."""
        if always or self.interactive:
            say(clean(text))

    def prompt(self) -> None:
        """Ask a person for the next line."""
        if self.interactive and self._console is not None:
            self._prompted = True
            _write(b"> ")

    def clear(self) -> None:
        """Take the prompt away, if there is one."""
        if self._prompted:
            self._prompted = False
            _write(b"\r\x1b[K")

    def _format(self, message: str | bytes) -> str:
        text = f"0x{message.hex()}" if isinstance(message, bytes) else message
        if self._terminal:
            text = clean(text)
        return f"< {text}" if self._terminal and self.interactive else text

    def _render(self, text: str) -> str:
        with self._console.capture() as capture:
            self._console.print(text, style="cyan", end="", overflow="fold")
        rendered: str = capture.get()
        if not self._prompted:
            return rendered
        lines = rendered.removesuffix("\n").split("\n")
        return "".join(f"{_ABOVE}{line}{_BACK}" for line in lines)


def _write(data: bytes) -> None:
    # Not through sys.stdout: its lock, held by a thread that was abandoned,
    # would stop the interpreter at its end.
    fd = sys.stdout.fileno()
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
