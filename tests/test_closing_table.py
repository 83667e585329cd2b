"""How a connection ends is a table: the table itself, and connections held to it.

A connection is observed from outside: at any time it must be in a state that the table
allows after what has happened to it, and that says of itself what is seen.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings, strategies as st
from trio.testing import (
    MockClock,
    lockstep_stream_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from tests.handlers import Keeper
from tests.serving import SMALL
from tests.sources import ROOT
from tests.wire import (
    Frame,
    MemoryListener,
    Peer,
    accept,
    close,
    open_tcp,
    port_of,
    tcp_listener,
    text,
)
from trio_fastws import (
    CloseFrame,
    EventHandler,
    Listen,
    Timeouts,
    WebSocket,
    open_websocket,
    serve_websocket,
)
from trio_fastws._connection.closing import (
    CLOSE,
    CLOSED,
    CLOSING,
    EOF,
    EVENTS,
    HANGUP,
    LOST,
    OPEN,
    OVER,
    RESET,
    STATES,
    TRANSITIONS,
    WRITTEN,
    draw,
    follow,
)

PAGE = ROOT / "docs" / "design.md"
BEGIN, END = "<!-- closing: begin -->\n", "<!-- closing: end -->\n"


# --- the table ----------------------------------------------------------------


def reachable(states: Iterable[int], events: Iterable[str] = EVENTS) -> set[int]:
    """Return the states that events can lead to, those they begin with included."""
    found = set(states)
    waiting = list(found)
    while waiting:
        following = TRANSITIONS[waiting.pop()]
        new = {following[event] for event in events if event in following} - found
        found |= new
        waiting += new
    return found


def test_every_state_has_its_row_and_its_name() -> None:
    assert [*TRANSITIONS] == [*range(len(STATES))]
    assert len(set(STATES)) == len(STATES)


def test_every_state_can_be_reached() -> None:
    assert reachable([OPEN]) == set(TRANSITIONS)


@pytest.mark.parametrize("state", TRANSITIONS, ids=STATES)
def test_every_state_leads_to_closed(state: int) -> None:
    assert CLOSED in reachable([state])


def test_closed_is_final() -> None:
    assert TRANSITIONS[CLOSED] == {}


def test_no_event_leads_back() -> None:
    # The states are compared as numbers: "closing, or further".
    for state, following in TRANSITIONS.items():
        assert all(then >= state for then in following.values())


def test_every_event_happens_somewhere_and_no_other() -> None:
    happens = {event for following in TRANSITIONS.values() for event in following}
    assert happens == set(EVENTS)


@pytest.mark.parametrize("state", [state for state in TRANSITIONS if state != CLOSED])
def test_what_others_do_can_happen_in_every_state(state: int) -> None:
    # The peer may break the protocol and the transport may be lost at any time.
    assert {OVER, LOST} <= TRANSITIONS[state].keys()
    # Its FIN may come while anything is written; before, it is a loss.
    assert (EOF in TRANSITIONS[state]) == (state >= CLOSING)


@pytest.mark.parametrize("state", [OPEN, RESET, CLOSING])
def test_nobody_ends_the_transport_before_the_closing_handshake(state: int) -> None:
    assert WRITTEN not in TRANSITIONS[state]


@pytest.mark.parametrize("event", EVENTS)
def test_what_the_table_has_not_is_a_bug(event: str) -> None:
    with pytest.raises(AssertionError, match=f"{event} while closed"):
        follow(CLOSED, event)


# --- its diagram --------------------------------------------------------------


def split_page() -> tuple[str, str, str]:
    """Return what comes before the diagram in the page, the diagram, and the rest."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    diagram, end, after = rest.partition(END)
    return before + begin, diagram, end + after


def write_diagram() -> None:
    """Write the diagram into the page."""
    before, _, after = split_page()
    PAGE.write_text(before + make_diagram() + after, encoding="utf-8")


def make_diagram() -> str:
    """Return what the page should have."""
    return f"```mermaid\n{draw()}\n```\n"


def test_the_page_has_the_diagram_of_the_table() -> None:
    assert split_page()[1] == make_diagram(), (
        "docs/design.md is out of date; write it anew: "
        "python -c 'import tests.test_closing_table as t; t.write_diagram()'"
    )


# --- connections --------------------------------------------------------------

CLOSE_SECONDS = 4
TIMEOUTS = Timeouts(
    ping_interval=None, close=CLOSE_SECONDS, write_stall=None, slow_consumer=None
)
# More than the buffers below a connection take.
LARGE = 600_000
# Messages at which whoever gets them closes, or gives the connection up.
PLEASE_CLOSE, PLEASE_ABORT = "please close", "please abort"
KINDS = ["hooks", "task", "client"]
STREAMS = ["memory", "lockstep", "tcp"]

