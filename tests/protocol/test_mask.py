"""Masking, compiled or not, against the definition in RFC 6455 5.3."""

from __future__ import annotations

import pytest

from tests.wire import (
    MASKING_KEY,
    xor,
)
from trio_fastws._protocol.masking import (
    make_frame,
    make_header,
    unmask,
    unmask_in_place,
    unmask_text,
)

NUMBER = int.from_bytes(MASKING_KEY, "little")
# Every length around the widths at which the C body changes its step.
SIZES = [*range(35), 63, 64, 65, 71, 72, 73, 127, 128, 129, 191, 192, 193, 1000]
DATA = bytes(range(7, 256)) * 5


def mask(payload: bytes, key: int) -> bytes:
    """What follows header and key in a masked frame."""
    frame = make_frame(0x82, payload, key, True)
    header = make_header(0x82, len(payload), True)
    assert frame.startswith(header + key.to_bytes(4, "little"))
    return frame[len(header) + 4 :]


def test_the_example_of_the_rfc() -> None:
    # RFC 6455 5.7: a single-frame masked text message
    assert mask(b"Hello", NUMBER) == b"\x7f\x9f\x4d\x51\x58"
    data = bytearray(b"....\x7f\x9f\x4d\x51\x58..")
    assert unmask(data, 4, 9, NUMBER) == b"Hello"


@pytest.mark.parametrize("size", SIZES)
def test_every_length_at_every_alignment(size: int) -> None:
    for start in range(9):
        data = bytearray(DATA)
        stop = start + size
        assert unmask(data, start, stop, NUMBER) == xor(DATA[start:stop], MASKING_KEY)
        assert data == DATA
    assert mask(DATA[:size], NUMBER) == xor(DATA[:size], MASKING_KEY)


@pytest.mark.parametrize("writable", [bytearray, lambda x: memoryview(bytearray(x))])
@pytest.mark.parametrize("size", SIZES)
def test_in_place_every_length_at_every_phase(size: int, writable: type) -> None:
    for phase in range(4):
        data = writable(DATA)
        unmask_in_place(data, 3, 3 + size, NUMBER, phase)
        changed = xor(DATA[3 : 3 + size], MASKING_KEY, phase)
        assert bytes(data) == DATA[:3] + changed + DATA[3 + size :]


@pytest.mark.parametrize("text", ["", "Hello", "a\x00b", "häßlich", "\U0001f600" * 50])
def test_text_is_unmasked_and_decoded(text: str) -> None:
    payload = text.encode()
    for key in (NUMBER, 0):
        data = bytearray(b"head" + mask(payload, key) + b"tail")
        stop = 4 + len(payload)
        assert unmask_text(data, 4, stop, key) == text
        assert data == b"head" + payload + b"tail"


@pytest.mark.parametrize("payload", [b"\x80", b"ok\xed\xa0\x80", b"\xf0\x9f\x98"])
def test_what_is_not_utf8_is_not_text(payload: bytes) -> None:
    # RFC 6455 8.1; a surrogate is none, nor is a character that lacks its end
    data = bytearray(mask(payload, NUMBER))
    with pytest.raises(UnicodeDecodeError):
        unmask_text(data, 0, len(payload), NUMBER)


@pytest.mark.parametrize("key", [0, 1, 0x80000000, 0xFFFFFFFF])
def test_every_bit_of_the_key_counts(key: int) -> None:
    text = key.to_bytes(4, "little")
    assert mask(DATA, key) == xor(DATA, text)
    assert unmask(bytearray(mask(DATA, key)), 0, len(DATA), key) == DATA


@pytest.mark.parametrize(
    ("size", "length"),
    [
        (0, "00"),
        (125, "7d"),
        (126, "7e 007e"),
        (65535, "7e ffff"),
        (65536, "7f 0000000000010000"),
    ],
)
def test_the_length_takes_the_fewest_bytes(size: int, length: str) -> None:
    # RFC 6455 5.2: the minimal number of bytes MUST be used to encode the length
    plain = b"\x82" + bytes.fromhex(length)
    marked = bytes((plain[0], plain[1] | 0x80)) + plain[2:]
    assert make_header(0x82, size, False) == plain
    assert make_header(0x82, size, True) == marked
    payload = bytes(size)
    assert make_frame(0x82, payload, NUMBER, False) == plain + payload
    assert make_frame(0x82, payload, 0, True) == marked + bytes(4) + payload


def test_masking_does_not_change_the_length() -> None:
    # RFC 6455 5.3: the length of the payload data is not affected
    assert [len(mask(bytes(n), NUMBER)) for n in SIZES] == SIZES
