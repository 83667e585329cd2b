"""Text is refused at its first bad byte, wherever it was split."""

from __future__ import annotations

from itertools import product

import pytest

from trio_fastws._protocol.utf8 import JOIN_PARTS, TextDecoder

# One byte of each class in the table of RFC 3629 4, and their neighbours.
EDGES = bytes.fromhex(
    "00 41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff"
)


# What may complete a character, whichever of its bytes are there already.
ENDINGS = [b"", b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\xa0\x80", b"\x90\x80\x80"]


def starts_text(data: bytes) -> bool:
    """Return whether some text begins with ``data``; by trying the endings."""
    for ending in ENDINGS:
        try:
            (data + ending).decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


def decodes(data: bytes) -> bool:
    decoder = TextDecoder()
    try:
        decoder.decode(data, False)
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("first", range(256))
def test_every_two_bytes(first: int) -> None:
    for second in range(256):
        data = bytes([first, second])
        assert decodes(data) == starts_text(data), data


def test_every_class_of_three_and_four_bytes() -> None:
    for size in (3, 4):
        for data in map(bytes, product(EDGES[13:23], *[EDGES[3:10]] * (size - 1))):
            assert decodes(data) == starts_text(data), data


@pytest.mark.parametrize("text", ["", "a", "é", "€", "😀", "κόσμε\r\n\0￿􏿿"])
def test_any_split(text: str) -> None:
    data = text.encode()
    for cut in range(len(data) + 1):
        decoder = TextDecoder()
        parts = [decoder.decode(data[:cut], False), decoder.decode(data[cut:], True)]
        assert "".join(parts) == text


def test_a_surrogate_fails_at_its_second_byte() -> None:
    for second in range(0x80, 0xC0):
        decoder = TextDecoder()
        assert decoder.decode(b"ok\xed", False) == "ok"
        if second < 0xA0:
            assert decoder.decode(bytes([second]), False) == ""
        else:
            with pytest.raises(UnicodeDecodeError, match="surrogate"):
                decoder.decode(bytes([second]), False)


def test_an_incomplete_end_is_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        TextDecoder().decode("€".encode()[:2], True)


def test_text_is_held_until_it_is_taken() -> None:
    decoder = TextDecoder()
    assert not decoder.holds_text()
    assert decoder.take() == ""
    decoder.hold("a\r\n")
    decoder.hold("b\n\r😀")
    assert decoder.holds_text()
    assert decoder.take() == "a\r\nb\n\r😀"
    assert not decoder.holds_text()
    assert decoder.take() == ""


@pytest.mark.parametrize("count", [JOIN_PARTS - 1, JOIN_PARTS, 3 * JOIN_PARTS + 1])
def test_many_parts_keep_their_order(count: int) -> None:
    decoder = TextDecoder()
    for number in range(count):
        decoder.hold(f"{number} ")
    assert decoder.holds_text()
    assert decoder.take().split() == [str(number) for number in range(count)]
