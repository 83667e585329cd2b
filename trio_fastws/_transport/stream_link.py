"""A link over any `trio.abc.Stream`: TLS, memory pairs, tunnels.

Where a socket can be asked without waiting, a stream cannot: two tasks wait
for it here, one that reads and one that writes, and bring its bytes into the
same turn as everything else. They live in the nursery of whoever made the link
and end with it.

A write in progress is never cancelled except to give the connection up, so no
frame is torn; ``send_all`` is told nothing it would have to take back.
"""

from __future__ import annotations

import logging
import socket
import sys
from typing import Any, cast

import trio

from trio_fastws._layout import HEADROOM

from . import syscalls as calls
from .addresses import peer_of
from .close_notify import Parting, as_tls, end_output
from .contract import READ_SIZE, Dispatcher, Link, Owner
from .failing import contain, drop_cork, log_failure
from .logs import log
from .unsent import first_bytes, limit_unsent

# Bytes taken from the owner and not yet given to the stream: enough to keep the
# stream busy while the owner is asked for more.
WRITE_SIZE = 64 * 1024
# What one pump's read may take of the time of all: trio runs every pump that has
# something before it looks at anything else. The loop does the rest, in turns.
READ_SECONDS = 0.0001
# Where tcpi_bytes_acked stands in what TCP_INFO gives (linux/tcp.h).
BYTES_ACKED = 120