# What may be seen of a connection in a state: its `repr`.
WORDS = dict.fromkeys(TRANSITIONS, "closing") | {OPEN: "open", CLOSED: "closed"}

GONE = (trio.BrokenResourceError, trio.ClosedResourceError)

# Methods of `Story`, and what they are given.
STEPS = st.sampled_from(
    [
        ("sends", "hello"),
        ("sends", PLEASE_CLOSE),
        ("sends", PLEASE_ABORT),
        ("breaks", close(1000)),
        ("breaks", close(4001, "theirs")),
        ("breaks", close(None)),
        ("breaks", Frame(3)),
        ("ends", None),
        ("resets", None),
        ("reads", None),
        ("receive", None),
        ("ping", None),
        ("send", 10),
        ("send", LARGE),
        ("flush", None),
        ("heartbeat", None),
        ("pause", None),
        ("resume", None),
        ("close", 1000),
        ("close", 4002),
        ("aclose", 4003),
        ("cancel", None),
        ("abort", "given up"),
        ("wait", 1.5),
        ("wait", CLOSE_SECONDS + 0.1),
    ]
)


class Diary(EventHandler):
    """Hooks that note what is called."""

    def __init__(self) -> None:
        self.ws: WebSocket | None = None
        self.calls: list[str] = []
        self.messages: list[str | bytes] = []

    def on_open(self, ws: WebSocket) -> None:
        self.ws = ws
        self.calls.append("on_open")

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        self.calls.append("on_message")
        self.take(ws, message)

    def take(self, ws: WebSocket, message: str | bytes) -> None:
        """Take a message from a hook, or from a task that receives."""
        self.messages.append(message)
        if message == PLEASE_CLOSE:
            ws.close_nowait(4004, "asked")
        elif message == PLEASE_ABORT:
            ws.abort("asked")

    def on_drain(self, ws: WebSocket) -> None:
        self.calls.append("on_drain")

    def on_close(self, ws: WebSocket) -> None:
        self.calls.append("on_close")


