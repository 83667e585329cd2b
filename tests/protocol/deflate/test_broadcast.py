"""Shared frames against a model: every receiver gets exactly its own sequence.

The receivers have different parameters, and some share an agreement. To each go
messages of its own, compressed or not, whole or in fragments, and messages for
all, some of them again and again. The model is a list for each receiver, which
reads with a window of exactly the agreed size.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from tests.protocol.deflating import Message, as_bytes, for_side, send
from tests.protocol.support import reader_of
from tests.wire import (
    MessageReader,
    Way,
    ping,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.deflate.agreement import Agreement
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.prepared import PreparedMessage

# Few and alike, so that each would refer to another if it could.
WORDS = st.sampled_from(["alpha ", "beta ", "alphabet ", "κόσμε ", "0123456789" * 30])
TEXTS = st.lists(WORDS, max_size=8).map("".join)
SOME = random.Random(5).randbytes(5000)
NOISE = st.sampled_from([7, 400, 700, 5000]).map(lambda size: SOME[:size])
MESSAGES: st.SearchStrategy[Message] = TEXTS | TEXTS.map(str.encode) | NOISE
SETS = st.tuples(
    st.builds(Way, st.sampled_from([8, 9, 9, 10, 15]), st.booleans()),
    st.fixed_dictionaries(
        {"persistent": st.sampled_from([False, False, True])},
        optional={"level": st.sampled_from([1, 9])},
    ),
)


@dataclass
class Receiver:
    """A connection: what sends to it, what reads there, and the model."""

    endpoint: Endpoint
    reader: MessageReader
    expected: list[Message] = field(default_factory=list)
    received: list[Message] = field(default_factory=list)
    payload: int = 0

    def take(self, data: bytes, message: Message) -> None:
        self.expected.append(message)
        sent = self.reader.read_one(data)
        self.received.append(sent.message)
        self.payload += sum(map(len, sent.parts))


class Broadcast(RuleBasedStateMachine):
    """Messages for one and messages for all, in any order."""

    prepared: Bundle[PreparedMessage] = Bundle("prepared")

    def __init__(self) -> None:
        super().__init__()
        self.receivers: list[Receiver] = []

    @initialize(sets=st.lists(SETS, min_size=1, max_size=4), plain=st.booleans())
    def connect(self, sets: list[tuple[Way, dict[str, Any]]], plain: bool) -> None:
        for way, options in sets:
            parameters = for_side(Role.SERVER, way)
            agreement = Agreement(Role.SERVER, parameters, zlib, **options)
            # Two that share it, one whose agreement is only equal, and a client.
            equal = Agreement(Role.SERVER, parameters, zlib, **options)
            ours = Agreement(Role.CLIENT, for_side(Role.CLIENT, way), zlib, **options)
            self.add(Role.SERVER, way, agreement)
            self.add(Role.SERVER, way, agreement)
            self.add(Role.SERVER, way, equal)
            self.add(Role.CLIENT, way, ours)
        if plain:
            self.add(Role.SERVER, Way(), None)

    def add(self, role: Role, way: Way, agreement: Agreement | None) -> None:
        endpoint = Endpoint(role, agreement=agreement)
        reader = reader_of(role, way, exact=True)
        self.receivers.append(Receiver(endpoint, reader))

    # --- for all -------------------------------------------------------------

    @rule(target=prepared, message=MESSAGES)
    def prepare(self, message: Message) -> PreparedMessage:
        return PreparedMessage(message)

    @rule(message=prepared, compress=st.sampled_from([True, True, False]))
    def broadcast(self, message: PreparedMessage, compress: bool) -> None:
        for receiver in self.receivers:
            self.share(receiver, message, compress)

    @rule(message=prepared, some=st.sets(st.integers(0, 16)), compress=st.booleans())
    def multicast(
        self, message: PreparedMessage, some: set[int], compress: bool
    ) -> None:
        for at in some:
            if at < len(self.receivers):
                self.share(self.receivers[at], message, compress)

    def share(
        self, receiver: Receiver, message: PreparedMessage, compress: bool
    ) -> None:
        parts: list[bytes] = []
        size = receiver.endpoint.encode_prepared(message, compress, parts)
        data = b"".join(parts)
        assert size == len(data)
        receiver.take(data, message.message)

    # --- for one -------------------------------------------------------------

    @rule(
        at=st.integers(0, 16),
        message=MESSAGES,
        compress=st.sampled_from([True, True, False]),
        sizes=st.lists(st.integers(0, 300), max_size=3),
    )
    def send(self, at: int, message: Message, compress: bool, sizes: list[int]) -> None:
        receiver = self.receivers[at % len(self.receivers)]
        data = send(receiver.endpoint, message, *sizes, compress=compress)
        receiver.take(data, message)

    @rule(at=st.integers(0, 16), message=prepared)
    def send_the_same(self, at: int, message: PreparedMessage) -> None:
        # What somebody else may have got as a shared frame.
        receiver = self.receivers[at % len(self.receivers)]
        receiver.take(send(receiver.endpoint, message.message), message.message)

    @rule(at=st.integers(0, 16), message=MESSAGES, other=prepared)
    def interrupt(self, at: int, message: Message, other: PreparedMessage) -> None:
        # While one message is in fragments, all the others get something.
        receiver = self.receivers[at % len(self.receivers)]
        data = as_bytes(message)
        parts: list[bytes] = []
        half = len(data) // 2
        opcode = 0x41 if isinstance(message, str) else 0x42
        receiver.endpoint.encode(opcode, data[:half], False, parts)
        for another in self.receivers:
            if another is not receiver:
                self.share(another, other, True)
        parts.append(receiver.endpoint.encode_ping(b"?"))
        receiver.endpoint.encode(0x40, data[half:], True, parts)
        receiver.take(b"".join(parts), message)
        assert receiver.reader.control.pop() == ping(b"?")

    # --- what always holds ---------------------------------------------------

    @invariant()
    def everybody_has_what_was_sent(self) -> None:
        for receiver in self.receivers:
            assert receiver.received == receiver.expected

    @invariant()
    def everything_is_counted(self) -> None:
        for receiver in self.receivers:
            endpoint = receiver.endpoint
            sent = sum(len(as_bytes(message)) for message in receiver.expected)
            assert endpoint.messages_sent == len(receiver.expected)
            assert endpoint.bytes_sent == sent
            saved = 0 if endpoint.deflate is None else endpoint.deflate.saved_sent
            assert receiver.payload == sent - saved


TestBroadcast = Broadcast.TestCase
TestBroadcast.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