class StreamLink(Link):
    """A link over a trio stream; its two tasks run in `run`."""

    __slots__ = (
        "_closed",
        "_parting",
        "_reading",
        "_room_wanted",
        "_scope",
        "_sending",
        "_sent",
        "_shut_down",
        "_size",
        "_stream",
        "_unread",
        "_wake_reader",
        "_wake_writer",
        "_wire",
        "written",
    )

    def __init__(
        self, dispatcher: Dispatcher, owner: Owner, stream: trio.abc.Stream
    ) -> None:
        super().__init__(dispatcher, owner)
        self._stream = stream
        self._scope = trio.CancelScope()
        self._wire: list[bytes] = []
        self._size = 0
        # How many bytes the stream was given that it has not sent yet, and has.
        self._sending = 0
        self._sent = 0
        self._reading = True
        self._room_wanted = False
        self._shut_down = False
        self._unread = False
        self._closed = False
        tls = as_tls(stream)
        # What TLS has to say at the end; None for other streams.
        self._parting = None if tls is None else Parting(tls)
        self._wake_reader = trio.Event()
        self._wake_writer = trio.Event()
        # Set when nothing more will be written: all is, or it is too late.
        self.written = trio.Event()

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Move bytes until the link is closed, then close the stream.

        Protected from KeyboardInterrupt, as the loop is, with every hook that
        is called from here. Cancelling it gives the connection up. Never raises
        because of the stream or the peer: the owner hears of it by `Owner._on_eof`.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    if self._parting is None:
                        await self._read_all()
                    else:
                        await self._parting.read(self._read_all)
                        if self._shut_down:
                            await self._parting.read_on()
                        elif self.owner is not None and self._parting.wanted:
                            # The peer has ended TLS: that was waited for.
                            self._end(None)
        except* Exception as group:  # noqa: BLE001 - isolation: logged, the link ends
            self._fail(group)
        finally:
            if self.owner is not None:
                self._end(None)
            # Forceful: a graceful TLS goodbye was sent by `shutdown`.
            await close_stream(self._stream)

    def _fail(self, group: ExceptionGroup[Exception]) -> None:
        # What no stream of trio's raises, or a bug in an owner.
        dispatcher, owner = self.dispatcher, self.owner
        log_stream_failure(group, owner)
        drop_cork(dispatcher)
        if owner is not None:
            try:
                self._end(OSError(_cause(_innermost(group))))
            except Exception as error:  # noqa: BLE001 - isolation
                contain(dispatcher, owner, error)

    async def _read_all(self) -> None:
        while True:
            owner = self.owner
            if owner is None:  # closed
                return
            if not self._reading or owner._is_deferred:
                self._wake_reader = trio.Event()
                if owner._is_deferred:
                    await trio.lowlevel.checkpoint()
                else:
                    await self._wake_reader.wait()
                continue
            try:
                narrow = self.dispatcher.narrow
                size = READ_SIZE if narrow is None else len(narrow)
                data = await self._stream.receive_some(size)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self._end(OSError(_cause(error)))
                return
            if not data:
                self._end(None)
                return
            self._hand_over(data)

    def _hand_over(self, data: bytes | bytearray) -> None:
        # Into the owner's own buffer as long as it has one, then by the turn's.
        dispatcher = self.dispatcher
        dispatcher.begin(READ_SECONDS)
        view = memoryview(data)
        while view and self.owner is not None:
            owner = self.owner
            target = owner._get_buffer() if owner._direct else None
            if target is None:
                dispatcher.window[: len(view)] = view
                owner._on_data(HEADROOM, HEADROOM + len(view))
                return
            size = min(len(target), len(view))
            target[:size] = view[:size]
            owner._on_filled(size)
            view = view[size:]

    def _end(self, error: OSError | None) -> None:
        self.broken = self.broken or error is not None
        if self.owner is not None:
            self.dispatcher.begin()
            self.owner._on_eof(error)

    @trio.lowlevel.enable_ki_protection
    async def _write(self) -> None:
        try:
            while not self._closed:
                if self._wire:
                    if not await self._send():
                        return
                elif self._parting is not None and self._parting.pending():
                    self._stream = await self._parting.say()
                elif self._shut_down:
                    try:
                        if not await end_output(self._stream, self._unread):
                            self._scope.cancel()
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        self.broken = True
                    return
                else:
                    self._wake_writer = trio.Event()
                    await self._wake_writer.wait()
        finally:
            self.written.set()
            if self._parting is not None:
                self._parting.done.set()

    async def _send(self) -> bool:
        # False if the stream is broken.
        try:
            if self.unsent_limit > 0:
                # As a socket in an epoll: not before the kernel has sent what it has.
                await self._stream.wait_send_all_might_not_block()
            data, self._wire = b"".join(self._wire), []
            self._sending, self._size = self._size, 0
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.broken = True
            if self.owner is not None:
                self.dispatcher.mark(self.owner)
            return False
        self._sent += self._sending
        self._sending = 0
        if self._room_wanted and self.owner is not None:
            # The loop may have been parked for long: its time is old. And
            # there may be a hundred pumps, each of which takes so much.
            self.dispatcher.begin(READ_SECONDS)
            self.owner._on_writable()
        return True

    def write(self, parts: list[bytes], size: int) -> int:
        """See `Link.write`: takes what still fits."""
        if self.broken or self._closed:
            return size
        if self._parting is not None and self._parting.wanted:
            return size
        most = self.unsent_limit or WRITE_SIZE
        room = min(most, WRITE_SIZE) - self._size
        if room <= 0:
            return 0
        if size > room:
            # Not more: what is taken counts as progress of the peer.
            parts = first_bytes(parts, room)
            size = room
        self._wire += parts
        self._size += size
        self._wake_writer.set()
        return size

    def limit_unsent(self, size: int) -> None:
        """See `Link.limit_unsent`; it counts what waits here as well."""
        self.unsent_limit = size
        sock = _socket_of(self._stream)
        if sock is not None:
            limit_unsent(sock, size)

    def want(self, read: bool, write: bool) -> None:
        """See `Link.want`."""
        self._reading = read
        if read:
            self._wake_reader.set()
        self._room_wanted = write

    def unacknowledged(self) -> int:
        """See `Link.unacknowledged`: what waits here, and in the innermost socket."""
        waiting = self._size + self._sending
        sock = _socket_of(self._stream)
        if sock is not None:
            waiting += calls.unacknowledged(sock.fileno())
        return waiting

    def is_lost(self) -> bool:
        """See `Link.is_lost`."""
        sock = _socket_of(self._stream)
        return (
            self.unacknowledged() > 0 if sock is None else calls.is_lost(sock.fileno())
        )

    def acknowledged(self, on_the_way: bool = False) -> int:
        """See `Link.acknowledged`: of the innermost socket, if there is one."""
        sock = _socket_of(self._stream)
        if on_the_way and self._size > 0 and self._sending == 0:
            return -1  # its task has yet to run, which gives it to the system
        if sock is None:
            return self._sent + (self._sending if on_the_way else 0)
        rest = calls.unacknowledged(sock.fileno())
        done = self._sent - rest
        if sock.family != socket.AF_UNIX and hasattr(socket, "TCP_INFO"):
            # Not what was written: TLS makes more of it.
            size = BYTES_ACKED + 8
            try:
                info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
            except OSError:
                return done  # closed meanwhile
            if len(info) == size:
                done = int.from_bytes(info[BYTES_ACKED:], sys.byteorder)
        return done + rest - calls.unsent(sock.fileno()) if on_the_way else done

    def say_goodbye(self) -> None:
        """See `Link.say_goodbye`."""
        if self._parting is not None:
            self._parting.wanted = True
            self._wake_writer.set()

    def shutdown(self, unread: bool = False) -> None:
        """See `Link.shutdown`; what was written goes out first."""
        self._shut_down = True
        self._unread = unread
        if not unread:
            self.say_goodbye()
        self._wake_writer.set()

    def flushing(self) -> bool:
        """See `Link.flushing`; `run` reports the end of input again."""
        waits = self._shut_down or self._sending + self._size > 0
        if self._parting is not None and self._parting.pending():
            waits = True
        return waits and not self.written.is_set()

    def close(self) -> None:
        """See `Link.close`."""
        self._closed = True
        if self.owner is not None:
            self.owner._link = None
            self.owner = None
        self._scope.cancel()

    def peer_address(self) -> object:
        """Return the address of the innermost socket's peer, None if none."""
        sock = _socket_of(self._stream)
        return None if sock is None else peer_of(sock)

    def local_address(self) -> object:
        """Return the address of the innermost socket, None if none."""
        sock = _socket_of(self._stream)
        if sock is None:
            return None
        try:
            return sock.getsockname()
        except OSError:
            return None


