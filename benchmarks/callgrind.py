"""Reads what callgrind writes: instructions by object file and function."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

# A line of costs begins with a position: a line number, or its difference.
POSITIONS = frozenset("0123456789+-*")


def read_profile(path: Path) -> Counter[str]:
    """Instructions that each function spent itself, as ``OBJECT:FUNCTION``.

    In the format of "Callgrind Format Specification" in valgrind's manual: names are
    written out once and have a number from then on, calls are told in two lines, of
    which the second is what was spent in the function called, not here.
    """
    names: dict[str, str] = {}
    found: Counter[str] = Counter()
    place = {"ob": "", "fn": ""}
    called = False
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line[0] in POSITIONS:
                if not called:
                    found[f"{place['ob']}:{place['fn']}"] += int(line.split()[1])
                called = False
                continue
            key, _, value = line.rstrip("\n").partition("=")
            if key == "calls":
                called = True
            elif key in {"ob", "fn", "cob", "cfn"}:
                name = _name(key[-2:], value, names)
                if key in place:
                    place[key] = name
    return found


def _name(kind: str, value: str, names: dict[str, str]) -> str:
    number, _, text = value.partition(" ")
    if text:
        names[kind + number] = text
    return names.get(kind + number, value)


def readable(name: str) -> str:
    """File and function, without directories and what Cython does to names."""
    path, _, function = name.partition(":")
    file = Path(path).name.partition(".cpython-")[0]
    if mangled := re.match(r"__pyx_[a-z]+_(?=\d)", function):
        words = function[mangled.end() :]
        # Each scope is its length, its name and an underscore; the rest is the name.
        while length := re.match(r"\d+", words):
            end = length.end() + int(length[0])
            function = words[length.end() : end]
            words = words[end + 1 :]
        function = f"{function}.{words}"
    return f"{file}:{function}"


def group(name: str) -> str:
    """Whose a function is, by the file it lies in."""
    path = Path(name.partition(":")[0])
    base = path.name
    if path.parts[-2:-1] and "trio_fastws" in path.parts:
        return "ours"
    if base.startswith(("libc.", "libc-", "ld-", "libm.", "libpthread")):
        return "libc"
    if base.startswith(("libz.", "zlib", "isal", "_isal", "zlib_ng")):
        return "zlib"
    if base.startswith(("python", "libpython")) or path.parent.name == "lib-dynload":
        return "python"
    return "floor" if base == "floor" else "others"
