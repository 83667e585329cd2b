"""Count how often the work of one message goes from one file to another.

    python benchmarks/file_changes.py
    python benchmarks/file_changes.py --sequence

Runs the plain Python build, because compiled functions are not seen. See README.md
beside this file for what is counted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Self
from unittest import mock

import trio
import trio.testing

# For the package alone: a turn that took long would leave out its last look.
with (
    mock.patch.dict(os.environ, TRIO_FASTWS_PURE="1"),
    mock.patch("time.perf_counter", return_value=0.0),
):
    import trio_fastws
    from trio_fastws import EventHandler, WebSocket, serve_websocket

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

PACKAGE = str(Path(trio_fastws.__file__).parent) + os.sep
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
# 16 bytes of text, masked with zeros.
MESSAGE = b"\x81\x90\0\0\0\0sixteen bytes..."
ANSWER = b"\x81\x10sixteen bytes..."
# The first ones make what later ones find made: outboxes, buffers, caches.
WARM_UP = 3


class Echo(EventHandler):
    """Answers each message with itself."""

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Send it back."""
        ws.send_nowait(message)


class FileChanges:
    """The files of the package in the order in which their functions are called.

    A file is there again when a function of another file was called in between.
    Returning to a file is no entry: who reads the code has its place there still.
    """

    def __init__(self) -> None:
        self.sequence: list[str] = []

    def __enter__(self) -> Self:
        sys.setprofile(self._on_event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _on_event(self, frame: FrameType, event: str, _: object) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(PACKAGE):
            file = path.removeprefix(PACKAGE)
            if self.sequence[-1:] != [file]:
                self.sequence.append(file)


async def _read(stream: trio.SocketStream, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        more = await stream.receive_some()
        if not more:
            raise ConnectionError(f"the server closed behind {data!r}")
        data += more
    return data


async def _settled(stream: trio.SocketStream, data: bytes, end: bytes) -> list[str]:
    """Send ``data``; return the files until the answer has come and all is done."""
    await trio.testing.wait_all_tasks_blocked()
    with FileChanges() as changes:
        await stream.send_all(data)
        await _read(stream, end)
        # What the server does behind its answer belongs to it.
        await trio.testing.wait_all_tasks_blocked()
    return changes.sequence


async def _count() -> dict[str, list[str]]:
    found = {}
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, Echo(), 0)
        for _ in range(1 + WARM_UP):
            stream = await trio.open_tcp_stream("127.0.0.1", server.port)
            async with stream:
                found["handshake"] = await _settled(stream, REQUEST, b"\r\n\r\n")
                for _ in range(1 + WARM_UP):
                    found["echo"] = await _settled(stream, MESSAGE, ANSWER)
        # The end of the last connection, whose deadline would never come.
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return found


def count() -> dict[str, list[str]]:
    """Return the files that an echo and a handshake go through, in order."""
    # A clock that stands still: no timer fires in between.
    return trio.run(_count, clock=trio.testing.MockClock())


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table for an echo and one for a handshake."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--sequence", action="store_true", help="print the files in their order too"
    )
    arguments = parser.parse_args(argv)
    for title, sequence in count().items():
        print(f"one {title}\n  entries  file")
        for file, entries in Counter(sequence).most_common():
            print(f"  {entries:>7}  {file}")
        print(f"  {len(sequence):>7}  in all")
        if arguments.sequence:
            print("  " + "\n  ".join(sequence))
        print()


if __name__ == "__main__":
    main()
