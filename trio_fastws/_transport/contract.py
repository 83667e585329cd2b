# cython: annotation_typing=False
"""The contract between what moves bytes and what understands them.

A `Link` moves bytes: a socket in the dispatcher's epoll, or any trio stream behind a
pump. An `Owner` gives them a meaning, unknown to this floor. A `Dispatcher` is the
reactor that both belong to. It works in *turns*: what is done between two waits for the
kernel. What an owner writes to itself while its input is handled is collected (the
*cork*) and leaves in one write, and an owner to be called again before the loop may
park is on a list: *marked*, to write, or *deferred*, to go on with its input. The loop
parks only with both lists empty, and adding to one while it is parked wakes it: nothing
depends on the order in which trio runs tasks.
"""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING

from trio_fastws._layout import HEADROOM

from .contexts import Contexts
from .failing import contain, give_up
from .memory import keep_freed_memory
from .unsent import MOST_UNSENT
from .wheel import Timer, Wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

# One recv drains a socket buffer of default size; larger reads only hold other
# connections up (measured by picows and websockets: 128-256 KiB is best).
READ_SIZE = 256 * 1024
# A turn yields to trio's other tasks after this long. Beside a loaded server, a task
# that sleeps for 1 ms must not wake more than 5 ms late.
TURN_SECONDS = 0.002
# The size of a read while memory is short: what was read is held before anybody can
# judge whether there is room for it.
NARROW_SIZE = 16 * 1024
# A cork larger than this is written at once: it no longer saves syscalls, and
# the peer can start reading.
CORK_SIZE = 64 * 1024


class Owner(Timer):
    """What a link's bytes belong to. Subclass it; every method is synchronous."""

    __slots__ = (
        "_context",
        "_direct",
        "_is_deferred",
        "_is_marked",
        "_link",
        "_place",
    )

    def __init__(self) -> None:
        self._init_owner()

    def _init_owner(self, link: Link | None = None) -> None:
        # The context variables that the user's functions have set; None: none.
        self._context: Context | None = None
        # Its index in the list of all connections; -1: it is in none.
        self._place: int = -1
        self._link: Link | None = None
        # Whether `_get_buffer` is to be asked before the next read.
        self._direct: bool = False
        # Whether it is on the dispatcher's list of that name.
        self._is_marked: bool = False
        self._is_deferred: bool = False
        if link is not None:
            link.adopt(self)
        self._init_timer()

    def _get_buffer(self) -> memoryview | None:
        """Return where the next bytes should go; None for the dispatcher's own."""
        return None

    def _on_data(self, start: int, stop: int) -> None:
        """Called with input: ``dispatcher.buffer[start:stop]``, lent for this call."""

    def _on_filled(self, size: int) -> None:
        """Called when ``size`` bytes were written into what `_get_buffer` gave."""

    def _on_eof(self, error: OSError | None) -> None:
        """Called when nothing more will come: end of stream, or ``error``."""

    def _on_hangup(self) -> None:
        """Called when the peer reset the connection while reading was paused.

        Bytes that came before are still readable; writing is not possible.
        """

    def _on_half_closed(self) -> None:
        """Called when the peer sent a FIN while reading was paused.

        It may be gone, or may still read. Only a write can tell: a peer that is gone
        answers it with a reset. Called again in each later pause.
        """

    def _on_writable(self) -> None:
        """Called when the link takes bytes again."""

    def _on_mark(self) -> None:
        """Called at the end of the turn; see `Dispatcher.mark`."""

    def _on_deferred(self) -> None:
        """Called in the next turn; see `Dispatcher.defer`."""

    def _describe(self) -> dict[str, object]:
        """Return what log records say about it; see `logs`."""
        link = self._link
        return {"remote_address": None if link is None else link.peer_address()}

    def _on_failure(self, error: Exception) -> None:
        """Called when one of these methods has raised: end the owner and its link."""
        give_up(self, error)


