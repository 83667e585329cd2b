"""What shows that a peer harmed nobody: the others' echoes, the memory used."""

from __future__ import annotations

import gc
import tracemalloc
import zlib
from typing import Self

from tests.wire import (
    TEXT,
    Peer,
)
from trio_fastws import EventHandler


class Used:
    """The most memory that was used at once since the block began."""

    def __enter__(self) -> Self:
        gc.collect()
        tracemalloc.start()
        self._before, _ = tracemalloc.get_traced_memory()
        return self

    def __exit__(self, *_: object) -> None:
        tracemalloc.stop()

    def peak(self) -> int:
        return tracemalloc.get_traced_memory()[1] - self._before


class Echo(EventHandler):
    def __init__(self) -> None:
        self.reasons = []

    def on_message(self, ws, message) -> None:
        ws.send_nowait(message)

    def on_close(self, ws) -> None:
        self.reasons.append((ws.close_code, ws.close_reason))


async def echo(peer: Peer, message: bytes) -> None:
    await peer.send_message(TEXT, message)
    assert (await peer.read_message()).payload == message


def bomb(size: int, bits: int = 15) -> bytes:
    """Return zeros, compressed as well as can be: 1 to 1,000."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -bits)
    data = b"".join(compressor.compress(bytes(2**16)) for _ in range(size >> 16))
    data += compressor.compress(bytes(size & 0xFFFF))
    return (data + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
