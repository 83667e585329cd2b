"""A link over any `trio.abc.Stream`: TLS, memory pairs, tunnels.

A socket can be read and written without waiting, a stream cannot: here two tasks wait
for it, one that reads and one that writes (the *pump*), and bring its bytes to the same
dispatcher as everything else. They live in the nursery of whoever made the link and end
with it.

A write in progress is never cancelled except to give the connection up, so no frame is
torn.
"""

from __future__ import annotations

import trio

from trio_fastws._layout import HEADROOM

from .close_notify import CloseNotify, as_tls, end_output
from .contract import READ_SIZE, Dispatcher, Link, Owner
from .failing import cause_of, contain, drop_cork, log_stream_failure, unwrap
from .stream_socket import socket_under
from .unsent import first_bytes

# Bytes taken from the owner and not yet given to the stream: enough to keep the
# stream busy while the owner is asked for more.
WRITE_SIZE = 64 * 1024
# How long one pump's read may keep all others waiting, in seconds: trio runs every pump
# that has something before it polls again. The loop does the rest, in turns.
READ_SECONDS = 0.0001


class StreamLink(Link):
    """A link over a trio stream; its two tasks run in `run`."""

    __slots__ = (
        "_close_notify",
        "_closed",
        "_output_ends",
        "_reading",
        "_room_wanted",
        "_scope",
        "_sending",
        "_sent",
        "_size",
        "_socket",
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
        self._socket = socket_under(stream)
        self._scope = trio.CancelScope()
        self._wire: list[bytes] = []
        self._size = 0
        # How many bytes `send_all` has and has not sent yet, and how many it has sent.
        self._sending = 0
        self._sent = 0
        self._reading = True
        self._room_wanted = False
        self._output_ends = False
        self._unread = False
        self._closed = False
        tls = as_tls(stream)
        # How TLS ends; None for other streams.
        self._close_notify = None if tls is None else CloseNotify(tls)
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
                    if self._close_notify is None:
                        await self._read_all()
                    else:
                        await self._close_notify.read(self._read_all)
                        if self._output_ends:
                            await self._close_notify.discard_rest()
                        elif self.owner is not None and self._close_notify.requested:
                            # The peer has ended TLS: that was waited for.
                            self._end(None)
        except* Exception as group:  # noqa: BLE001 - isolation: logged, the link ends
            self._fail(group)
        finally:
            if self.owner is not None:
                self._end(None)
            # Forceful: TLS was ended gracefully by `end_output`.
            await close_stream(self._stream)

    def _fail(self, group: ExceptionGroup[Exception]) -> None:
        # What no stream of trio's raises, or a bug in an owner.
        dispatcher, owner = self.dispatcher, self.owner
        log_stream_failure(group, owner)
        drop_cork(dispatcher)
        if owner is not None:
            try:
                self._end(OSError(cause_of(unwrap(group))))
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
                self._end(OSError(cause_of(error)))
                return
            if not data:
                self._end(None)
                return
            self._hand_over(data)

    def _hand_over(self, data: bytes | bytearray) -> None:
        # Into the owner's own buffer as long as it has one, then the dispatcher's.
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
                elif self._close_notify is not None and self._close_notify.is_due():
                    self._stream = await self._close_notify.send()
                elif self._output_ends:
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
            if self._close_notify is not None:
                self._close_notify.done.set()

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
            # The loop may have been parked for long: its time is old. And there may
            # be a hundred pumps, each of which takes `READ_SECONDS`.
            self.dispatcher.begin(READ_SECONDS)
            self.owner._on_writable()
        return True

    def write(self, parts: list[bytes], size: int) -> int:
        """See `Link.write`: takes what still fits."""
        if self.broken or self._closed:
            return size
        if self._close_notify is not None and self._close_notify.requested:
            return size
        most = self.unsent_limit or WRITE_SIZE
        room = min(most, WRITE_SIZE) - self._size
        if room <= 0:
            return 0
        if size > room:
            # No more than fits: what is taken counts as progress of the peer.
            parts = first_bytes(parts, room)
            size = room
        self._wire += parts
        self._size += size
        self._wake_writer.set()
        return size

    def _limit_unsent(self, size: int) -> None:
        # What waits here counts as well.
        self.unsent_limit = size
        if self._socket is not None:
            self._socket.limit_unsent(size)

    def want(self, read: bool, write: bool) -> None:
        """See `Link.want`."""
        self._reading = read
        if read:
            self._wake_reader.set()
        self._room_wanted = write

    def unacknowledged(self) -> int:
        """See `Link.unacknowledged`: what waits here, and in the socket below."""
        waiting = self._size + self._sending
        sock = self._socket
        return waiting if sock is None else waiting + sock.unacknowledged()

    def is_lost(self) -> bool:
        """See `Link.is_lost`."""
        sock = self._socket
        return self.unacknowledged() > 0 if sock is None else sock.is_lost()

    def acknowledged(self, on_the_way: bool = False) -> int:
        """See `Link.acknowledged`: of the socket below, if there is one."""
        if on_the_way and self._size > 0 and self._sending == 0:
            return -1  # its task has yet to run, which gives it to the system
        sock = self._socket
        if sock is not None:
            return sock.acknowledged(self._sent, on_the_way)
        return self._sent + (self._sending if on_the_way else 0)

    def send_close_notify(self) -> None:
        """See `Link.send_close_notify`."""
        if self._close_notify is not None:
            self._close_notify.requested = True
            self._wake_writer.set()

    def end_output(self, unread: bool = False) -> None:
        """See `Link.end_output`; what was written goes out first."""
        self._output_ends = True
        self._unread = unread
        if not unread:
            self.send_close_notify()
        self._wake_writer.set()

    def flushing(self) -> bool:
        """See `Link.flushing`; `run` reports the end of input again."""
        waits = self._output_ends or self._sending + self._size > 0
        if self._close_notify is not None and self._close_notify.is_due():
            waits = True
        return waits and not self.written.is_set()

    def passed_on(self, waiting: bool = False) -> int:
        """See `Link.passed_on`."""
        return self._sent + (self._sending + self._size if waiting else 0)

    def close(self) -> None:
        """See `Link.close`."""
        self._closed = True
        self._release()
        self._scope.cancel()

    def peer_address(self) -> object:
        """See `Link.peer_address`."""
        return None if self._socket is None else self._socket.peer_address()

    def local_address(self) -> object:
        """See `Link.local_address`."""
        return None if self._socket is None else self._socket.local_address()


async def close_stream(stream: trio.abc.Stream) -> None:
    """Close a stream at once; what it raises is logged. A checkpoint."""
    try:
        await trio.aclose_forcefully(stream)
    except* Exception as group:  # noqa: BLE001 - isolation: logged, it is gone
        log_stream_failure(group)
