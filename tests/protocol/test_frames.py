"""Frame headers, read and written; each MUST of RFC 6455 5.1 to 5.5."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from tests.protocol.deflating import agreed
from tests.protocol.support import check, failure, for_role, frame, receive
from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASKING_KEY,
    PING,
    PONG,
    TEXT,
    Frame,
    parse,
    stored,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.frames import MaskingKeys, encode_frame
from trio_fastws._protocol.masking import COPY_BELOW

ROLES = list(Role)
# Both sides of every change of the length's form, and of the size from which a
# payload is a part of its own.
SIZES = [0, 1, 7, 124, 125, 126, 127, 255, 256, COPY_BELOW - 1, COPY_BELOW]
SIZES += [65535, 65536, 65537, 200_000]

# The examples of RFC 6455 5.7: what a server, or a client, receives.
EXAMPLES: list[tuple[Role, str, list[Any]]] = [
    (Role.CLIENT, "81 05 48 65 6c 6c 6f", ["Hello"]),
    (Role.SERVER, "81 85 37 fa 21 3d 7f 9f 4d 51 58", ["Hello"]),
    (Role.CLIENT, "01 03 48 65 6c 80 02 6c 6f", ["Hello"]),
    (Role.CLIENT, "8a 05 48 65 6c 6c 6f", [("Pong", b"Hello")]),
    (Role.SERVER, "8a 85 37 fa 21 3d 7f 9f 4d 51 58", [("Pong", b"Hello")]),
    (
        Role.SERVER,
        "89 85 37 fa 21 3d 7f 9f 4d 51 58",
        [("Ping", b"Hello", b"\x8a\x05Hello")],
    ),
]


@pytest.mark.parametrize(("role", "data", "expected"), EXAMPLES)
def test_examples_of_the_rfc(role: Role, data: str, expected: list[Any]) -> None:
    check(role, bytes.fromhex(data), expected)


# --- both directions ---------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("size", SIZES)
def test_every_form_of_length_in_both_directions(role: Role, size: int) -> None:
    payload = bytes(i * 7 & 0xFF for i in range(size))
    data = for_role(role, BINARY, payload)
    if size < 70_000:
        check(role, data, [payload])
    else:
        assert receive(Endpoint(role), data[:9], data[9:]) == [payload]
    parts: list[bytes] = []
    peer = Endpoint(Role(1 - role))
    assert peer.encode(BINARY, payload, True, parts) == sum(map(len, parts))
    # A large one in two, header and payload, unless it has to be masked anyhow.
    assert len(parts) == (2 if role == Role.CLIENT and size >= COPY_BELOW else 1)
    written = b"".join(parts)
    (found,) = parse(written)
    assert found == Frame(BINARY, payload)
    # The very bytes, with the key that was drawn.
    assert written == found.encode(found.key)


@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY])
@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize("role", ROLES)
def test_every_first_byte_that_is_sent(role: Role, fin: bool, opcode: int) -> None:
    parts: list[bytes] = []
    Endpoint(role).encode(opcode, b"ab", fin, parts)
    within = opcode == CONTINUATION
    assert parse(parts[0], within_message=within) == [Frame(opcode, b"ab", fin)]


def test_a_large_payload_of_a_server_is_not_copied() -> None:
    payload = bytes(COPY_BELOW)
    parts: list[bytes] = []
    Endpoint(Role.SERVER).encode(BINARY, payload, True, parts)
    assert parts[1] is payload


def test_frames_of_an_extension_may_set_its_bit() -> None:
    parts: list[bytes] = []
    encode_frame(Role.SERVER, 0xC0 | BINARY, b"x", parts)
    assert parts == [frame(BINARY, b"x", rsv=4, key=None)]


# --- headers in pieces -------------------------------------------------------


@pytest.mark.parametrize("form", [1, 3, 9])
def test_a_header_split_anywhere(form: int) -> None:
    payload = b"x" * {1: 5, 3: 130, 9: 65536}[form]
    data = frame(BINARY, payload)
    for first in range(1, 14):
        for second in range(first, 14):
            chunks = data[:first], data[first:second], data[second:]
            assert receive(Endpoint(Role.SERVER), *filter(None, chunks)) == [payload]


def test_a_frame_ends_where_the_next_begins() -> None:
    sizes = [0, 1, 125, 126, 300, 0]
    data = b"".join(frame(BINARY, b"z" * size) for size in sizes)
    check(Role.SERVER, data, [b"z" * size for size in sizes])


def test_the_lent_buffer_is_not_used_once_it_is_read() -> None:
    endpoint = Endpoint(Role.SERVER)
    whole, cut = frame(TEXT, b"one"), frame(TEXT, b"two")
    assert receive(endpoint, whole + cut[:3]) == ["one"]  # and is overwritten
    assert receive(endpoint, cut[3:]) == ["two"]


# --- 5.1 and 5.3: masking ----------------------------------------------------


def test_must_mask_every_frame_of_a_client() -> None:
    client = Endpoint(Role.CLIENT)
    parts: list[bytes] = [client.encode_ping(b"p"), client.encode_pong(b"q")]
    for size in SIZES:
        client.encode(BINARY, bytes(size), True, parts)
    parts.append(client.encode_close(1000))
    assert len(parse(b"".join(parts), masked=True)) == len(SIZES) + 3


def test_must_not_mask_a_frame_of_a_server() -> None:
    server = Endpoint(Role.SERVER)
    parts: list[bytes] = [server.encode_ping(b"p"), server.encode_pong(b"q")]
    for size in SIZES:
        server.encode(BINARY, bytes(size), True, parts)
    parts.append(server.encode_close(1000))
    assert len(parse(b"".join(parts), masked=False)) == len(SIZES) + 3


def test_must_close_on_a_frame_of_a_client_that_is_not_masked() -> None:
    reason = "client frame is not masked (RFC 6455 5.1)"
    for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
        check(Role.SERVER, frame(opcode, key=None), [failure(1002, reason)])


def test_must_close_on_a_frame_of_a_server_that_is_masked() -> None:
    for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
        endpoint = Endpoint(Role.CLIENT)
        ((kind, code, reason, reply),) = receive(endpoint, frame(opcode))
        assert (kind, code) == ("Failure", 1002)
        assert reason == "server frame is masked (RFC 6455 5.1)"
        assert parse(reply) == [Frame(CLOSE, b"\x03\xea" + reason.encode())]


def test_must_use_a_fresh_key_for_every_frame() -> None:
    # Across the end of a block too; 1,024 keys are in one.
    keys = MaskingKeys()
    drawn = [keys.draw() for _ in range(2500)]
    # 2,500 of 2**32 collide once in 1,400 runs, three alike in none.
    assert max(Counter(drawn).values()) <= 2
    assert len(set(drawn)) >= 2498
    assert max(drawn) > 0xF0000000


def test_keys_come_from_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    # RFC 6455 5.3: MUST be derived from a strong source of entropy
    monkeypatch.setattr("os.urandom", lambda size: bytes(range(1, 9)) * (size // 8))
    keys = MaskingKeys()
    drawn = [keys.draw().to_bytes(4, "little") for _ in range(3)]
    assert drawn == [b"\1\2\3\4", b"\5\6\7\x08", b"\1\2\3\4"]
    assert keys.draw() != keys.draw()
    keys.drop()
    assert keys.draw().to_bytes(4, "little") == b"\1\2\3\4"


FORK = """
import os
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.codes import Role
client = Endpoint(Role.CLIENT)
client.encode_ping()
pid = os.fork()
print(*(client.encode_ping()[2:].hex() for _ in range(3)), flush=True)
if pid:
    os.waitpid(pid, 0)
