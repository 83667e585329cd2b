"""The libraries that can compress: zlib, and those with the same functions."""

from __future__ import annotations

import importlib
from typing import Any

# By their names in `PerMessageDeflate.library`: the module with the names of `zlib`.
LIBRARIES = {"zlib": "zlib", "zlib-ng": "zlib_ng.zlib_ng", "isal": "isal.isal_zlib"}


def find_library(name: str) -> Any:
    """Return a library's module, which has the names of `zlib`.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return importlib.import_module(LIBRARIES[name])
    except ImportError as error:
        raise ImportError(
            f"library {name!r} cannot be imported ({error}): "
            "pip install 'trio-fastws[deflate]'"
        ) from error
