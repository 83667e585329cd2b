"""Two builds of one source make the same of compressed messages.

What they are given, legal or not, is drawn; what they make of it is compared.
The rest is in `test_differential`, whose twin this is.
"""

from __future__ import annotations

import zlib
from functools import partial
from itertools import chain
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.protocol.deflating import cut, for_side
from tests.protocol.support import COMPRESSED
from tests.protocol.test_differential import (
    ODD,
    PAYLOADS,
    PURE,
    STEPS,
    encode,
    load_twin,
    trace,
)
from tests.wire import (
    BINARY,
    CONTINUATION,
    PING,
    STYLES,
    TEXT,
    Deflater,
    Way,
    parse,
)
from trio_fastws._protocol import deflate, endpoint, prepared
from trio_fastws._protocol.codes import Role

pytestmark = pytest.mark.skipif(
    PURE, reason="the pure build runs: there is no compiled one to compare it with"
)
RUNS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
compiled: Any = SimpleNamespace(deflate=deflate, endpoint=endpoint, prepared=prepared)
if not PURE:
    twin: Any = load_twin("deflating_twin")

WAYS = st.builds(Way, st.integers(8, 15), st.booleans())
BOMBS = st.sampled_from([300, 70_000, 200_000]).map(bytes)
SIZES = st.lists(st.integers(0, 40) | st.just(20_000), max_size=3)


@st.composite
def messages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return the frames of a few messages, most compressed and most of them well."""
    way = draw(WAYS)
    deflater = Deflater(way)
    frames: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, 4))):
        data = draw(PAYLOADS | BOMBS)
        style = draw(st.sampled_from([*STYLES, "plain"]))
        plain = style == "plain"
        payload = data if plain else deflater.compress(data, style)
        damage = draw(st.integers(0, 9))
        if damage == 0:
            payload = payload[: draw(st.integers(0, len(payload)))]
        elif damage == 1 and payload:
            at = draw(st.integers(0, min(len(payload) - 1, 200)))
            payload = payload[:at] + draw(st.binary(max_size=2)) + payload[at + 1 :]
        parts = cut(payload, draw(SIZES))
        opcode = draw(st.sampled_from([TEXT, BINARY, BINARY]))
        for i, part in enumerate(parts):
            if i and draw(st.integers(0, 3)) == 0:
                frames.append({"opcode": PING, "payload": b"p"})
            frames.append(
                {
                    "opcode": CONTINUATION if i else opcode,
                    "payload": part,
                    "fin": i == len(parts) - 1,
                    "rsv": 0 if i or plain else 4,
                }
            )
    return frames


INPUT = st.tuples(messages(), st.lists(ODD, max_size=1), messages()).map(
    lambda parts: list(chain.from_iterable(parts))
)


def agreeing(build: Any, role: int, ways: tuple[Way, Way], **options: Any) -> Any:
    """Return an endpoint of ``build``; every build has an agreement of its own."""
    max_message = options.pop("max_message", 2**20)
    max_fragments = options.pop("max_fragments", None)
    parameters = for_side(Role(role), *ways)
    agreed = build.deflate.agreement.Agreement(role, parameters, zlib, **options)
    return build.endpoint.Endpoint(role, max_message, max_fragments, agreed)


@RUNS
@given(
    role=st.sampled_from([0, 1]),
    ways=st.tuples(WAYS, WAYS),
    limit=st.sampled_from([2**20, 2**20, None, 200]),
    fragments=st.sampled_from([None, None, 5]),
    frames=INPUT,
    steps=STEPS,
)
def test_compressed_frames_legal_and_not_split_anywhere(
    role: int,
    ways: tuple[Way, Way],
    limit: int | None,
    fragments: int | None,
    frames: Any,
    steps: Any,
) -> None:
    data = encode(role, frames)
    options = {"max_message": limit, "max_fragments": fragments}
    traces = []
    for build in (compiled, twin):
        make = partial(agreeing, build, ways=ways)
        traces.append(trace(SimpleNamespace(Endpoint=make), role, options, data, steps))
    assert traces[0] == traces[1]


SENDS = st.lists(
    st.tuples(
        PAYLOADS | BOMBS,
        st.sampled_from(["whole", "whole", "fragments", "prepared"]),
        st.booleans() | st.just(True),
        SIZES,
    ),
    max_size=8,
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "persistent": st.booleans(),
        "level": st.integers(1, 9),
        "memory_level": st.integers(1, 9),
    },
)


def sent_by(
    build: Any, role: int, ways: tuple[Way, Way], options: Any, sends: Any
) -> list[Any]:
    """Return what an endpoint of ``build`` sends, and what it counts."""
    sender = agreeing(build, role, ways, **options)
    seen: list[Any] = []
    for payload, how, compress, sizes in sends:
        parts: list[bytes] = []
        bit = COMPRESSED if compress else 0
        if how == "prepared":
            message = build.prepared.PreparedMessage(payload)
            seen.append(sender.encode_prepared(message, compress, parts))
        elif how == "whole":
            seen.append(sender.encode(BINARY | bit, payload, True, parts))
        else:
            pieces = cut(payload, sizes)
            for i, piece in enumerate(pieces):
                opcode = (CONTINUATION if i else BINARY) | bit
                fin = i == len(pieces) - 1
                seen.append(sender.encode(opcode, piece, fin, parts))
        seen.append(parse(b"".join(parts), within_message=None))
        counted = (sender.messages_sent, sender.bytes_sent, sender.deflate.saved_sent)
        may = (sender.in_steps(len(payload)), sender.may_share(len(payload)))
        seen.append((len(parts), counted, may))
    return seen


@RUNS
@given(
    role=st.sampled_from([0, 1]),
    ways=st.tuples(WAYS, WAYS),
    options=OPTIONS,
    sends=SENDS,
)
def test_what_is_sent_compressed(
    role: int, ways: tuple[Way, Way], options: Any, sends: Any
) -> None:
    expected = sent_by(twin, role, ways, options, sends)
    assert sent_by(compiled, role, ways, options, sends) == expected


def test_the_twin_is_a_twin() -> None:
    for build, pure in ((twin, True), (compiled, False)):
        for method in (
            build.endpoint.Endpoint.encode_prepared,
            build.deflate.agreement.Agreement.compress,
            build.prepared.PreparedMessage._get_plain,
        ):
            assert isinstance(method, FunctionType) == pure