class Story:
    """One connection, what is done to it, and in which states it may be."""

    def __init__(
        self,
        ws: WebSocket,
        diary: Diary,
        peer: Peer,
        clock: MockClock,
        nursery: trio.Nursery,
    ) -> None:
        self.ws = ws
        self.diary = diary
        self.peer = peer
        self.clock = clock
        self.nursery = nursery
        self.possible = {OPEN}
        # What the peer has done may act later: while reading is paused nothing does.
        self.on_its_way: set[str] = set()
        # What it has sent before it closed.
        self.messages: list[str | bytes] = []
        self.peer_closed = False
        # How many tasks wait for something of the connection.
        self.waiting = 0
        self.closing: list[trio.CancelScope] = []
        self.end: tuple[int | None, str | None] = (None, None)
        self.sent: CloseFrame | None = None
        self.received: CloseFrame | None = None
        self.to_send, self._sending = trio.open_memory_channel[bytes | None](100)
        nursery.start_soon(self._talk)
        self.start(ws.wait_closed)

    async def _talk(self) -> None:
        # In a task of its own: it may take until somebody reads.
        with contextlib.suppress(*GONE):
            async for data in self._sending:
                if data is None:
                    await self.peer.send_eof()
                else:
                    await self.peer.stream.send_all(data)

    def start(self, async_fn: Any, *args: Any) -> None:
        """Start a task that waits for something of the connection."""
        self.waiting += 1
        self.nursery.start_soon(self._wait, async_fn, args)

    async def _wait(self, async_fn: Any, args: tuple[Any, ...]) -> None:
        with contextlib.suppress(*GONE, trio.BusyResourceError):
            await async_fn(*args)
        self.waiting -= 1

    async def act(self, name: str, value: Any) -> None:
        """Do one thing, then look at the connection."""
        before = len(self.diary.messages)
        does = getattr(self, name)
        events: set[str] = await does(value) or set()
        await wait_all_tasks_blocked()
        self._look(events)
        if CLOSE in events:
            assert self.ws.state != "open"
            assert len(self.diary.messages) == before

    # --- what the peer does ---------------------------------------------------

    async def sends(self, message: str) -> None:
        """The peer sends a message."""
        if not self.peer_closed:
            self.messages.append(message)
        if message == PLEASE_CLOSE:
            self.on_its_way.add(CLOSE)
        elif message == PLEASE_ABORT:
            self.on_its_way.add(LOST)
        self.to_send.send_nowait(self.peer.encode(text(message)))

    async def breaks(self, frame: Frame) -> None:
        """The peer sends a Close, or what is no good frame."""
        self.peer_closed = True
        self.on_its_way.add(OVER)
        self.to_send.send_nowait(self.peer.encode(frame))

    async def ends(self, _: None) -> None:
        """The peer ends its direction."""
        self.to_send.send_nowait(None)
        self.on_its_way |= {EOF, LOST}

    async def resets(self, _: None) -> None:
        """The peer is gone."""
        tcp = isinstance(self.peer.stream, trio.SocketStream)
        if tcp and self.peer.stream.socket.fileno() >= 0:
            self.peer.reset()
        await self.peer.aclose()
        self.on_its_way |= {HANGUP, LOST}

    async def reads(self, _: None) -> None:
        """The peer reads what is there for it."""
        with trio.CancelScope() as scope, contextlib.suppress(*GONE):
            self.nursery.start_soon(cancel_when_blocked, scope)
            while data := await self.peer.stream.receive_some(2**20):
                self.peer.buffer.extend(data)

    # --- what this side does --------------------------------------------------

    async def receive(self, _: None) -> None:
        """A task receives; hooks need none."""
        if not self.diary.calls:
            self.start(self._receive)

    async def _receive(self) -> None:
        async for message in self.ws:
            self.diary.take(self.ws, message)

    async def ping(self, _: None) -> None:
        """A task waits for a Pong, which never comes."""
        self.start(self.ws.ping)

    async def send(self, size: int) -> None:
        """A task sends, or waits for room."""
        self.start(self.ws.send, bytes(size))

    async def flush(self, _: None) -> None:
        """A task waits until what was sent is with the system."""
        self.start(self.ws.flush)

    async def heartbeat(self, _: None) -> None:
        """A Pong that nobody asked for."""
        with contextlib.suppress(*GONE):
            self.ws.pong_nowait()

    async def pause(self, _: None) -> None:
        """Nothing is read for now."""
        self.ws.pause_reading()

    async def resume(self, _: None) -> None:
        """It is read again."""
        self.ws.resume_reading()

    async def close(self, code: int) -> set[str]:
        """This side closes, and nobody waits for it."""
        self.ws.close_nowait(code, "mine")
        return {CLOSE}

    async def aclose(self, code: int) -> set[str]:
        """A task closes, and waits."""
        self.start(self._aclose, code)
        return {CLOSE}

    async def _aclose(self, code: int) -> None:
        with trio.CancelScope() as scope:
            self.closing.append(scope)
            await self.ws.aclose(code, "mine")

    async def cancel(self, _: None) -> set[str]:
        """The tasks that close are cancelled."""
        for scope in self.closing:
            scope.cancel()
        return {LOST}

    async def abort(self, reason: str) -> set[str]:
        """This side gives the connection up."""
        self.ws.abort(reason)
        assert self.ws.closed
        return {LOST}

    async def wait(self, seconds: float) -> set[str]:
        """Time passes."""
        self.clock.jump(seconds)
        return {LOST}

    # --- what is seen ---------------------------------------------------------

    def _look(self, events: set[str]) -> None:
        ws, diary = self.ws, self.diary
        word = repr(ws).split()[1].rstrip(",")
        events = events | self.on_its_way | {WRITTEN}
        following = reachable(self.possible, events)
        possible = {state for state in following if WORDS[state] == word}
        before = [STATES[state] for state in self.possible]
        assert possible, f"{word} after {before} and {events}"
        self.possible = possible
        assert ws.state == word
        assert ws.closed == (word == "closed")
        # How it ended is said once.
        end = (ws.close_code, ws.close_reason)
        assert end == self.end or self.end == (None, None)
        assert (end[0] is None) == (end[1] is None)
        assert word == "closing" or (end[0] is None) == (word == "open")
        self.end = end
        # What is delivered was sent before the peer closed, and is not delivered once
        # this side has.
        assert diary.messages == self.messages[: len(diary.messages)]
        assert not {PLEASE_CLOSE, PLEASE_ABORT} & set(diary.messages[:-1])
        self._look_at_frames()
        if diary.calls:
            assert diary.calls.count("on_close") == (word == "closed")
            assert word != "closed" or diary.calls[-1] == "on_close"

    def _look_at_frames(self) -> None:
        ws = self.ws
        sent, received = ws.close_sent, ws.close_received
        # What the peer has said stands. What this side has queued gives way to its
        # answer to the peer's Close, or to the reason why it fails the connection.
        assert received == self.received or self.received is None
        if sent != self.sent and self.sent is not None:
            assert sent == self.end
        if received is not None:
            assert self.peer_closed
            assert self.end == received
        if ws.state == "open":
            assert sent is received is None
        self.sent, self.received = sent, received

    async def finish(self) -> None:
        """Close it if nobody has, and look whether everything is over."""
        await self.act("close", 1000)
        await self.act("reads", None)
        await self.act("wait", CLOSE_SECONDS + 0.1)
        assert self.possible == {CLOSED}
        assert self.waiting == 0
        self.clock.jump(CLOSE_SECONDS + 0.1)  # the socket may linger
        self.to_send.close()
        with contextlib.suppress(trio.ClosedResourceError):
            await self.peer.read_broken()  # and judge what was written


