"""How much work a compressed message may cause: counted, not timed."""

from __future__ import annotations

import pytest

from tests.protocol.counting import Counting
from tests.protocol.deflating import agreed, brief, check, message_of, receive
from tests.wire import (
    BINARY,
    Way,
    stored,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint

TOO_BIG = ("Failure", 1009)

FILLERS = {
    "final fixed": b"\x03\0",
    "final stored": b"\x01\0\0\xff\xff",
    "fixed": b"\x02\0\0\0\xff\xff",
    "stored": b"\0\0\0\xff\xff",
    "final of a byte": b"K\0\0",
}


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("chunk", [1000, 2**30])
@pytest.mark.parametrize("takeover", [True, False])
def test_many_blocks_of_nothing_cost_little(
    filler: str, chunk: int, takeover: bool
) -> None:
    # A mebibyte of them; whatever becomes of it, the work grows with its length.
    block = FILLERS[filler]
    count = 2**20 // len(block)
    data = message_of(Role.SERVER, BINARY, block * count + b"\0")
    module = Counting()
    endpoint = agreed(Role.SERVER, theirs=Way(takeover=takeover), module=module)
    first = message_of(Role.SERVER, BINARY, stored(b"w" * 32768))
    assert receive(endpoint, first) == [b"w" * 32768]
    chunks = [data[i : i + chunk] for i in range(0, len(data), chunk)]
    found = brief(receive(endpoint, *chunks))
    if filler.startswith("final"):
        # Each final block needs an inflater, with a window, of its own.
        assert found == [TOO_BIG]
        assert module.objects < 10_000
        # What is given to one inflater, and not wanted, is given to the next.
        assert module.given < 100 * len(data)
    else:
        assert found == [b""]
        assert module.objects < 10
        assert module.given < 1.1 * len(data)


def test_a_few_final_blocks_are_no_attack() -> None:
    message = b"of many streams " * 30
    payload = b"".join(
        stored(message[i : i + 1], final=True)[:-1] for i in range(len(message))
    )
    data = message_of(Role.SERVER, BINARY, payload + b"\0") * 5
    check(Role.SERVER, data, [message] * 5)


def test_final_blocks_count_as_fragments() -> None:
    agreement = agreed(Role.SERVER).deflate.agreement  # type: ignore[union-attr]
    data = message_of(Role.SERVER, BINARY, b"\x03\0" * 20 + b"\0")
    for most, expected in ((30, b""), (15, TOO_BIG)):
        endpoint = Endpoint(Role.SERVER, max_fragments=most, agreement=agreement)
        assert brief(receive(endpoint, data)) == [expected]


def test_what_inflates_to_nothing_counts_as_work() -> None:
    # Whoever bounds a turn looks at the clock each time ``frames`` has grown by 64.
    endpoint = agreed(Role.SERVER)
    data = message_of(Role.SERVER, BINARY, FILLERS["stored"] * 20_000)
    before = endpoint.frames
    assert receive(endpoint, data[:-1]) == []
    assert endpoint.frames - before >= 1000


def test_what_is_compressed_counts_as_work() -> None:
    endpoint = agreed(Role.SERVER)
    before = endpoint.frames
    for _ in range(10):
        endpoint.encode(BINARY | 0x40, b"w" * 4096, True, [])
    assert endpoint.frames - before >= 320