class Link:
    """The way of one connection to its peer. Not safe to use from other threads."""

    __slots__ = ("broken", "dispatcher", "owner", "unsent_limit")

    def __init__(self, dispatcher: Dispatcher, owner: Owner) -> None:
        self._init_link(dispatcher, owner)

    def _init_link(self, dispatcher: Dispatcher, owner: Owner) -> None:
        self.dispatcher: Dispatcher = dispatcher
        self.owner: Owner | None = owner
        # Set when a write has failed; `Owner._on_eof` brings the reason.
        self.broken: bool = False
        self.unsent_limit: int = 0  # see `limit_unsent`; 0: what the system takes
        owner._link = self

    def adopt(self, owner: Owner) -> None:
        """Hand the link over to another owner, for what comes next."""
        self._release()
        self.owner = owner
        owner._link = self

    def _release(self) -> None:
        # No owner is called any more.
        if self.owner is not None:
            self.owner._link = None
            self.owner = None

    def write(self, parts: list[bytes], size: int) -> int:
        """Write without waiting; return how many bytes were taken.

        Args:
            parts: Bytes in order, which together are ``size`` long.
            size: The sum of their lengths, which the caller knows already.

        Returns:
            Fewer than ``size`` when the peer does not read fast enough (backpressure):
            `want` asks for a call when there is room. A link that is broken takes
            everything and drops it; `Owner._on_eof` tells the owner.
        """
        raise NotImplementedError

    def limit_unsent(self, size: int) -> None:
        """Limit what `write` takes and TCP has not sent yet to ``size`` bytes."""
        self._limit_unsent(min(size, MOST_UNSENT))

    def _limit_unsent(self, size: int) -> None:
        """See `limit_unsent`; at most `MOST_UNSENT`."""

    def want(self, read: bool, write: bool) -> None:
        """Set whether the owner is to be called with input, and when there is room."""
        raise NotImplementedError

    def end_output(self, unread: bool = False) -> None:
        """End our direction: nothing more will come (TCP's FIN).

        Args:
            unread: Whether the peer may be sending still. It matters to TLS alone,
                where close_notify would end both directions.
        """
        raise NotImplementedError

    def send_close_notify(self) -> None:
        """End TLS, behind what was written; nothing may be written after it.

        TCP goes on until `end_output` or `close`. Without TLS it does nothing.
        """

    def unacknowledged(self) -> int:
        """Return how many bytes the peer's system has not acknowledged.

        Of those that `write` took, in the size that they have on the wire. Not exact
        where the system counts otherwise, but 0 only if no such byte is known.
        """
        return 0

    def is_lost(self) -> bool:
        """Return whether the system retransmits in vain what is unacknowledged."""
        return self.unacknowledged() > 0

    def acknowledged(self, on_the_way: bool = False) -> int:
        """Return a count that grows with each byte that the peer's system takes.

        Compare it only with an earlier one of the same link; see `Progress`.

        Args:
            on_the_way: Whether to count what has left and is not acknowledged yet.
                Then it may return -1 for "not known now".
        """
        return 0

    def flushing(self) -> bool:
        """Return whether it has taken something that it has yet to write.

        If so at the end of its input, and output was ended before, that end is reported
        again when all is written.
        """
        return False

    def passed_on(self, waiting: bool = False) -> int:
        """Return how many bytes a task of its own has written; ``waiting``: or will."""
        return 0

    def close(self) -> None:
        """Close the connection at once; the owner is not called any more."""
        raise NotImplementedError

    def on_ready(self, events: int) -> None:
        """Act on readiness as epoll reports it."""
        raise NotImplementedError

    def read_now(self) -> None:
        """Call the owner with what has come already, if that needs no waiting."""

    def peer_address(self) -> object:
        """Return the peer's address as the socket module gives it, or None."""
        return None

    def local_address(self) -> object:
        """Return our own address as the socket module gives it, or None."""
        return None


