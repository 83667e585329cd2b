"""How TLS ends: close_notify, between a task that reads and one that writes.

Owns the order: everything is written, the reader makes way, close_notify is sent and
the peer's awaited, and TCP goes on until the peer has ended it too. What is unread when
a socket is closed would be answered with a reset.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DISCARD_SIZE = 64 * 1024


def as_tls(stream: object) -> trio.SSLStream[trio.abc.Stream] | None:
    """Return a stream as what it is, None if it is not TLS."""
    # isinstance alone would leave half of the type unknown.
    if isinstance(stream, trio.SSLStream):
        return cast("trio.SSLStream[trio.abc.Stream]", stream)
    return None


class CloseNotify:
    """The end of one TLS stream.

    Attributes:
        requested: Whether it is to be sent; nothing is written behind it.
        done: Set when TLS has ended, or never will.
    """

    def __init__(self, tls: trio.SSLStream[trio.abc.Stream]) -> None:
        self._tls = tls
        self.requested = False
        self.done = trio.Event()
        # Of the task that reads TLS, and whether it has stopped.
        self._reading = trio.CancelScope()
        self._read = trio.Event()
        # The transport, once TLS has ended.
        self._stream: trio.abc.Stream | None = None

    def is_due(self) -> bool:
        """Return whether it is still to be sent, or to be answered."""
        return self.requested and not self.done.is_set()

    async def read(self, read_all: Callable[[], Awaitable[None]]) -> None:
        """Read until TLS ends or close_notify is to be sent; then wait for that."""
        with self._reading:
            await read_all()
        self._read.set()
        await self.done.wait()

    async def send(self) -> trio.abc.Stream:
        """Send it and wait for the peer's; return the transport, which stays open.

        RFC 8446 6.1: each party MUST send a close_notify before it closes its write
        side.
        """
        self._reading.cancel()
        await self._read.wait()
        stream = cast("Any", self._tls).transport_stream
        # Broken: the peer ended TCP instead, or sent something behind its Close.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._tls.unwrap()
        self._stream = stream
        self.done.set()
        return cast("trio.abc.Stream", stream)

    async def discard_rest(self) -> None:
        """Discard what comes behind TLS, until TCP ends; nothing if TLS has not."""
        stream = self._stream
        if stream is None:
            return
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while await stream.receive_some(DISCARD_SIZE):
                pass


async def end_output(stream: trio.abc.Stream, unread: bool) -> bool:
    """End our direction; return False if that closed the stream.

    Args:
        stream: TLS has ended already, or will not.
        unread: Whether the peer may be sending still. close_notify would end both
            directions then, and the peer has our Close, which says that this is no
            truncation: TCP's FIN has to do.

    Raises:
        trio.BrokenResourceError: The connection is broken.
    """
    end: Any = stream
    if unread and isinstance(end, trio.SSLStream):
        end = cast("Any", end).transport_stream
    if isinstance(end, trio.abc.HalfCloseableStream):
        await end.send_eof()
        return True
    await stream.aclose()
    return False
