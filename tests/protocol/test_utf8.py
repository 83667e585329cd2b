"""Text is refused at its first bad byte, wherever it was split."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given, strategies as st

from trio_fastws._protocol.masking import check_text, skip_characters
from trio_fastws._protocol.utf8 import JOIN_PARTS, TextDecoder, check_part

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


def passes(data: bytes) -> bool:
    try:
        check_part(data, b"", False)
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("first", range(256))
def test_every_two_bytes(first: int) -> None:
    for second in range(256):
        data = bytes([first, second])
        assert decodes(data) == passes(data) == starts_text(data), data


def test_every_class_of_three_and_four_bytes() -> None:
    for size in (3, 4):
        for data in map(bytes, product(EDGES[13:23], *[EDGES[3:10]] * (size - 1))):
            assert decodes(data) == passes(data) == starts_text(data), data


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


# --- checked without being decoded -------------------------------------------

# Characters of one to four bytes, at both ends of what they encode.
CHARACTERS = "a\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"


def explain(data: bytes) -> tuple[int, int, str] | None:
    """Return what the standard decoder says of ``data``; None if it is a text."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start, error.end, error.reason
    return None


def check(data: bytes) -> None:
    """Check that both checks say of ``data`` what the standard decoder says."""
    expected = explain(data)
    if expected is None:
        check_text(data)
    else:
        with pytest.raises(UnicodeDecodeError) as caught:
            check_text(data)
        error = caught.value
        assert (error.start, error.end, error.reason) == expected
        assert error.object == data
    whole = len(data) if expected is None else expected[0]
    assert skip_characters(data) in (0, whole), data


def check_cut(parts: list[bytes]) -> None:
    """Check that a text is a text in parts, and fails in the part that is wrong."""
    decoder = TextDecoder()
    begun = b""
    for number, part in enumerate(parts, 1):
        final = number == len(parts)
        try:
            decoder.decode(part, final)
        except UnicodeDecodeError as error:
            with pytest.raises(UnicodeDecodeError, match=error.reason):
                check_part(part, begun, final)
            return
        begun = check_part(part, begun, final)
    assert begun == b""


def test_every_class_of_up_to_four_bytes_is_checked_as_it_is_decoded() -> None:
    for size in (1, 2, 3, 4):
        classes = EDGES if size < 4 else EDGES[3:]
        for data in map(bytes, product(classes, repeat=size)):
            check(data)


@pytest.mark.parametrize("before", [0, 1, 2, 3, 59, 60, 61, 62, 63, 64, 65, 66, 67])
def test_wherever_it_stands_among_others(before: int) -> None:
    # 64 bytes are checked at once, and the three before them are looked at.
    for data in map(bytes, product(EDGES[3:], repeat=3)):
        check(b"a" * before + data + "é€😀".encode() * 8)
    for character in CHARACTERS:
        check(b"a" * before + character.encode() * 40)


@given(st.text(CHARACTERS, max_size=200), st.data())
def test_a_text_with_some_bytes_changed(text: str, data: st.DataObject) -> None:
    changed = bytearray(text.encode())
    for _ in range(data.draw(st.integers(0, 2)) if text else 0):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.sampled_from(EDGES))
    check(bytes(changed))
    cuts = data.draw(st.lists(st.integers(0, len(changed)), max_size=5).map(sorted))
    edges = [0, *cuts, len(changed)]
    pairs = pairwise(edges)
    check_cut([bytes(changed[start:stop]) for start, stop in pairs])


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    check(data)
    check_cut([data])


def test_split_at_every_place() -> None:
    wrong = [b"ok \xed\xa0\x80", b"\xf4\x90\x80"]
    for data in [("a" * 64 + CHARACTERS * 3).encode(), *wrong]:
        for first in range(len(data) + 1):
            for second in range(first, len(data) + 1):
                check_cut([data[:first], data[first:second], data[second:]])


def test_a_checked_surrogate_fails_at_its_second_byte() -> None:
    assert check_part(b"ok\xed", b"", False) == b"\xed"
    assert check_part(b"\x9f", b"\xed", False) == b"\xed\x9f"
    with pytest.raises(UnicodeDecodeError, match="surrogate") as caught:
        check_part(b"\xa0", b"\xed", False)
    assert (caught.value.object, caught.value.start) == (b"\xed\xa0", 0)
    with pytest.raises(UnicodeDecodeError, match="surrogate") as caught:
        check_part(b"ok\xed\xa0", b"", False)
    assert caught.value.start == 2
