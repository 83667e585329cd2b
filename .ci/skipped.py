"""A plugin for pytest: writes which tests were skipped, for `pytest @FILE` to run.

TRIO_FASTWS_SKIPPED names the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

# Reports of other processes come to the first one too, and are written once.
_FIRST = "PYTEST_XDIST_WORKER" not in os.environ


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write the test's name if it was skipped."""
    if report.skipped and _FIRST:
        path = Path(os.environ["TRIO_FASTWS_SKIPPED"])
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{report.nodeid}\n")
