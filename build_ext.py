"""How the hot modules are compiled: setuptools' own way and two rules.

With ``TRIO_FASTWS_PURE=1`` in the environment nothing is compiled. Otherwise each
extension carries the SHA-256 of the files it was made from, because Python
prefers a stale extension to the source beside it without a word; a test compares
them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from setuptools.command.build_ext import build_ext

if TYPE_CHECKING:
    from setuptools import Extension

PACKAGE = Path("trio_fastws")
# `used`: nothing refers to it, and it must not be optimised away.
STAMP = """\
#ifdef __GNUC__
__attribute__((used))
#endif
static const char made_from[] =
{lines};
"""


class BuildExt(build_ext):
    """Compiles each extension together with a record of its sources."""

    def run(self) -> None:
        """Build all extensions, or none."""
        if os.environ.get("TRIO_FASTWS_PURE", "") in {"", "0"}:
            super().run()

    def build_extension(self, ext: Extension) -> None:
        """Build one extension."""
        # Every declaration, for what one class's layout means to another module.
        made_from = [Path(ext.sources[0]), *sorted(PACKAGE.rglob("*.pxd"))]
        stamp = Path(self.build_temp, f"{ext.name}.stamp.c")
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(STAMP.format(lines="\n".join(map(_line, made_from))))
        ext.sources.append(str(stamp))
        ext.depends = [*ext.depends, *map(str, made_from)]
        super().build_extension(ext)


def _line(path: Path) -> str:
    # As sha256sum prints it, as a C string.
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f'    "{digest}  {path.as_posix()}\\n"'