"""


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="there is no fork")
def test_a_forked_process_draws_other_keys() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, check=True
    )
    one, other = run.stdout.splitlines()
    assert not set(one.split()) & set(other.split())


# --- 5.2: the header ---------------------------------------------------------


@pytest.mark.parametrize("rsv", range(1, 8))
def test_must_fail_on_reserved_bits(rsv: int) -> None:
    reason = f"reserved bits {rsv:03b} are set (RFC 6455 5.2)"
    for opcode in (TEXT, BINARY, PING, CLOSE):
        check(Role.SERVER, frame(opcode, rsv=rsv), [failure(1002, reason)])


def test_rsv1_only_on_data_and_once_agreed_upon() -> None:
    for opcode, rsv, good in [
        (BINARY, 4, True),
        (BINARY, 6, False),
        (BINARY, 1, False),
        (PING, 4, False),
    ]:
        endpoint = agreed(Role.SERVER)
        (event,) = receive(endpoint, frame(opcode, stored(b"x"), rsv=rsv))
        assert (event == b"x") == good
        assert endpoint.failed != good


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_must_fail_on_a_reserved_opcode(opcode: int) -> None:
    reason = f"opcode {opcode:#x} is reserved"
    check(Role.SERVER, frame(opcode, b"x"), [failure(1002, reason)])


@pytest.mark.parametrize(
    ("bits", "size"),
    [(16, 0), (16, 1), (16, 125), (64, 0), (64, 126), (64, 65535)],
)
def test_must_use_the_shortest_form_of_length(bits: int, size: int) -> None:
    data = frame(BINARY, bytes(size), length_bits=bits)
    expected = failure(1002, f"length {size} is not minimally encoded")
    if size < 1000:
        check(Role.SERVER, data, [expected])
    else:
        assert receive(Endpoint(Role.SERVER), data[:14]) == [expected]


def test_must_not_set_the_most_significant_bit_of_a_length() -> None:
    for length in (2**63, 2**64 - 1):
        data = frame(BINARY, length_bits=64, length=length)
        reason = "length has its most significant bit set"
        check(Role.SERVER, data, [failure(1002, reason)])


# --- 5.5: control frames -----------------------------------------------------


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_must_not_have_a_control_frame_over_125_bytes(opcode: int) -> None:
    expected = failure(1002, "control frame is over 125 bytes")
    for bits in (16, 64):
        check(Role.SERVER, frame(opcode, bytes(126), length_bits=bits), [expected])
    largest = frame(opcode, b"\x03\xe8" + b"x" * 123)
    assert receive(Endpoint(Role.SERVER), largest)[0][0] != "Failure"


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_must_not_fragment_a_control_frame(opcode: int) -> None:
    expected = failure(1002, "control frame is fragmented")
    check(Role.SERVER, frame(opcode, fin=False), [expected])


def test_a_frame_is_judged_by_its_first_two_bytes() -> None:
    # A peer that gets the header wrong need not send the rest to be told.
    for data in (frame(3), frame(BINARY, key=None), frame(PING, rsv=1)):
        assert receive(Endpoint(Role.SERVER), data[:1]) == []
        assert receive(Endpoint(Role.SERVER), data[:2])[0][0] == "Failure"


def test_a_key_of_zero_masks_nothing() -> None:
    for opcode, expected in [(TEXT, "Hello"), (BINARY, b"Hello")]:
        check(Role.SERVER, frame(opcode, b"Hello", key=bytes(4)), [expected])


def test_the_key_of_one_frame_is_not_that_of_the_next() -> None:
    data = frame(TEXT, b"one", fin=False) + frame(CONTINUATION, b"two", key=b"\1\2\3\4")
    check(Role.SERVER, data + frame(TEXT, b"3", key=MASKING_KEY[::-1]), ["onetwo", "3"])
