"""What a link over a trio stream writes, and how it ends."""

from __future__ import annotations

import pytest
import trio
from trio.testing import lockstep_stream_pair, wait_all_tasks_blocked

from tests.transport.support import Failing, Recorder, Sender, pattern, read_until
from trio_fastws._transport.progress import Progress
from trio_fastws._transport.stream_link import WRITE_SIZE, StreamLink


class Plain(trio.abc.Stream):
    """A stream that cannot be closed by half."""

    def __init__(self, stream) -> None:
        self._stream = stream
        self.closed: list[bool] = []

    async def send_all(self, data) -> None:
        await self._stream.send_all(data)

    async def receive_some(self, max_bytes=None):
        return await self._stream.receive_some(max_bytes)

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        # Whether it was done with grace: a forceful one comes cancelled.
        scope_is_dead = trio.current_effective_deadline() == -float("inf")
        self.closed.append(not scope_is_dead)
        await self._stream.aclose()


async def test_what_is_written_goes_out_in_order(pump) -> None:
    pumped = await pump()
    assert pumped.link.write([b"a", b"bc"], 3) == 3
    assert pumped.link.write([b"d"], 1) == 1
    assert await read_until(pumped.peer, 4) == b"abcd"
    await wait_all_tasks_blocked()
    assert pumped.link.write([b"later"], 5) == 5
    assert await read_until(pumped.peer, 5) == b"later"


async def test_what_fits_is_taken_and_no_more(pump) -> None:
    pumped = await pump(pair=lockstep_stream_pair())
    chunk = bytes(WRITE_SIZE - 1)
    link = pumped.link
    assert link.write([b"under way"], 9) == 9
    await wait_all_tasks_blocked()
    assert link.write([chunk], len(chunk)) == len(chunk)
    assert link.write([b"xy", b"z"], 3) == 1, "there is room for one byte"
    assert link.write([b"yz"], 2) == 0
    assert await read_until(pumped.peer, 9 + WRITE_SIZE) == b"under way" + chunk + b"x"


async def test_a_large_write_is_taken_in_parts(pump) -> None:
    pumped = await pump(pair=lockstep_stream_pair())
    parts = [b"h" * 10, b"p" * (2 * WRITE_SIZE)]
    assert pumped.link.write(parts, 10 + 2 * WRITE_SIZE) == WRITE_SIZE
    got = await read_until(pumped.peer, WRITE_SIZE)
    assert got == b"h" * 10 + b"p" * (WRITE_SIZE - 10)


async def test_room_is_told_when_it_is_wanted(pump) -> None:
    pumped = await pump(pair=lockstep_stream_pair())
    link, owner = pumped.link, pumped.owner
    link.write([b"first"], 5)
    await read_until(pumped.peer, 5)
    await wait_all_tasks_blocked()
    assert owner.log == []
    link.want(True, True)
    link.write([b"second"], 6)
    await wait_all_tasks_blocked()
    assert owner.log == [], "nobody has read it"
    await read_until(pumped.peer, 6)
    await wait_all_tasks_blocked()
    assert owner.log == ["writable"]


async def test_nothing_is_torn_behind_a_slow_reader(pump) -> None:
    pumped = await pump(Sender(), lockstep_stream_pair())
    sender = pumped.owner
    pieces = [pattern(size) for size in (1, WRITE_SIZE, 7, 3 * WRITE_SIZE, 0, 1000)]
    sender.parts += pieces * 3
    whole = b"".join(pieces * 3)
    assert sender.flush() is False
    assert await read_until(pumped.peer, len(whole)) == whole
    await wait_all_tasks_blocked()
    assert sender.parts == []


async def test_progress_is_noted_with_the_time_it_was_made(
    autojump_clock, pump
) -> None:
    # Or a peer that reads again after a minute seems to have stalled for it.
    pumped = await pump(Sender(), lockstep_stream_pair())
    sender, link = pumped.owner, pumped.link
    sender.parts += [bytes(WRITE_SIZE)] * 4
    sender.flush()
    progress = Progress(link, trio.current_time())
    sender._on_writable = lambda: progress.check(link, pumped.dispatcher.now)
    await trio.sleep(60)
    await read_until(pumped.peer, WRITE_SIZE)
    await wait_all_tasks_blocked()
    assert progress.since == trio.current_time()


# --- the end ----------------------------------------------------------------


async def test_shutting_down_sends_what_was_written_and_then_the_end(pump) -> None:
    pumped = await pump(pair=lockstep_stream_pair())
    pumped.link.write([b"last words"], 10)
    pumped.link.end_output()
    assert await read_until(pumped.peer, 10) == b"last words"
    assert await pumped.peer.receive_some(1) == b""
    await pumped.peer.send_all(b"answer")
    await wait_all_tasks_blocked()
    assert pumped.owner.data == b"answer"
    assert not pumped.done.is_set()
    await pumped.peer.aclose()
    await pumped.done.wait()
    assert set(pumped.owner.log) == {"eof"}


async def test_shutting_down_a_stream_without_half_close_closes_it(pump) -> None:
    ours, theirs = lockstep_stream_pair()
    stream = Plain(ours)
    pumped = await pump(pair=(stream, theirs))
    pumped.link.write([b"last words"], 10)
    pumped.link.end_output()
    assert await read_until(theirs, 10) == b"last words"
    assert await theirs.receive_some(1) == b""
    await pumped.done.wait()
    assert stream.closed[0] is True, "the first close is a graceful one"
    assert pumped.owner.log