async def close_stream(stream: trio.abc.Stream) -> None:
    """Close a stream at once; what it raises is logged. A checkpoint."""
    try:
        await trio.aclose_forcefully(stream)
    except* Exception as group:  # noqa: BLE001 - isolation: logged, it is gone
        log_stream_failure(group)


def log_stream_failure(group: ExceptionGroup[Exception], owner: Any = None) -> None:
    """Log, in one record, what a stream should not have raised.

    trio's streams raise `trio.BrokenResourceError`. One that somebody wrapped may let
    an OSError through, and that the peer is gone needs no traceback.
    """
    error = _innermost(group)
    if isinstance(error, OSError):
        kind = type(error).__name__
        log(logging.WARNING, owner, "a stream failed: %s: %s", kind, error)
    elif isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError):
        log(logging.DEBUG, owner, "a stream failed: %s", _cause(error))
    else:
        log_failure(error, owner)


def _innermost(error: Exception) -> Exception:
    # What one task raises comes out of each nursery in another group.
    inner: object = error
    while isinstance(inner, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", inner)
        if len(group.exceptions) != 1:
            return group
        error = inner = group.exceptions[0]
    return error


def _socket_of(stream: Any) -> trio.socket.SocketType | None:
    if isinstance(stream, trio.SSLStream):
        return _socket_of(cast("Any", stream).transport_stream)
    return stream.socket if isinstance(stream, trio.SocketStream) else None


def _cause(error: BaseException) -> str:
    inner = error.__cause__
    return str(inner if inner is not None else error) or type(error).__name__
