"""Pages with generated parts: tables in Markdown, and the markers around them.

A part stands between two lines, and everything outside of them is left alone:

    <!-- begin: NAME -->
    <!-- end: NAME -->
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tables import aligned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Table:
    """A heading, what it means, and rows of text."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_markdown(self) -> str:
        """For the documentation."""
        ruler = ["--", *("--:" for _ in self.columns[1:])]
        lines = [self.columns, ruler, *self.rows]
        body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"**{self.title}.** {self.note}\n\n{body}\n"

    def show(self) -> None:
        """Print it, with lines and colours if rich is there to draw them."""
        try:
            from rich.console import Console  # noqa: PLC0415 - only if installed
            from rich.table import Table as Drawn  # noqa: PLC0415
        except ImportError:
            lines = aligned(list(self.columns), [list(row) for row in self.rows])
            print(f"\n== {self.title}\n{self.note}", *lines, sep="\n", flush=True)
            return
        drawn = Drawn(title=self.title, caption=self.note)
        for number, column in enumerate(self.columns):
            drawn.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            drawn.add_row(*row)
        console = Console()
        # Not cut to 80 columns where nobody looks.
        console = console if console.is_terminal else Console(width=140)
        console.print(drawn)


def sections(path: Path) -> list[str]:
    """The names of a page's generated parts."""
    text = path.read_text(encoding="utf-8")
    return re.findall(r"^<!-- begin: (\S+) -->$", text, re.MULTILINE)


def split_page(path: Path, name: str) -> tuple[str, str]:
    """All up to the first marker of a name, and all from the second on.

    Raises:
        ValueError: The page does not have the two markers once, in order.
    """
    page = path.read_text(encoding="utf-8")
    begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->\n"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed) or begin in rest or end in before + after:
        raise ValueError(f"{path} must have once: {begin.strip()} and {end.strip()}")
    return before + begin, end + after


def replace_section(path: Path, name: str, text: str) -> None:
    """Put a text between the markers of a name.

    Raises:
        ValueError: The page does not have the two markers once, in order.
    """
    before, after = split_page(path, name)
    path.write_text(f"{before}\n{text.strip()}\n\n{after}", encoding="utf-8")
