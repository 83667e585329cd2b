"""Which build runs: compiled modules, or the same sources as plain Python.

Imported before everything else. With ``TRIO_FASTWS_PURE=1`` in the environment
the extension modules beside the sources are ignored.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

PACKAGE = "trio_fastws"
# Every module that is compiled, and the order in which they build on each other.
HOT = (
    "_protocol._xor",
    "_protocol.handshake.headers",
    "_protocol.handshake.http_head",
    "_protocol.handshake.accept_key",
    "_protocol.handshake.request",
    "_protocol.handshake.server",
    "_protocol.handshake.accepting",
    "_protocol.frames",
    "_protocol.deflate.agreement",
    "_protocol.deflate.context",
    "_protocol.store",
    "_protocol.messages",
    "_protocol.inflating",
    "_protocol.prepared",
    "_protocol.encoder",
    "_protocol.endpoint",
    "_protocol.fragments",
    "_transport.wheel",
    "_transport._current",
    "_transport.contexts",
    "_transport.peak",
    "_transport.contract",
    "_transport.progress",
    "_transport.linger",
    "_transport._syscalls",
    "_transport.epoll",
    "_connection.budget",
    "_connection.connections",
    "_connection.shared",
    "_connection.outbox",
    "_connection.inbox",
    "_connection.sending",
    "_connection.ending",
    "_connection.hooks",
    "_connection.connection",
    "_connection.opening",
    "_connection.steps",
    "_server.admission",
    "_server.answering",
    "_server.handshake",
)


class SourceFinder:
    """Finds only sources of this package, whatever lies beside them."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder.find_spec`."""
        if path is None or not name.startswith(PACKAGE + "."):
            return None
        for folder in path:
            finder = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))
            spec = finder.find_spec(name, target)
            if spec is not None and spec.loader is not None:
                return spec
        if name.rpartition(".")[2] in {"_xor", "_current", "_syscalls"}:
            raise ModuleNotFoundError(f"{name} is ignored: pure build", name=name)
        return None


def _is_compiled() -> bool:
    for name in HOT:
        spec = find_spec(f"{PACKAGE}.{name}")
        origin = "" if spec is None else spec.origin or ""
        if not origin.endswith(tuple(EXTENSION_SUFFIXES)):
            return False
    return True


# Whether plain Python was asked for.
CHOSEN_PURE: bool = os.environ.get("TRIO_FASTWS_PURE", "") not in ("", "0")
if CHOSEN_PURE:
    sys.meta_path.insert(0, SourceFinder)

# Whether every hot module is compiled: a missing compiler passes in silence.
COMPILED: bool = not CHOSEN_PURE and _is_compiled()
