"""A thousand connections at once leave nothing behind; see `tests/soak.py`."""

import sys

import pytest

from tests.soak import HANDLERS, soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and epoll")


@pytest.mark.parametrize("kind", list(HANDLERS))
def test_a_thousand_connections_leave_nothing_behind(kind):
    soak(kind, 1000).check()
