"""The C programs: what they are made of, and where they are kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
_LOADGEN = "loadgen.c options.c texts.c client.c verify.c stats.c"
PROGRAMS = {
    "floor": ["floor.c", "codec.c", "ws.c"],
    "loadgen": [*_LOADGEN.split(), "codec.c", "ws.c"],
}
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
LIBRARIES = ["-lz"]


class RigError(Exception):
    """A program could not be built, or did not do what it is for."""


def build() -> dict[str, Path]:
    """Compile what changed, into a cache outside the tree; name to program."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RigError("no C compiler: install one, or name it in CC")
    sources = sorted(HERE.glob("*.[ch]"))
    text = b"".join(path.read_bytes() for path in sources)
    digest = hashlib.sha256(f"{compiler}{FLAGS}{PROGRAMS}".encode() + text).hexdigest()[
        :16
    ]
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(base) / "trio_fastws-benchmarks" / digest
    cache.mkdir(parents=True, exist_ok=True)
    built = {name: cache / name for name in PROGRAMS}
    for name, parts in PROGRAMS.items():
        if built[name].exists():
            continue
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            target = Path(scratch) / name
            command = [compiler, *FLAGS, "-o", str(target), *parts, *LIBRARIES]
            done = subprocess.run(
                command, cwd=HERE, capture_output=True, text=True, check=False
            )
            if done.returncode:
                hint = "zlib.h comes with zlib1g-dev, or zlib-devel"
                raise RigError(f"{' '.join(command)}\n{done.stderr}({hint})")
            target.replace(built[name])
    return built
