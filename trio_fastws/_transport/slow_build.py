"""Says that the compiled modules are missing.

Without a C compiler an install succeeds, in silence.
"""

from __future__ import annotations

from functools import cache

from trio_fastws._build import CHOSEN_PURE, COMPILED

from .logs import logger


@cache  # once in a process
def warn_of_slow_build() -> None:
    """Warn if modules are not compiled, unless ``TRIO_FASTWS_PURE`` asks for that."""
    if not COMPILED and not CHOSEN_PURE:
        # A server of hooks that echoes 1,000 bytes: half as fast with one message at a
        # time, a fifth with 64 at a time.
        logger.warning(
            "trio_fastws runs without its compiled modules, 2 to 6 times slower: "
            "install it again where there is a C compiler, or set TRIO_FASTWS_PURE=1"
        )
