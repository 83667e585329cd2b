"""Two builds of one source: the same bytes give the same events and errors.

The twin is loaded beside the compiled modules, from their sources, under the
name of another package.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib.machinery import SOURCE_SUFFIXES
from itertools import chain
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.protocol.support import ROOM, frame, plain
from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASKING_KEY,
    PING,
    PONG,
    TEXT,
    parse,
)
from trio_fastws._protocol import endpoint as compiled, masking as compiled_masking

PURE = (compiled.__file__ or "").endswith(tuple(SOURCE_SUFFIXES))
pytestmark = pytest.mark.skipif(
    PURE, reason="the pure build runs: there is no compiled one to compare it with"
)
# In the order in which they import each other.
MODULES = ["codes", "errors", "events", "masking", "utf8", "frames"]
MODULES += ["deflate.agreement", "deflate.context", "store", "messages", "inflating"]
MODULES += ["buffers", "prepared", "encoder", "endpoint"]
RUNS = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def load_twin(name: str = "pure_twin") -> ModuleType:
    """Load the sources of the protocol as package ``name``."""
    folder = Path(compiled.__file__ or "").parent
    root = _add_package(name, folder)
    sys.modules[f"{name}._xor"] = None  # type: ignore[assignment]
    root.deflate = _add_package(f"{name}.deflate", folder / "deflate")
    for dotted in MODULES:
        path = folder.joinpath(*dotted.split(".")).with_suffix(".py")
        module = ModuleType(f"{name}.{dotted}")
        module.__file__ = str(path)
        module.__package__ = module.__name__.rpartition(".")[0]
        sys.modules[module.__name__] = module
        source = path.read_text(encoding="utf-8")
        # From one folder to the other; within one they are relative.
        source = source.replace("from trio_fastws._protocol.", f"from {name}.")
        exec(compile(source, str(path), "exec"), module.__dict__)
        package = sys.modules[module.__package__]
        setattr(package, dotted.rpartition(".")[2], module)
    return root


def _add_package(name: str, folder: Path) -> ModuleType:
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package
    return package


if not PURE:
    twin: Any = load_twin()

# --- what a peer may send ----------------------------------------------------

TEXTS = st.text(max_size=40).map(str.encode)
BROKEN = st.tuples(TEXTS, st.sampled_from([b"\xff", b"\xed\xa0", b"\xc3"]), TEXTS)
LARGE = st.tuples(
    st.sampled_from([125, 126, 127, 300, 65535, 65536, 40_000, 100_000]),
    st.binary(min_size=1, max_size=3),
).map(lambda drawn: drawn[1] * (drawn[0] // len(drawn[1])))
PAYLOADS = st.one_of(TEXTS, TEXTS, st.binary(max_size=40), BROKEN.map(b"".join), LARGE)
CLOSES = st.builds(
    lambda code, reason: code.to_bytes(2, "big") + reason[:123],
    st.sampled_from([999, 1000, 1001, 1005, 1011, 3000, 5000]),
    TEXTS,
) | st.sampled_from([b"", b"\x03", b"\x03\xe8\xff"])


@st.composite
def messages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return a message's frames, with control frames between them."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    payloads = draw(st.lists(PAYLOADS, min_size=1, max_size=4))
    frames = []
    for i, payload in enumerate(payloads):
        if draw(st.integers(0, 4)) == 4:
            control = draw(st.sampled_from([PING, PONG]))
            frames.append({"opcode": control, "payload": payload[:125]})
        frames.append(
            {
                "opcode": CONTINUATION if i else opcode,
                "payload": payload,
                "fin": i == len(payloads) - 1,
            }
        )
    return frames


ODD = st.fixed_dictionaries(
    {"opcode": st.integers(0, 15), "payload": PAYLOADS},
    optional={
        "fin": st.booleans(),
        "rsv": st.integers(0, 7),
        "length_bits": st.sampled_from([16, 64]),
        "length": st.integers(0, 125) | st.integers(2**16, 2**64 - 1),
        "wrong_mask": st.booleans(),
    },
)
LAST = CLOSES.map(lambda payload: {"opcode": CLOSE, "payload": payload})
INPUT = st.tuples(
    st.lists(messages(), max_size=4).map(chain.from_iterable),
    st.lists(ODD | LAST, max_size=2),
    st.lists(messages(), max_size=1).map(chain.from_iterable),
).map(lambda parts: list(chain.from_iterable(parts)))
# What is done before each chunk, and how many bytes the chunk has.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["feed", "feed", "keep", "direct", "stream", "bytes", "close"]),
        st.integers(1, 9) | st.integers(1, 300) | st.integers(10_000, 90_000),
    ),
    max_size=12,
)


def encode(role: int, frames: list[dict[str, Any]]) -> bytes:
    data = b""
    for drawn in frames:
        options = dict(drawn)
        wrong = options.pop("wrong_mask", False)
        if options.get("length", 0) > 125 and "length_bits" in options:
            options["length_bits"] = 64
        elif len(options["payload"]) > 65535 and "length_bits" in options:
            del options["length_bits"]
        data += frame(key=None if wrong == bool(role) else MASKING_KEY, **options)
    return data


# --- running both ------------------------------------------------------------


def normal(event: Any) -> Any:
    """Return an event without what is random in it: the masking key of a reply."""
    result = plain(event)
    if isinstance(result, tuple) and result[0] in {"Ping", "Close", "Failure"}:
        return (*result[:-1], parse(result[-1]))
    return result


def drain(endpoint: Any, *, keep: bool = False) -> list[Any]:
    found = []
    for event in iter(endpoint.next_event, None):
        found.append(normal(event))
        if type(event).__name__ == "Piece" and event.final:
            endpoint.streaming = False
        if keep:
            endpoint.keep()
    return found


def state(endpoint: Any) -> tuple[Any, ...]:
    names = (
        "buffered streaming text_as_bytes wants_buffer close_sent close_received "
        "failed messages_received bytes_received"
    )
    return tuple(getattr(endpoint, name) for name in names.split())


def trace(
    build: Any, role: int, options: dict[str, Any], data: bytes, steps: Any
) -> list[Any]:
    """Return everything that can be seen of an endpoint that is given ``data``."""
    endpoint = build.Endpoint(role, **options)
    seen: list[Any] = []
    for action, size in [*steps, ("feed", len(data) or 1)]:
        chunk, data = data[:size], data[size:]
        if action == "close" and not endpoint.close_sent:
            seen.append(parse(endpoint.encode_close(1001, "now")))
        if action == "stream":
            endpoint.streaming = True
        if action == "bytes":
            endpoint.receive_text_as_bytes()
        while action == "direct" and chunk:
            view = endpoint.get_buffer()
            if view is None:
                break
            taken = min(len(view), len(chunk))
            view[:taken] = chunk[:taken]
            endpoint.filled(taken)
            seen.append(drain(endpoint))
            chunk = chunk[taken:]
        buffer = bytearray(ROOM) + chunk
        endpoint.feed(buffer, ROOM, len(buffer))
        seen.append(drain(endpoint, keep=action == "keep"))
        seen.append(state(endpoint))
    return seen


@RUNS
@given(
    role=st.sampled_from([0, 1]),
    limit=st.sampled_from([2**20, 2**20, None, 200]),
    fragments=st.sampled_from([None, None, 2]),
    frames=INPUT,
    steps=STEPS,
)
def test_frames_legal_and_not_split_anywhere(
    role: int, limit: int | None, fragments: int | None, frames: Any, steps: Any
) -> None:
    data = encode(role, frames)
    options = {"max_message": limit, "max_fragments": fragments}
    expected = trace(twin.endpoint, role, options, data, steps)
    assert trace(compiled, role, options, data, steps) == expected


@RUNS
@given(role=st.sampled_from([0, 1]), data=st.binary(max_size=200), steps=STEPS)
def test_noise(role: int, data: bytes, steps: Any) -> None:
    # The first two bytes are right more often than chance has it.
    data = (
        bytes([data[0] & 0x8F, data[1] & 0x7F | role << 7]) + data if data[1:] else data
    )
    expected = trace(twin.endpoint, role, {}, data, steps)
    assert trace(compiled, role, {}, data, steps) == expected


@settings(RUNS, max_examples=200)
@given(
    role=st.sampled_from([0, 1]),
    opcode=st.sampled_from([CONTINUATION, TEXT, BINARY]),
    payload=PAYLOADS,
    fin=st.booleans(),
)
def test_what_is_sent(role: int, opcode: int, payload: bytes, fin: bool) -> None:
    results = []
    for build in (compiled, twin.endpoint):
        endpoint = build.Endpoint(role)
        parts: list[bytes] = []
        size = endpoint.encode(opcode, payload, fin, parts)
        assert size == sum(map(len, parts))
        (found,) = parse(b"".join(parts), masked=not role, within_message=None)
        results.append(
            (size, len(parts), found, endpoint.messages_sent, endpoint.bytes_sent)
        )
    assert results[0] == results[1]


@settings(RUNS, max_examples=200)
@given(
    code=st.integers(-1, 70_000) | st.integers(990, 1020) | st.integers(2990, 5010),
    reason=st.text(max_size=130),
)
def test_what_we_close_with(code: int, reason: str) -> None:
    results: list[Any] = []
    for build in (compiled, twin.endpoint):
        endpoint = build.Endpoint(1)
        try:
            results.append(endpoint.encode_close(code, reason))
        except ValueError as error:
            results.append(str(error))
        results.append(endpoint.close_sent)
    assert results[:2] == results[2:]


@settings(RUNS, max_examples=200)
@given(
    data=st.binary(max_size=300),
    start=st.integers(0, 20),
    key=st.integers(0, 2**32 - 1),
    phase=st.integers(0, 3),
)
def test_masking(data: bytes, start: int, key: int, phase: int) -> None:
    for masked in (True, False):
        assert compiled_masking.make_frame(
            0x82, data, key, masked
        ) == twin.masking.make_frame(0x82, data, key, masked)
    start = min(start, len(data))
    stop = len(data)
    results: list[Any] = []
    for build in (compiled_masking, twin.masking):
        copy = bytearray(data)
        results.append(build.unmask(copy, start, stop, key))
        build.unmask_in_place(copy, start, stop, key, phase)
        results.append(copy)
        for check in (
            partial(build.unmask_text, copy, start, stop, key),
            partial(build.check_text, data),
        ):
            try:
                results.append(check())
            except UnicodeDecodeError as error:
                results.append(str(error))
    assert results[:4] == results[4:]


def test_the_twin_is_a_twin() -> None:
    assert isinstance(twin.endpoint.Endpoint.next_event, FunctionType)
    assert isinstance(twin.masking.unmask, FunctionType)
    assert not isinstance(compiled.Endpoint.next_event, FunctionType)
    assert not isinstance(compiled_masking.unmask, FunctionType)
    assert twin.endpoint.__file__.endswith("endpoint.py")
