"""Links over trio streams: two tasks bring their bytes into the same turn."""

from __future__ import annotations

import pytest
import trio
from trio.testing import lockstep_stream_pair, wait_all_tasks_blocked

from tests.transport.support import Failing, Recorder, pattern, read_until
from trio_fastws._transport.contract import READ_SIZE


async def test_data_comes_in_order(pump) -> None:
    pumped = await pump()
    for piece in (b"one", b"two"):
        await pumped.peer.send_all(piece)
        await wait_all_tasks_blocked()
    assert pumped.owner.data == b"onetwo"


async def test_data_comes_with_the_time_it_came(autojump_clock, pump) -> None:
    # The loop parks between: the clock it read last is old.
    times: list[float] = []

    class Timed(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            times.append(self._link.dispatcher.now)

        def _on_eof(self, error: OSError | None) -> None:
            times.append(self._link.dispatcher.now)

    pumped = await pump(Timed())
    await trio.sleep(50)
    start = trio.current_time()
    await pumped.peer.send_all(b"x")
    await trio.sleep(50)
    await pumped.peer.send_eof()
    await wait_all_tasks_blocked()
    assert times == [start, start + 50]


async def test_reads_are_no_larger_than_the_turns_window(pump) -> None:
    pumped = await pump()
    whole = pattern(3 * READ_SIZE + 1)
    await pumped.peer.send_all(whole)
    await wait_all_tasks_blocked()
    assert pumped.owner.data == whole
    assert max(pumped.owner.reads) == READ_SIZE


async def test_the_end_comes_behind_all_data_and_leaves_the_way_back_open(
    pump,
) -> None:
    pumped = await pump()
    await pumped.peer.send_all(b"last")
    await pumped.peer.send_eof()
    await wait_all_tasks_blocked()
    assert (pumped.owner.data, pumped.owner.log) == (b"last", ["eof"])
    assert not pumped.done.is_set()
    pumped.link.write([b"answer"], 6)
    assert await read_until(pumped.peer, 6) == b"answer"


def caused(cause: BaseException | None, text: str = "") -> trio.BrokenResourceError:
    error = trio.BrokenResourceError(text)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (caused(ConnectionResetError(104, "reset by peer")), "reset by peer"),
        (caused(None, "its own words"), "its own words"),
        (caused(None), "BrokenResourceError"),
        (trio.ClosedResourceError("closed"), "closed"),
    ],
)
async def test_the_reason_of_the_end_is_told(pump, error, words) -> None:
    stream = Failing(receive_some=error)
    pumped = await pump(pair=(stream, None))
    stream.go.set()
    await wait_all_tasks_blocked()
    (reason,) = pumped.owner.log
    assert isinstance(reason, OSError)
    assert words in str(reason)
    assert pumped.link.broken


async def test_paused_it_reads_nothing_until_resumed(pump) -> None:
    pumped = await pump(pair=lockstep_stream_pair())
    pumped.link.want(False, False)
    # One read was under way already: it cannot be taken back.
    await pumped.peer.send_all(b"1")
    await wait_all_tasks_blocked()
    sent = trio.Event()

    async def send() -> None:
        await pumped.peer.send_all(b"2")
        sent.set()

    pumped.nursery.start_soon(send)
    await wait_all_tasks_blocked()
    assert pumped.owner.data == b"1"
    assert not sent.is_set()
    pumped.link.want(True, False)
    await sent.wait()
    await wait_all_tasks_blocked()
    assert pumped.owner.data == b"12"


async def test_an_owner_that_has_not_parsed_its_last_read_is_not_given_more(
    pump,
) -> None:
    class Slow(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            assert not self._is_deferred
            super()._on_data(start, stop)
            self._link.dispatcher.defer(self)

    pumped = await pump(Slow())
    await pumped.peer.send_all(pattern(2 * READ_SIZE))
    await wait_all_tasks_blocked()
    assert pumped.owner.data == pattern(2 * READ_SIZE)
    assert pumped.owner.log == ["continue", "continue"]


async def test_a_stream_that_never_waits_is_not_read_ahead_of_its_owner(pump) -> None:
    class Eager(Failing):
        pieces = (b"1", b"2", b"3")

        async def receive_some(self, max_bytes=None) -> bytes:
            if not self.pieces:
                await trio.sleep_forever()
            piece, *self.pieces = self.pieces
            return piece

    class Slow(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            super()._on_data(start, stop)
            self.log.append("data")
            self._link.dispatcher.defer(self)

    pumped = await pump(Slow(), (Eager(), None))
    assert pumped.owner.data == b"123"
    assert pumped.owner.log == ["data", "continue"] * 3


async def test_an_owners_own_buffer_is_filled_first(pump) -> None:
    class Direct(Recorder):
        def __init__(self) -> None:
            super().__init__()
            self._direct = True
            self.target = bytearray(6)
            self.filled = 0

        def _get_buffer(self):
            if self.filled == 6:
                return None
            return memoryview(self.target)[self.filled :]

        def _on_filled(self, size: int) -> None:
            self.filled += size
            self.reads.append(size)

    pumped = await pump(Direct())
    await pumped.peer.send_all(b"abcd")
    await wait_all_tasks_blocked()
    await pumped.peer.send_all(b"efgh")
    await wait_all_tasks_blocked()
    assert pumped.owner.target == b"abcdef"
    assert pumped.owner.data == b"gh"
    assert pumped.owner.reads == [4, 2, 2]
