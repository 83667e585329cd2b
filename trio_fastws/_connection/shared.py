# cython: annotation_typing=False
"""What the connections of one server, or of one client, have in common.

Options as plain numbers, shared by reference: each connection pays eight bytes for
all of them. Where a server decides for some of its connections otherwise, there is one
`Shared` for each kind, and all of them are `alike` in what belongs to the server.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from trio_fastws._config.options import (
    get_hard_limit,
    get_low_water,
    get_message_size,
    get_total,
)
from trio_fastws._transport.wheel import Timer

from .budget import Budget
from .connections import Connections

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_fastws._config.arguments import Options
    from trio_fastws._protocol.codes import Role
    from trio_fastws._transport.contract import Dispatcher, Owner

NEVER = 2**62
# Promotion stops here: about what a socket buffer takes at once. More committed
# bytes would only be memory, and out of reach of the policy for slow peers.
WIRE_SIZE = 64 * 1024
# Under `Sending.delay` a connection that has so much is written at once: 11 full
# segments of TCP, about what it sends before the first acknowledgement (RFC 6928), so
# that a longer batch would save no packet.
BATCH_SIZE = 16 * 1024
# For a policy that drops. Of 100 KB/s, a peer that reads 20 sees what is 15 s old after
# 20 s, and getting older; with this 6 s, for its own kernel holds as much (1.2 s if
# that holds 8 KiB). A quarter of this saves 0.4 s more, for four times the writes.
UNSENT_LIMIT = 16 * 1024
# How long a Ping or a Pong of ours waits for the end of a compressed message. Of the
# peers that give up without a Pong the most impatient of note is aiohttp, after half
# of its `heartbeat`: 5 s with the usual 10. And a postponed Ping leaves the peer
# half of `Timeouts.ping_timeout` at least.
POSTPONE_SECONDS = 2.0
# How long a connection may hold more than its share when there is too little for all.
PRESSED_SECONDS = 10.0
WAIT, DROP_OLDEST, DROP_NEWEST, CLOSE_SLOW = 0, 1, 2, 3
POLICIES = {
    "wait": WAIT,
    "drop_oldest": DROP_OLDEST,
    "drop_newest": DROP_NEWEST,
    "close": CLOSE_SLOW,
}


class Shared(Timer):
    """What the connections of a server, or one client, have in common.

    As a timer it is the one clock of delayed sends (`Sending.delay`).
    """

    __slots__ = (
        "__weakref__",
        "budget",
        "cancel_on_disconnect",
        "close_seconds",
        "compress_from",
        "connections",
        "delay",
        "delayed",
        "dispatcher",
        "fragments",
        "frame_size",
        "handler",
        "handler_name",
        "hard_limit",
        "high_water",
        "keep_request",
        "low_water",
        "max_messages",
        "message_size",
        "on_message",
        "ping_interval",
        "ping_timeout",
        "policy",
        "postpone_seconds",
        "postponed",
        "receive_buffer",
        "role",
        "slow_consumer",
        "sparing",
        "spawn",
        "start",
        "tasks",
        "unsent_limit",
        "wire_limit",
        "write_stall",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        options: Options,
        spawn: Callable[..., None],
        role: Role,
        handler: Any = None,
        handler_name: str | None = None,
        start: Callable[[Any], None] | None = None,
        alike: Shared | None = None,
    ) -> None:
        """Make one for the connections of a server, or of some kind.

        Args:
            dispatcher: Of all of them.
            options: As they were given.
            spawn: Starts a task in the nursery that outlives every connection.
            role: Whose side this is.
            handler: An `EventHandler`, or None.
            handler_name: As logs name it; None: a client's, or an upgrade's.
            start: Starts the task of a connection's own, if each has one.
            alike: Of the same server: the connections and what they hold together
                are counted there.
        """
        super().__init__()
        limits, timeouts, sending, deflate = options
        self.role: Role = role
        self.dispatcher: Dispatcher = dispatcher
        self.handler: Any = handler
        self.handler_name: str | None = handler_name
        self.start: Callable[[Any], None] | None = start
        # Looked up once: nothing is called more often.
        self.on_message: Callable[[Any, Any], None] | None = (
            None if handler is None else handler.on_message
        )
        self.spawn: Callable[..., None] = spawn
        # Their `PostponedControls`, made when first needed.
        self.postponed: Any = None
        self.message_size: int | None = get_message_size(limits, role)
        self.fragments: int | None = limits.fragments
        # The open ones, and what they hold together.
        self.connections: Connections
        self.budget: Budget
        if alike is None:
            self.connections = Connections(dispatcher.contexts)
            self.budget = Budget(
                get_total(limits, role),
                self.message_size,
                timeouts.slow_consumer or PRESSED_SECONDS,
                dispatcher,
                self.connections._items,
            )
        else:
            self.connections, self.budget = alike.connections, alike.budget
        self.cancel_on_disconnect: bool = sending.on_disconnect == "cancel"
        self.keep_request: bool = limits.keep_request
        self.receive_buffer: int = limits.receive_buffer
        self.tasks: int = limits.tasks or NEVER
        self.policy: int = POLICIES[sending.policy]
        self.high_water: int = sending.high_water
        self.low_water: int = get_low_water(sending)
        self.hard_limit: int = get_hard_limit(sending)
        self.max_messages: int = sending.max_messages or 2**31
        self.delay: float = sending.delay
        # Whose output is delayed, and until when, in order.
        self.delayed: deque[tuple[float, Owner]] = deque()
        self.frame_size: int = min(sending.frame_size or NEVER, NEVER)
        # What a policy may drop is not promoted while the peer does not take more; nor
        # is more committed than the kernel may hold unsent.
        self.sparing: bool = self.policy in (DROP_OLDEST, DROP_NEWEST)
        unsent = sending.unsent_limit or (UNSENT_LIMIT if self.sparing else 0)
        self.unsent_limit: int = unsent
        self.wire_limit: int = min(unsent, WIRE_SIZE) if self.sparing else WIRE_SIZE
        self.postpone_seconds: float = min(POSTPONE_SECONDS, timeouts.ping_timeout / 2)
        # Shorter messages are not compressed.
        self.compress_from: int = NEVER if deflate is None else deflate.threshold
        self.close_seconds: float = timeouts.close
        self.ping_interval: float = timeouts.ping_interval or math.inf
        self.ping_timeout: float = timeouts.ping_timeout
        self.write_stall: float = timeouts.write_stall or math.inf
        self.slow_consumer: float = timeouts.slow_consumer or math.inf

    def delay_output(self, connection: Owner) -> float:
        """Delay a connection's output; return when that is over."""
        deadline = self.dispatcher.time() + self.delay
        if not self.delayed:
            # Not by the wheel, a tick of which may be many times the delay.
            self.dispatcher.schedule_exactly(self, deadline)
        self.delayed.append((deadline, connection))
        return deadline

    def _on_deadline(self, now: float) -> float:
        """Write what was delayed long enough."""
        delayed = self.delayed
        while delayed and delayed[0][0] <= now:
            self.dispatcher.mark(delayed.popleft()[1])
        return delayed[0][0] if delayed else math.inf
