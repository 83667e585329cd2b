"""Family 6: text must be UTF-8, and what is not fails as early as can be seen."""

from __future__ import annotations

from tests.wire import MASKING_KEY, Frame, binary, continuation, text, xor

from .script import Case, echoes, fails, hear, say

GREEK = "κόσμε".encode()
SURROGATE = b"\xed\xa0\x80"
MIXED = "Hello-µ@ßöäüàá-UTF-8!! 🚀\U0010ffff".encode()

VALID = [
    b"",
    b"\x00",
    GREEK,
    MIXED,
    # The first and the last of every length (RFC 3629 3).
    *(chr(c).encode() for c in (0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF)),
    *(chr(c).encode() for c in (0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFDD0, 0x1FFFE)),
]

INVALID = [
    b"\x80",  # a continuation alone
    b"\xbf",
    b"\x80\xbf\x80\xbf",
    *(bytes([lead, 0x20]) for lead in (0xC2, 0xDF, 0xE0, 0xEF, 0xF0, 0xF4)),
    b"\xc2",  # ends too early
    b"\xe0\xa0",
    b"\xf0\x90\x80",
    b"\xdf\xef\xbf",
    b"\xfe",  # never used
    b"\xff",
    b"\xc0\xaf",  # longer than needed
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf8\x88\x80\x80\x80",  # five and six bytes
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xf4\x90\x80\x80",  # over U+10FFFF
    b"\xf7\xbf\xbf\xbf",
    *(
        chr(c).encode("utf-8", "surrogatepass")
        for c in (0xD800, 0xDBFF, 0xDC00, 0xDFFF)
    ),
    b"\xed\xa0\x80\xed\xb0\x80",
    GREEK + SURROGATE + b"edited",
]


def _in_bytes(payload: bytes) -> list[Frame]:
    # One frame for every byte.
    frames = [text(b"", False)]
    frames += [continuation(payload[i : i + 1], False) for i in range(len(payload))]
    return [*frames, continuation(b"")]


def valid() -> list[Case]:
    cases: list[Case] = []
    for payload in VALID:
        cases += [
            (f"6.1 {payload!r}", echoes(text(payload))),
            (
                f"6.2 {payload!r}, a frame a byte",
                [say(*_in_bytes(payload)), H(payload)],
            ),
        ]
    for cut in range(1, len(MIXED)):
        frames = text(MIXED[:cut], False), continuation(MIXED[cut:])
        cases.append((f"6.2 cut at {cut}", [say(*frames), H(MIXED)]))
    return cases


def H(payload):  # noqa: N802 - short, it is in a table
    return hear(text(payload))


def invalid() -> list[Case]:
    bad = fails(1007)
    cases: list[Case] = []
    for payload in INVALID:
        cases += [
            (f"6.3 {payload!r}", [say(text(payload)), bad]),
            (f"6.3 {payload!r}, a frame a byte", [say(*_in_bytes(payload)), bad]),
            (f"6.3 {payload!r} as binary", echoes(binary(payload))),
        ]
    return cases


def fail_fast() -> list[Case]:
    bad = fails(1007)
    over = b"\xf4\x90\x80\x80"
    first, wrong = text(GREEK, False), continuation(over, False)
    whole = Frame(1, GREEK, length=1000)

    async def rest_of_frame(play) -> None:
        # More of the payload of the frame that `whole` began, still not its end.
        masked = play.tester.client
        data = xor(over, MASKING_KEY, len(GREEK)) if masked else over
        await play.tester.send(data)

    return [
        # Nothing follows: only who looks at once can fail it.
        ("6.4.1 wrong in the second fragment", [say(first, wrong), bad]),
        (
            "6.4.2 its second byte is enough",
            [say(first, continuation(over[:2], False)), bad],
        ),
        ("6.4.3 wrong within a frame", [say(whole), rest_of_frame, bad]),
        ("6.4.4 first byte of a frame", [say(Frame(1, b"\xff", length=1000)), bad]),
        ("6.4.5 surrogate, two bytes", [say(text(SURROGATE[:2], False)), bad]),
        ("6.4.6 overlong, two bytes", [say(Frame(1, b"\xe0\x9f", length=9)), bad]),
        ("6.4.7 over all, within", [say(Frame(1, over[:2], length=9)), bad]),
        (
            "6.4.8 half a character may come",
            [say(first), say(continuation(b"\xc3", False)), END],
        ),
    ]


async def END(play) -> None:  # noqa: N802 - a step like the others
    await play.say(continuation(b"\x9f"))
    await play.hears(text(GREEK + "ß".encode()))
