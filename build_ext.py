"""How the hot modules are compiled: setuptools' own way and four rules.

With ``TRIO_FASTWS_PURE=1`` in the environment nothing is compiled. Otherwise each
extension carries the SHA-256 of the files it was made from, because Python
prefers a stale extension to the source beside it without a word; a test compares
them. All cores compile, Cython in processes as the C compiler is: what Python was
built with, ``-O3 -g``, one module after another, takes four times as long and runs
no faster. And some modules ask for a level of their own, see pyproject.toml.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from Cython.Build import cythonize
from setuptools.command.build_ext import build_ext

if TYPE_CHECKING:
    from setuptools import Extension

PACKAGE = Path("trio_fastws")
# Before what an extension asks for by itself; left alone if CFLAGS is set.
FLAGS = ["-O2", "-g0"]
# Public objects, and what they hold, are pickled as in the pure build. What Cython
# would make to pickle all others is a seventh of their code.
PICKLED = {
    "trio_fastws._protocol.handshake.http_head",
    "trio_fastws._protocol.handshake.request",
    "trio_fastws._protocol.prepared",
}
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
        if os.environ.get("TRIO_FASTWS_PURE", "") not in {"", "0"}:
            return
        if self.parallel is None:
            self.parallel = os.cpu_count() or 1
        # pip shows it with -v only, as it does with all that a build says.
        self.announce(
            f"compiling {len(self.extensions)} modules, {self.parallel} at a time; "
            "TRIO_FASTWS_PURE=1 installs them as Python",
            logging.WARNING,
        )
        in_c = {**self._to_c(pickled=True), **self._to_c(pickled=False)}
        for ext in self.extensions:
            ext.sources = in_c[ext.name]
        super().run()

    def _to_c(self, *, pickled: bool) -> dict[str, list[str]]:
        made = cythonize(
            [ext for ext in self.extensions if (ext.name in PICKLED) is pickled],
            quiet=True,
            force=self.force,
            # Processes, in spite of the name; 0: this one.
            nthreads=self.parallel if self.parallel > 1 else 0,
            compiler_directives={"auto_pickle": pickled},
        )
        return {ext.name: ext.sources for ext in made}

    def build_extensions(self) -> None:
        """Build all extensions, the compiler being known by now."""
        if self.compiler.compiler_type == "unix" and "CFLAGS" not in os.environ:
            for ext in self.extensions:
                ext.extra_compile_args = [*FLAGS, *ext.extra_compile_args]
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        """Build one extension."""
        # Every declaration, for what one class's layout means to another module.
        source = _source(Path(ext.sources[0]))
        made_from = [source, *sorted(PACKAGE.rglob("*.pxd"))]
        stamp = Path(self.build_temp, f"{ext.name}.stamp.c")
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(STAMP.format(lines="\n".join(map(_line, made_from))))
        ext.sources.append(str(stamp))
        ext.depends = [*ext.depends, *map(str, made_from)]
        super().build_extension(ext)


def _source(in_c: Path) -> Path:
    # What Cython has made that of, beside it.
    pyx = in_c.with_suffix(".pyx")
    return pyx if pyx.exists() else in_c.with_suffix(".py")


def _line(path: Path) -> str:
    # As sha256sum prints it, as a C string.
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f'    "{digest}  {path.as_posix()}\\n"'
