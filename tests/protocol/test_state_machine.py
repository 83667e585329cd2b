"""Two endpoints against a model of them: two lists and two close states.

The model knows nothing of bytes but how many there are: what was sent arrives in
order, once its last byte has arrived; what arrives may have to be answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.protocol.support import ROOM
from tests.wire import (
    BINARY,
    CONTINUATION,
    TEXT,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Close, Endpoint, Piece, Ping, Pong

SIDES = st.sampled_from([0, 1])
FRAGMENTS = st.lists(
    st.binary(max_size=30) | st.sampled_from([126, 70_000]).map(bytes),
    min_size=1,
    max_size=4,
)


@dataclass
class Side:
    """The model of one side, and of the way that leads to it."""

    close_sent: bool = False
    close_received: bool = False
    received: list[Any] = field(default_factory=list)
    expected: list[Any] = field(default_factory=list)
    # Under way to it: bytes, and where in them what kind of thing is complete.
    wire: bytearray = field(default_factory=bytearray)
    things: list[tuple[int, str, Any]] = field(default_factory=list)
    sent: int = 0
    arrived: int = 0


class TwoEndpoints(RuleBasedStateMachine):
    """Whatever they say to each other, in chunks of whatever size."""

    def __init__(self) -> None:
        super().__init__()
        self.endpoints = [Endpoint(Role.CLIENT), Endpoint(Role.SERVER)]
        self.sides = [Side(), Side()]

    def put(self, to: int, data: bytes, kind: str, value: Any) -> None:
        side = self.sides[to]
        side.wire += data
        side.sent += len(data)
        side.things.append((side.sent, kind, value))

    # --- what a side may do --------------------------------------------------

    @rule(side=SIDES, fragments=FRAGMENTS, text=st.none() | st.text(), ping=SIDES)
    def send(
        self, side: int, fragments: list[bytes], text: str | None, ping: int
    ) -> None:
        if self.sides[side].close_sent:
            return
        message: str | bytes = b"".join(fragments)
        opcode = BINARY
        if text is not None:
            # Cut anywhere, within a character too.
            data, message, opcode = text.encode(), text, TEXT
            cut = len(data) // 2
            fragments = [data[:cut], data[cut:]]
        for i, payload in enumerate(fragments):
            if ping and i:
                self.ping(side, bytes([i]))
            parts: list[bytes] = []
            last = i == len(fragments) - 1
            self.endpoints[side].encode(
                CONTINUATION if i else opcode, payload, last, parts
            )
            data = b"".join(parts)
            if last:
                self.put(1 - side, data, "message", message)
            else:
                self.put(1 - side, data, "part", None)

    @rule(side=SIDES, payload=st.binary(max_size=125))
    def ping(self, side: int, payload: bytes) -> None:
        if not self.sides[side].close_sent:
            data = self.endpoints[side].encode_ping(payload)
            self.put(1 - side, data, "ping", payload)

    @precondition(lambda self: self.sides[0].sent + self.sides[1].sent > 300)
    @rule(side=SIDES, code=st.sampled_from([1000, 1001, 3000, 4999]))
    def close(self, side: int, code: int) -> None:
        if not self.sides[side].close_sent:
            self.sides[side].close_sent = True
            data = self.endpoints[side].encode_close(code, "reason")
            self.put(1 - side, data, "close", (code, "reason"))

    # --- what the network may do ---------------------------------------------

    @rule(
        side=SIDES,
        size=st.integers(1, 5) | st.integers(1, 400) | st.just(10**9),
        direct=st.booleans(),
        keep=st.booleans(),
    )
    def deliver(self, side: int, size: int, direct: bool, keep: bool) -> None:
        model, endpoint = self.sides[side], self.endpoints[side]
        chunk = bytes(model.wire[:size])
        del model.wire[:size]
        view = endpoint.get_buffer() if direct else None
        if view is not None and chunk:
            taken = min(len(view), len(chunk))
            view[:taken] = chunk[:taken]
            endpoint.filled(taken)
            self.arrive(side, taken)
            self.drain(side, keep)
            chunk = chunk[taken:]
        buffer = bytearray(ROOM) + chunk
        endpoint.feed(buffer, ROOM, len(buffer))
        self.arrive(side, len(chunk))
        self.drain(side, keep)

    @rule(side=SIDES)
    def stream(self, side: int) -> None:
        self.endpoints[side].streaming = True

    def arrive(self, side: int, size: int) -> None:
        """Have the model find out what is complete now."""
        model = self.sides[side]
        model.arrived += size
        while model.things and model.things[0][0] <= model.arrived:
            _, kind, value = model.things.pop(0)
            if model.close_received:
                continue
            if kind == "message" and not model.close_sent:
                model.expected.append(value)
            elif kind in {"ping", "pong"}:
                model.expected.append((kind, value))
            elif kind == "close":
                model.close_received = True
                model.expected.append((kind, *value))

    def drain(self, side: int, keep: bool) -> None:
        """Take the events, and answer as they ask for it."""
        model, endpoint = self.sides[side], self.endpoints[side]
        for event in iter(endpoint.next_event, None):
            if isinstance(event, Piece):
                self.take_piece(endpoint, model, event)
            elif isinstance(event, str | bytes):
                model.received.append(event)
            elif isinstance(event, Ping):
                model.received.append(("ping", event.payload))
                assert bool(event.reply) != model.close_sent
                if event.reply:
                    self.put(1 - side, event.reply, "pong", event.payload)
            elif isinstance(event, Pong):
                model.received.append(("pong", event.payload))
            else:
                assert isinstance(event, Close)
                model.received.append(("close", event.code, event.reason))
                assert bool(event.reply) != model.close_sent
                if event.reply:
                    model.close_sent = True
                    self.put(1 - side, event.reply, "close", (event.code, event.reason))
            if keep:
                endpoint.keep()

    def take_piece(self, endpoint: Endpoint, model: Side, piece: Piece) -> None:
        # Pieces stand at the end of the list, with Pings and Pongs among them.
        pieces = [item for item in model.received if isinstance(item, list)]
        if not pieces:
            pieces = [[]]
            model.received.append(pieces[0])
        pieces[0].append(piece.data)
        if piece.final:
            endpoint.streaming = False
            model.received.remove(pieces[0])
            empty = piece.data[:0]
            model.received.append(empty.join(pieces[0]))  # type: ignore[arg-type]

    # --- what always holds ---------------------------------------------------

    @invariant()
    def events_are_those_of_the_model(self) -> None:
        for model in self.sides:
            whole = [item for item in model.received if not isinstance(item, list)]
            assert whole == model.expected

    @invariant()
    def states_are_those_of_the_model(self) -> None:
        for model, endpoint in zip(self.sides, self.endpoints, strict=True):
            assert endpoint.close_sent == model.close_sent
            assert endpoint.close_received == model.close_received
            assert not endpoint.failed

    @invariant()
    def nothing_is_held_without_need(self) -> None:
        for model, endpoint in zip(self.sides, self.endpoints, strict=True):
            assert endpoint.buffered <= model.arrived
            if model.close_received:
                assert endpoint.buffered == 0

    def teardown(self) -> None:
        for side in (0, 1, 0, 1):
            self.deliver(side, 10**9, False, False)
            self.events_are_those_of_the_model()
            self.states_are_those_of_the_model()
        if any(model.close_sent for model in self.sides):
            assert all(model.close_received for model in self.sides)


TestTwoEndpoints = TwoEndpoints.TestCase
TestTwoEndpoints.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None
)
