"""Owners and links that write down what happens to them."""

from __future__ import annotations

import trio

from trio_fastws._transport.contract import Dispatcher, Link, Owner
from trio_fastws._transport.loop import plain_loop
from trio_fastws._transport.stream_link import StreamLink


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Recorder(Owner):
    """Keeps the bytes that came, and the names of its other hooks in order."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()
        self.log: list[object] = []
        # Calls of `_on_data` and `_on_filled`, by size.
        self.reads: list[int] = []

    def _on_data(self, start: int, stop: int) -> None:
        self.data += self._link.dispatcher.buffer[start:stop]
        self.reads.append(stop - start)

    def _on_eof(self, error: OSError | None) -> None:
        self.log.append("eof" if error is None else error)

    def _on_hangup(self) -> None:
        self.log.append("hangup")

    def _on_writable(self) -> None:
        self.log.append("writable")

    def _on_mark(self) -> None:
        self.log.append("mark")

    def _on_deferred(self) -> None:
        self.log.append("continue")


class Signal(Recorder):
    """Lets tasks wait until some hook was called."""

    def __init__(self) -> None:
        super().__init__()
        self.called = trio.Event()

    def _on_data(self, start: int, stop: int) -> None:
        super()._on_data(start, stop)
        self.called.set()

    def _on_mark(self) -> None:
        super()._on_mark()
        self.called.set()

    def _on_deferred(self) -> None:
        super()._on_deferred()
        self.called.set()


class Sender(Recorder):
    """Has parts to write, and asks for room as long as some are left."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[bytes] = []

    def flush(self, read: bool = True) -> bool:
        while self.parts:
            taken = self._link.write(self.parts, sum(map(len, self.parts)))
            rest = b"".join(self.parts)[taken:]
            self.parts = [rest] if rest else []
            if taken == 0:
                break
        self._link.want(read, len(self.parts) > 0)
        return not self.parts

    def _on_writable(self) -> None:
        super()._on_writable()
        self.flush()


class Sink(Link):
    """A link that takes as many bytes as it is allowed to."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(Dispatcher(Clock()), owner)
        self.room = 0
        self.written = bytearray()
        # What each call of `write` was given.
        self.calls: list[list[bytes]] = []

    def write(self, parts: list[bytes], size: int) -> int:
        data = b"".join(parts)
        assert len(data) == size, "the sizes do not add up"
        taken = min(self.room, size)
        self.calls.append(list(parts))
        self.written += data[:taken]
        self.room -= taken
        return taken


def pattern(size: int) -> bytes:
    """Return bytes in which every position can be told from its neighbours."""
    return b"".join(n.to_bytes(4, "big") for n in range(size // 4 + 1))[:size]


def events_of(dispatcher) -> list[tuple[int, int]]:
    """Return what the kernel would report now (edges are consumed by looking)."""
    return dispatcher.epoll.poll(0)


class Pumped:
    """A link over one end of a stream pair, and all that belongs to it."""

    def __init__(self, owner, stream, peer, nursery) -> None:
        self.owner, self.stream, self.peer = owner, stream, peer
        self.dispatcher = Dispatcher(trio.current_time)
        self.link = StreamLink(self.dispatcher, owner, stream)
        self.loop = plain_loop(self.dispatcher)
        self.nursery = nursery
        self.scope = trio.CancelScope()
        self.done = trio.Event()

    async def run(self) -> None:
        with self.scope:
            await self.link.run()
        self.done.set()


class Failing(trio.abc.HalfCloseableStream):
    """A stream that fails where it is told to; it waits for its `go` before."""

    def __init__(self, **errors: BaseException) -> None:
        self.errors = errors
        self.go = trio.Event()
        self.closed = False

    async def _act(self, name: str):
        if name not in self.errors:
            await trio.sleep_forever()
        await self.go.wait()
        raise self.errors[name]

    async def send_all(self, data) -> None:
        await self._act("send_all")

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def send_eof(self) -> None:
        await self._act("send_eof")

    async def receive_some(self, max_bytes=None) -> bytes:
        return await self._act("receive_some")

    async def aclose(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()


async def read_until(peer, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        data += await peer.receive_some(1000)
    return bytes(data)
