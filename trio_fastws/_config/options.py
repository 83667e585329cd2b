"""Options in groups: small, frozen, checked when they are made.

A wrong value raises where it is given, and the error names the range. None means no
limit, or never; no number does. Sizes are bytes and times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trio_fastws._protocol.codes import Role

from .checks import (
    MOST,
    check_bool,
    check_choice,
    check_range,
    check_required,
    check_seconds,
    check_size,
)
from .libraries import LIBRARIES, find_library

# A client has chosen its server: browsers' developer tools, home automation and
# notebooks send messages of some MiB. A server has many clients, which are strangers.
_DEFAULT_MESSAGE_SIZE = {Role.SERVER: 2**20, Role.CLIENT: 16 * 2**20}
# A small machine has as much, and 64 messages of 1 MiB can still arrive when three
# quarters of it are held.
_DEFAULT_TOTAL = 256 * 2**20
# Of what waits for one connection: a few large messages, or a burst to a slow peer.
_DEFAULT_HARD_LIMIT = 16 * 2**20
# What a queued message is charged besides its payload: tuple, deque cell, bytes head.
ITEM_OVERHEAD = 64
# About a segment of TCP: with less, every few bytes would be a write of their own.
SMALLEST_UNSENT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much memory peers may take.

    Attributes:
        message_size: Largest message, in bytes after decompression; one byte
            more is refused with close code 1009. ``"default"``: 1 MiB for a
            server and `upgrade`, which strangers dial, 16 MiB for a client,
            which has chosen its server. None for no limit: then read large
            messages with `WebSocket.receive_stream`.
        total: Most bytes held for all peers of a server together (for a client or
            `upgrade`: for the one): unfinished messages, unread ones, and what waits
            to be written. From three quarters of it on, reading pauses for those
            that hold most; a connection that stays over its share of it for
            `Timeouts.slow_consumer` (None: 10 s) is closed with 1013. At least
            ``message_size``. None: 256 MiB, or four times ``message_size`` if that
            is more.
        fragments: Most fragments in a message. None: 1,024, or one for every
            128 bytes of ``message_size`` if that is more.
        request_head: Largest head of a handshake request or response (431).
        request_fields: Most header fields in it (431).
        connections: Most open connections of a server; further ones are
            answered with 503. None for no limit but the system's.
        pending_handshakes: Most connections of a server that are not WebSockets:
            their handshake is not complete, or they got another answer and are not
            closed yet. For one more, the oldest is closed.
        receive_buffer: Bytes of unread messages a connection may hold (each
            message counts 64 more, and text what it takes once decoded: up to
            four bytes a character); reading pauses there.
        tasks: Tasks of `WebSocket.start_soon` that may run for a connection while
            it gets messages, so that a flood of these is none of tasks. From so
            many on, reading pauses and who receives waits, until one has ended;
            ``start_soon`` itself never waits. Tasks that live as long as the
            connection count too, and none should wait for what is not read then: the
            Pong of a `WebSocket.ping`. None for no limit.
        keep_request: Keep every connection's request. Otherwise it is dropped
            once `EventHandler.on_open` returned, or at the handler's first
            `WebSocket.receive`, unless `WebSocket.request` was read before.
    """

    message_size: int | Literal["default"] | None = "default"
    total: int | None = None
    fragments: int | None = None
    request_head: int = 64 * 1024
    request_fields: int = 128
    connections: int | None = None
    pending_handshakes: int = 1024
    receive_buffer: int = 256 * 1024
    # Each takes 3 KiB, and 4 with the functions that it calls: together as much as the
    # unread messages of a connection may.
    tasks: int | None = 64
    keep_request: bool = False

    def __post_init__(self) -> None:
        if self.message_size != "default":
            check_size("message_size", self.message_size, 0)
        check_size("total", self.total, 64 * 1024)
        if (
            self.total is not None
            and isinstance(self.message_size, int)
            and self.total < self.message_size
        ):
            raise ValueError(
                f"total is {self.total}; "
                f"it must be at least message_size ({self.message_size})"
            )
        check_size("fragments", self.fragments, 1)
        check_size("connections", self.connections, 0)
        check_size("tasks", self.tasks, 1)
        for name, low in (
            ("request_head", 256),
            ("request_fields", 8),
            ("pending_handshakes", 1),
            ("receive_buffer", 1),
        ):
            value = getattr(self, name)
            check_required(name, value)
            check_size(name, value, low)
        check_bool("keep_request", self.keep_request)