async def test_a_failing_shutdown_breaks_the_link(pump) -> None:
    stream = Failing(send_eof=trio.BrokenResourceError())
    pumped = await pump(pair=(stream, None))
    pumped.link.end_output()
    stream.go.set()
    await wait_all_tasks_blocked()
    assert pumped.link.broken
    assert pumped.link.write([b"x"], 1) == 1


@pytest.mark.parametrize(
    "error", [trio.BrokenResourceError(), trio.ClosedResourceError()]
)
async def test_a_failing_write_breaks_the_link_and_marks_its_owner(pump, error) -> None:
    stream = Failing(send_all=error)
    pumped = await pump(pair=(stream, None))
    assert pumped.link.write([b"lost"], 4) == 4
    stream.go.set()
    await wait_all_tasks_blocked()
    assert pumped.link.broken
    assert pumped.owner.log == ["mark"]
    assert pumped.link.write([b"more"], 4) == 4


async def test_closing_ends_the_pump_and_tells_nobody(pump) -> None:
    pumped = await pump()
    pumped.link.close()
    await pumped.done.wait()
    assert pumped.owner.log == []
    assert pumped.owner._link is None
    assert await pumped.peer.receive_some(1) == b""
    assert pumped.link.write([b"x"], 1) == 1
    pumped.link.close()


async def test_closing_gives_up_a_write_under_way(pump) -> None:
    pumped = await pump(pair=lockstep_stream_pair())
    pumped.link.write([b"never read"], 10)
    await wait_all_tasks_blocked()
    pumped.link.close()
    await pumped.done.wait()
    assert pumped.owner.log == []


@pytest.mark.parametrize("fails", [False, True])
async def test_closing_while_a_write_ends_tells_nobody(pump, fails) -> None:
    class Closing(Failing):
        async def send_all(self, data) -> None:
            pumped.link.close()
            if fails:
                raise trio.BrokenResourceError

    pumped = await pump(pair=(Closing(), None))
    pumped.link.want(True, True)
    pumped.link.write([b"x"], 1)
    await pumped.done.wait()
    assert pumped.owner.log == []


async def test_closing_while_a_read_fails_tells_nobody(pump) -> None:
    class Closing(Failing):
        async def receive_some(self, max_bytes=None) -> bytes:
            await self.go.wait()
            pumped.link.close()
            raise trio.BrokenResourceError

    stream = Closing()
    pumped = await pump(pair=(stream, None))
    stream.go.set()
    await pumped.done.wait()
    assert pumped.owner.log == []


@pytest.mark.parametrize("direct", [False, True])
async def test_closing_from_within_a_hook_ends_the_pump(pump, direct) -> None:
    class Leaver(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            self.reads.append(stop - start)
            self._link.close()

        def _get_buffer(self):
            return memoryview(bytearray(2))

        _on_filled = lambda self, size: self._on_data(0, size)  # noqa: E731

    owner = Leaver()
    owner._direct = direct
    pumped = await pump(owner)
    await pumped.peer.send_all(b"more than two")
    await pumped.done.wait()
    assert owner.reads == [2 if direct else 13]
    assert owner.log == []


async def test_cancelling_the_pump_gives_the_connection_up(pump) -> None:
    stream = Failing()
    pumped = await pump(pair=(stream, None))
    pumped.scope.cancel()
    await pumped.done.wait()
    assert pumped.owner.log == ["eof"]
    assert stream.closed


async def test_it_is_in_no_epoll(pump) -> None:
    pumped = await pump()
    with pytest.raises(NotImplementedError):
        pumped.link.on_ready(1)


# --- addresses, and TLS -----------------------------------------------------


async def test_addresses_are_those_of_the_innermost_socket(
    pump, tcp_pair, client_tls
) -> None:
    ours, _theirs = tcp_pair()
    local, peer = ours.getsockname(), ours.getpeername()
    inner = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    outer = trio.SSLStream(inner, client_tls, server_hostname="localhost")
    dispatcher = (await pump()).dispatcher
    links = [StreamLink(dispatcher, Recorder(), stream) for stream in (inner, outer)]
    for link in links:
        assert (link.local_address(), link.peer_address()) == (local, peer)
    ours.close()
    inner.socket.close()
    for link in links:
        assert (link.local_address(), link.peer_address()) == (None, None)


async def test_a_stream_without_a_socket_has_no_address(pump) -> None:
    link = (await pump()).link
    assert (link.local_address(), link.peer_address()) == (None, None)


async def test_tls_sends_close_notify_when_output_ends(
    pump, server_tls, client_tls
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    server = trio.SSLStream(ours, server_tls, server_side=True)
    client = trio.SSLStream(theirs, client_tls, server_hostname="localhost")
    pumped = await pump(pair=(server, client))
    await client.send_all(b"question")
    await wait_all_tasks_blocked()
    assert pumped.owner.data == b"question"
    pumped.link.write([b"answer"], 6)
    pumped.link.end_output()
    assert await read_until(client, 6) == b"answer"
    # A connection cut off would raise here.
    assert await client.receive_some(1) == b""
    await wait_all_tasks_blocked()
    assert not pumped.done.is_set()  # the peer has not ended yet
    await client.aclose()
    await pumped.done.wait()
