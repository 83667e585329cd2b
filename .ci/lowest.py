"""Prints what pyproject.toml allows at least, as requirements that allow nothing else.

``trio>=0.27`` becomes ``trio==0.27``: of what the library needs to run, of the extras
that are named, and, with ``build``, of what builds it.

    python .ci/lowest.py build test >requirements.txt
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOUND = re.compile(r"(?P<name>[\w.-]+)>=(?P<least>[\w.]+)(?P<when> *;.*)?")


def main() -> None:
    """Print one requirement a line."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = told["project"]
    found = list(project["dependencies"])
    for extra in sys.argv[1:]:
        found += (
            told["build-system"]["requires"]
            if extra == "build"
            else project["optional-dependencies"][extra]
        )
    for requirement in found:
        bound = BOUND.fullmatch(requirement)
        if bound is None:
            raise SystemExit(f"{requirement!r} has no lower bound, or more than one")
        print(f"{bound['name']}=={bound['least']}{bound['when'] or ''}")


if __name__ == "__main__":
    main()
