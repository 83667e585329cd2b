"""The figures of a run, and the file that keeps them between measuring and drawing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from building import RigError
from cells import parse_cell
from tables import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from cells import Cell


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured, on what, and what came of it.

    Attributes:
        about: The machine, the versions, and how long it was measured.
        cells: In the order in which they were measured.
    """

    about: Mapping[str, Any]
    cells: list[tuple[Cell, Sequence[Row]]] = field(default_factory=list)

    def row(self, cell: str, server: str) -> Row | None:
        """A server's row in a cell, if it was measured there."""
        rows = (row for found, rows in self.cells if found.name == cell for row in rows)
        return next((row for row in rows if row.server == server), None)

    def of_kind(self, *kinds: str) -> Iterator[tuple[Cell, Sequence[Row]]]:
        """The cells of some kinds."""
        return ((cell, rows) for cell, rows in self.cells if cell.kind in kinds)

    def servers(self) -> list[str]:
        """All that were measured, the first cell's first."""
        names = (row.server for _, rows in self.cells for row in rows)
        return list(dict.fromkeys(names))

    def status(self, *, quick: bool) -> int:
        """What a program that measured these exits with.

        Returns:
            1 if a server did something wrong once, or has no figure in some cell. For
            figures of a quick run nobody asks: there it is only what went wrong.
        """
        rows = [row for _, rows in self.cells for row in rows]
        return int(any(row.broken or (row.failed and not quick) for row in rows))

    def title(self) -> str:
        """The machine and the versions in a line."""
        about = self.about
        return (
            f"{about['cpu']}, {about['cores']} cores, Python {about['python']}, "
            f"{', '.join(about['peers'])}, trio_fastws {about['trio_fastws']}"
        )

    def save(self, path: Path) -> None:
        """Write it all as JSON, every sample of it."""
        cells = [
            {"cell": cell.name, "rows": [row.as_json() for row in rows]}
            for cell, rows in self.cells
        ]
        text = json.dumps({"about": self.about, "cells": cells}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote.

        Raises:
            RigError: It is no such file.
        """
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            cells: list[tuple[Cell, Sequence[Row]]] = [
                (parse_cell(x["cell"]), [Row.from_json(row) for row in x["rows"]])
                for x in told["cells"]
            ]
            return cls(told["about"], cells)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RigError(f"no figures in {path}: {error!r}") from error
