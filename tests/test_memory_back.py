"""What many connections held goes back to the system when they are gone."""

from __future__ import annotations

import platform
import sys
import zlib

import pytest

from tests.soak import Clients, serving
from tests.wire import (
    BINARY,
    Frame,
    masked,
)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc",
    reason="needs /proc, epoll and glibc",
)
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
MESSAGE = 2**20
# Below the pressure of `Limits.total`: each may hold what it likes.
CONNECTIONS = 150


def _bomb() -> bytes:
    # 1 KiB that inflates to 1 MiB, and is not the end of its message.
    deflate = zlib.compressobj(9, zlib.DEFLATED, -12)
    data = deflate.compress(bytes(MESSAGE)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    whole = masked(Frame(BINARY, data, fin=False))
    return bytes([whole[0] | 0x40]) + whole[1:]


@pytest.mark.parametrize("kind", ["events", "tasks"])
def test_what_many_connections_held_goes_back(kind: str) -> None:
    with serving(kind) as server:
        clients = Clients(CONNECTIONS, server.port, OFFER)
        clients.open()
        start = server.look()
        clients.send(_bomb())
        held = server.look_when(lambda seen: seen["held"] >= CONNECTIONS * MESSAGE)
        # KiB; some of it is the window of each.
        grown = held["rss"] - start["rss"]
        assert grown > CONNECTIONS * MESSAGE * 0.9 / 1024
        clients.reset()
        most = start["rss"] + grown / 8
        after = server.look_when(
            lambda seen: seen["connections"] == 0 and seen["rss"] <= most
        )
        assert after["connections"] == after["held"] == 0
        assert after["rss"] - start["rss"] <= grown / 8, (start, held, after)
        assert server.stop() == 0