async def cancel_when_blocked(scope: trio.CancelScope) -> None:
    """Cancel a scope when nothing more happens."""
    await wait_all_tasks_blocked()
    scope.cancel()


@contextlib.asynccontextmanager
async def connected(
    kind: str, streams: str, diary: Diary
) -> AsyncIterator[tuple[WebSocket, Peer]]:
    """A connection of a kind, and its raw peer."""
    make_pair = lockstep_stream_pair if streams == "lockstep" else memory_stream_pair
    tcp = streams == "tcp"
    listener: Any = tcp_listener(SMALL) if tcp else MemoryListener()
    async with trio.open_nursery() as nursery:
        if kind == "client":
            port = port_of(listener) if tcp else 1
            stream = None if tcp else listener.connect(make_pair)
            peers: list[Peer] = []
            nursery.start_soon(welcome, listener, peers)
            async with open_websocket(
                f"ws://127.0.0.1:{port}/", stream=stream, timeouts=TIMEOUTS
            ) as ws:
                await wait_all_tasks_blocked()
                yield ws, peers[0]
        else:
            keeper = Keeper()
            handler: Any = diary if kind == "hooks" else keeper
            serve = partial(
                serve_websocket,
                handler,
                Listen(listeners=[listener]),
                timeouts=TIMEOUTS,
            )
            server = await nursery.start(serve)
            if tcp:
                stream = await open_tcp(server.port, SMALL)
            else:
                stream = listener.connect(make_pair)
            peers = [Peer(stream)]
            await peers[0].shake()
            yield diary.ws or await keeper.next(), peers[0]
        await peers[0].aclose()
        nursery.cancel_scope.cancel()


async def welcome(listener: trio.abc.Listener[Any], peers: list[Peer]) -> None:
    """Be the server of one client."""
    async with listener:
        peers.append(await accept(listener))
    await peers[0].welcome()


class Loud(logging.Handler):
    """Keeps what is logged as a problem: an AssertionError of the table would be."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


@pytest.mark.slow
@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, max_size=12))
# Reset while reading was paused, half-closed, and both after our own Close.
@example(steps=[("pause", None), ("sends", "hello"), ("resets", None)])
@example(steps=[("send", LARGE), ("breaks", close(1000)), ("ends", None)])
@example(steps=[("send", LARGE), ("close", 1000), ("ends", None), ("reads", None)])
@example(steps=[("send", LARGE), ("aclose", 4003), ("resets", None)])
@example(steps=[("pause", None), ("resets", None), ("abort", "given up")])
@example(steps=[("send", LARGE), ("close", 1000), ("breaks", Frame(3))])
@example(steps=[("send", 10), ("flush", None), ("breaks", close(1000))])
@example(steps=[("send", LARGE), ("flush", None), ("breaks", close(1000))])
@example(steps=[("send", LARGE), ("close", 1000), ("flush", None), ("ends", None)])
@example(steps=[("send", LARGE), ("breaks", close(1000)), ("abort", "given up")])
@example(steps=[("receive", None), ("sends", PLEASE_ABORT), ("sends", "hello")])
def test_whatever_happens_a_connection_is_where_the_table_says(
    kind: str, streams: str, steps: list[tuple[str, Any]]
) -> None:
    clock = MockClock()
    loud = Loud()

    async def tell() -> None:
        diary = Diary()
        async with (
            connected(kind, streams, diary) as (ws, peer),
            trio.open_nursery() as nursery,
        ):
            story = Story(ws, diary, peer, clock, nursery)
            for name, value in steps:
                await story.act(name, value)
            await story.finish()

    log = logging.getLogger("trio_fastws")
    log.addHandler(loud)
    try:
        trio.run(tell, clock=clock)
    finally:
        log.removeHandler(loud)
    assert loud.records == []