class Dispatcher:
    """What all links and owners of one reactor share, and whom it has to call."""

    __slots__ = (
        "_deferred",
        "_marked",
        "buffer",
        "clock",
        "contexts",
        "cork",
        "cork_size",
        "corked",
        "lingering",
        "narrow",
        "now",
        "number",
        "on_lingered",
        "unpark",
        "until",
        "wake_at",
        "wheel",
        "window",
        "woken",
    )

    def __init__(self, clock: Callable[[], float]) -> None:
        keep_freed_memory()
        # The context variables that the user's functions see; knows the thread.
        self.contexts: Contexts = Contexts()
        # Where links read to, behind the headroom.
        self.buffer: bytearray = bytearray(HEADROOM + READ_SIZE)
        self.window: memoryview = memoryview(self.buffer)[HEADROOM:]
        # Its first bytes, where links read to instead while memory is short.
        self.narrow: memoryview | None = None
        self.wheel: Wheel = Wheel()
        self.clock: Callable[[], float] = clock
        self.now: float = clock()
        # Counts turns: "already in this turn" is a comparison of numbers.
        self.number: int = 0
        # `perf_counter` value at which this turn should end.
        self.until: float = 0.0
        # Whose input is being handled, and what it wrote meanwhile.
        self.corked: Owner | None = None
        self.cork: list[bytes] = []
        self.cork_size: int = 0
        # Whether a task was woken: the turn then ends, to let it run.
        self.woken: bool = False
        # Set while the loop is parked: call it and a turn comes soon.
        self.unpark: Callable[[], None] | None = None
        # No timer is due before; it ends that. A timer that was cancelled may count.
        self.wake_at: float = math.inf
        # How many links linger (see `Linger`), and what to call when none is left.
        self.lingering: int = 0
        self.on_lingered: Callable[[], None] | None = None
        self._marked: list[Owner] = []
        self._deferred: list[Owner] = []

    def close(self) -> None:
        """Free the buffer: a connection that somebody keeps refers to all this."""
        self.buffer = bytearray()
        self.window = memoryview(self.buffer)

    def narrow_reads(self, narrow: bool) -> None:
        """Make links read `NARROW_SIZE` bytes at a time, or `READ_SIZE` again."""
        self.narrow = self.window[:NARROW_SIZE] if narrow else None

    def begin(self, seconds: float = TURN_SECONDS) -> None:
        """Start a turn, which should end after ``seconds``: read the clocks."""
        self.number += 1
        self.now = self.clock()
        self.until = perf_counter() + seconds

    def time(self) -> float:
        """Return the time on its clock, read anew unless input is being handled."""
        return self.now if self.corked is not None else self.clock()

    def mark(self, owner: Owner) -> None:
        """Schedule `Owner._on_mark` for the end of the turn, before the loop parks."""
        if not owner._is_marked:
            owner._is_marked = True
            self._marked.append(owner)
            if self.unpark is not None:
                self.unpark()

    def defer(self, owner: Owner) -> None:
        """Schedule `Owner._on_deferred` for the next turn: there is input left."""
        if not owner._is_deferred:
            owner._is_deferred = True
            self._deferred.append(owner)
            if self.unpark is not None:
                self.unpark()

    def idle(self) -> bool:
        """Return whether the loop may park."""
        return not self._marked and not self._deferred

    def schedule(self, timer: Timer, deadline: float) -> None:
        """Schedule ``timer`` for ``deadline``; see `Wheel.schedule`."""
        self.wheel.schedule(timer, deadline)
        if deadline < self.wake_at:
            self._wake_earlier()

    def schedule_exactly(self, timer: Timer, deadline: float) -> None:
        """Schedule ``timer``; see `Wheel.schedule_exactly`."""
        self.wheel.schedule_exactly(timer, deadline)
        if deadline < self.wake_at:
            self._wake_earlier()

    def _wake_earlier(self) -> None:
        self.wake_at = self.wheel.next_deadline()
        if self.unpark is not None:
            self.unpark()

    def flush(self) -> bool:
        """Call `Owner._on_mark` of all that are marked, once each.

        Whoever is marked again meanwhile is called when other tasks have run.

        Returns:
            Whether some are left.
        """
        marked = self._marked
        if marked:
            self._marked = []
            for index, owner in enumerate(marked):
                if index > 0 and perf_counter() >= self.until:
                    self._marked = marked[index:] + self._marked
                    break
                owner._is_marked = False
                try:
                    owner._on_mark()
                except Exception as error:  # noqa: BLE001 - isolation
                    contain(self, owner, error)
        return len(self._marked) > 0

    def run_deferred(self) -> None:
        """Call `Owner._on_deferred` of all that wait, as long as there is time."""
        deferred = self._deferred
        self._deferred = []
        for index, owner in enumerate(deferred):
            if index > 0 and perf_counter() >= self.until:
                self._deferred = deferred[index:] + self._deferred
                break
            owner._is_deferred = False
            try:
                owner._on_deferred()
            except Exception as error:  # noqa: BLE001 - isolation
                contain(self, owner, error)

    def tick(self) -> bool:
        """Call the timers that are due; return whether some are left."""
        late = self.wheel.run(self.now, self.until)
        self.wake_at = self.wheel.next_deadline()
        return late