def get_message_size(limits: Limits, role: Role) -> int | None:
    """Return `Limits.message_size` in bytes, as it is for a server or a client."""
    size = limits.message_size
    return _DEFAULT_MESSAGE_SIZE[role] if size == "default" else size


def get_low_water(sending: Sending) -> int:
    """Return what `Sending.low_water` means."""
    return sending.high_water // 4 if sending.low_water is None else sending.low_water


def get_hard_limit(sending: Sending) -> int:
    """Return what `Sending.hard_limit` means."""
    if sending.hard_limit is None:
        return max(_DEFAULT_HARD_LIMIT, sending.high_water)
    return sending.hard_limit


def get_total(limits: Limits, role: Role) -> int:
    """Return `Limits.total` in bytes, as it is for a server or a client."""
    if limits.total is not None:
        return limits.total
    return min(max(_DEFAULT_TOTAL, 4 * (get_message_size(limits, role) or 0)), MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait for a peer, in seconds.

    Attributes:
        handshake: For the whole opening handshake, TLS included.
        ping_interval: Ping a peer that has sent nothing for so long, and every so
            many seconds as long as it sends nothing. None: never. Of a new
            connection the first Ping comes at a random time between half of it and
            all of it: thousands that reconnect at once are not pinged at once.
        ping_timeout: Give up a peer that for so long after a Ping sends no byte, and
            whose system acknowledges none of ours. While reading is paused, only
            acknowledgements count.
        close: For the whole closing handshake. The end of TCP after it may take a
            second, or this if it is less.
        write_stall: Give up a peer whose system acknowledges no byte for so long
            while there is something to write, messages or a page. None: never.
        slow_consumer: Give up a connection whose messages this side does not receive
            for so long while reading is paused. None: never.
        shutdown: For all connections together, when a server ends: it is cancelled, or
            told to (`Server.aclose`).
    """

    handshake: float = 10.0
    ping_interval: float | None = 20.0
    ping_timeout: float = 20.0
    close: float = 10.0
    write_stall: float | None = 60.0
    slow_consumer: float | None = None
    shutdown: float = 5.0

    def __post_init__(self) -> None:
        for name in (
            "handshake",
            "ping_interval",
            "ping_timeout",
            "close",
            "write_stall",
            "slow_consumer",
            "shutdown",
        ):
            value = getattr(self, name)
            if name in ("handshake", "ping_timeout", "close", "shutdown"):
                check_required(name, value)
            check_seconds(name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What happens to messages for a peer that reads more slowly than we send.

    Attributes:
        policy: ``"wait"``: `WebSocket.send` waits for room and ``send_nowait``
            raises `trio.WouldBlock`. ``"drop_oldest"`` and ``"drop_newest"``:
            messages that are not yet encoded make room, or are not queued;
            `WebSocket.statistics` counts them. ``"close"``: the connection is
            closed with code 1008.
        high_water: Bytes waiting (64 more a message) above which there is no
            room. A message larger than this is taken when nothing else waits.
        low_water: Bytes waiting at which there is room again: waiting
            `WebSocket.send` go on, and `EventHandler.on_drain` is called. None: a
            quarter of ``high_water``, 16 KiB.
        max_messages: Most messages waiting; None for no limit but the bytes. With
            a policy that drops, a peer that is too slow gets what the kernel has,
            the rest of one frame, and these.
        hard_limit: Bytes waiting above which even ``send_nowait`` in a hook
            raises `trio.WouldBlock`. None: 16 MiB, or ``high_water`` if that is more.
        delay: Delay messages for so many seconds, a millisecond or less too, and
            write them together; 0 to write at once. What a hook sends to its
            own connection is not delayed, nor are control frames; what was delayed
            leaves with them. What waits for one connection leaves at once when it
            is 16 KiB.
        frame_size: Most bytes of a message in one frame, 125 or more. A larger
            message leaves in fragments (RFC 6455 5.4), each of so many bytes, and
            Pongs, Pings and what closes the connection need not wait for all of
            it. None: each message is one frame.
        unsent_limit: Bytes, 1,024 or more, that the kernel may hold of a TCP
            connection and not have sent yet (TCP_NOTSENT_LOWAT); no policy reaches
            those. None: 16 KiB with a policy that drops, otherwise as many as the
            system takes, which may be megabytes. See `WebSocket.limit_unsent`.
        on_disconnect: What happens to an async handler of a server whose peer is
            gone. ``"deliver"``: it learns of it when it next sends or receives, and
            what arrived before can still be received. ``"cancel"``: it is cancelled
            at once, for handlers that only send. Without meaning for a client,
            `upgrade` and an `EventHandler`.
    """

    policy: Literal["wait", "drop_oldest", "drop_newest", "close"] = "wait"
    high_water: int = 64 * 1024
    low_water: int | None = None
    max_messages: int | None = None
    hard_limit: int | None = None
    delay: float = 0.0
    frame_size: int | None = 2**20
    unsent_limit: int | None = None
    on_disconnect: Literal["deliver", "cancel"] = "deliver"

    def __post_init__(self) -> None:
        policies = ("wait", "drop_oldest", "drop_newest", "close")
        check_choice("policy", self.policy, policies)
        check_choice("on_disconnect", self.on_disconnect, ("deliver", "cancel"))
        check_size("max_messages", self.max_messages, 1)
        check_size("unsent_limit", self.unsent_limit, SMALLEST_UNSENT)
        # A control frame may have as many: less would keep nothing waiting less.
        check_size("frame_size", self.frame_size, 125)
        check_required("high_water", self.high_water)
        for name in ("high_water", "low_water", "hard_limit"):
            check_size(name, getattr(self, name), 0)
        if self.low_water is not None and self.low_water > self.high_water:
            raise ValueError(
                f"low_water is {self.low_water}; "
                f"it must be at most high_water ({self.high_water})"
            )
        if self.hard_limit is not None and self.hard_limit < self.high_water:
            raise ValueError(
                f"hard_limit is {self.hard_limit}; "
                f"it must be at least high_water ({self.high_water})"
            )
        check_required("delay", self.delay)
        check_seconds("delay", self.delay, zero=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerMessageDeflate:
    """Compression of messages (RFC 7692), for peers that can do it too.

    A *window* is what a message may refer to: the last bytes that were sent
    compressed. A server uses these options as they are, except that it cannot make
    a client limit its window that does not offer to. A client may be told to use
    less than it asks for, and refuses a server that does not grant what it asked for.

    Attributes:
        server_context_takeover: Messages from the server may refer to earlier
            ones: smaller, but the window is kept on both sides. Otherwise
            every message is compressed by itself.
        client_context_takeover: The same for messages from the client.
        server_window_bits: Largest window of the server, 2 to the power of 9 to
            15 bytes. None: a server takes 12, a client leaves it to the server.
            A server sends it only to clients that ask for a limit.
        client_window_bits: The same of the client. None: 12, on both sides. A
            client does not send it: it compresses with the smaller of this and
            what the server grants.
        context: How takeover is kept for what we send. ``"window"``: only the
            window, a quarter of the memory; and a message that goes to many is
            compressed only once. ``"persistent"``: a compressor for each
            connection, which takes half of the CPU for messages of 100 bytes.
        level: How hard to compress: 1 to 9, with isal 0 to 3.
        memory_level: How much memory to compress with: 1 to 9, each level twice
            the one before.
        threshold: Messages of fewer bytes are sent as they are, and enter no
            window; 0 compresses all but the empty ones.
        library: ``"zlib"`` comes with Python, the others with
            ``pip install 'trio-fastws[deflate]'``.

    Raises:
        ValueError: A value is out of its range, which the message names.
        TypeError: A value is of another type.
        ImportError: ``library`` is not installed.
    """

    server_context_takeover: bool = True
    client_context_takeover: bool = True
    server_window_bits: int | None = None
    client_window_bits: int | None = None
    context: Literal["persistent", "window"] = "window"
    level: int = 1
    memory_level: int = 5
    threshold: int = 64
    library: Literal["zlib", "zlib-ng", "isal"] = "zlib"

    def __post_init__(self) -> None:
        for name in ("server_context_takeover", "client_context_takeover"):
            check_bool(name, getattr(self, name))
        # RFC 7692 allows 8, with which zlib cannot compress.
        if self.server_window_bits is not None:
            check_range("server_window_bits", self.server_window_bits, 9, 15)
        if self.client_window_bits is not None:
            check_range("client_window_bits", self.client_window_bits, 9, 15)
        check_range("memory_level", self.memory_level, 1, 9)
        check_choice("context", self.context, ("persistent", "window"))
        check_choice("library", self.library, tuple(LIBRARIES))
        if self.library == "isal":
            check_range("level", self.level, 0, 3, " with isal")
        else:
            check_range("level", self.level, 1, 9)
        check_required("threshold", self.threshold)
        check_size("threshold", self.threshold, 0)
        find_library(self.library)
