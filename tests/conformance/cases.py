"""The cases but those of UTF-8, in the families of the well-known suite."""

from __future__ import annotations

from tests.wire import (
    CLOSE,
    MASKING_KEY,
    Frame,
    binary,
    close,
    continuation,
    ping,
    pong,
    text,
)

from .script import LIMIT, Case, closes, echoes, fails, hear, say

SIZES = (0, 1, 125, 126, 127, 128, 65535, 65536)


def framing() -> list[Case]:
    cases: list[Case] = []
    for size in SIZES:
        cases += [
            (f"1.1 text of {size}", echoes(text("*" * size))),
            (f"1.2 binary of {size}", echoes(binary(b"\xfe" * size))),
        ]
    for size, form in ((0, 16), (125, 16), (0, 64), (126, 64), (65535, 64)):
        frame = Frame(2, b"x" * size, length_bits=form)
        cases.append((f"1.3 length {size} in {form} bits", [say(frame), fails(1002)]))
    return cases


def masking() -> list[Case]:
    # Whatever the role demands, the other way round is wrong.
    return [
        ("1.4 masked by the wrong side, text", [WRONG_MASK, fails(1002)]),
        ("1.4 masked by the wrong side, after a message", [*HELLO, WRONG_MASK, F]),
    ]


async def WRONG_MASK(play) -> None:  # noqa: N802 - a step like the others
    wrong = None if play.tester.client else MASKING_KEY
    await play.say(text("Hello").encode(wrong))


HELLO = echoes(text("Hello"))
F = fails(1002)


def pings() -> list[Case]:
    many = [ping(b"payload-%d" % i) for i in range(10)]
    answers = [pong(p.payload) for p in many]
    odd = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
    return [
        ("2.1 ping, empty", [say(ping()), hear(pong())]),
        ("2.2 ping, text", [say(ping(b"Hello")), hear(pong(b"Hello"))]),
        ("2.3 ping, not UTF-8", [say(ping(odd)), hear(pong(odd))]),
        ("2.4 ping of 125", [say(ping(odd * 15)), hear(pong(odd * 15))]),
        ("2.5 ping of 126", [say(Frame(9, odd * 15 + b"123456")), F]),
        ("2.5 pong of 126", [say(Frame(10, odd * 15 + b"123456")), F]),
        ("2.5 ping of 65536", [say(Frame(9, length=65536)), F]),
        ("2.7 unsolicited pong, empty", [say(pong()), *HELLO]),
        ("2.8 unsolicited pong", [say(pong(b"unsolicited")), *HELLO]),
        ("2.9 pong, then ping", [say(pong(b"no"), ping(b"yes")), hear(pong(b"yes"))]),
        ("2.10 ten pings", [say(*many), hear(*answers)]),
        ("2.11 ping before text", [say(ping(b"1"), text("2")), hear(pong(b"1"), T2)]),
    ]


T2 = text("2")


def reserved_bits() -> list[Case]:
    cases: list[Case] = []
    for rsv in range(1, 8):
        cases += [
            (f"3.{rsv} text", [say(Frame(1, b"x" * 8, rsv=rsv)), F]),
            (f"3.{rsv} empty binary", [say(Frame(2, rsv=rsv)), F]),
            (f"3.{rsv} ping", [say(Frame(9, b"x", rsv=rsv)), F]),
            (f"3.{rsv} close", [say(Frame(8, b"\x03\xe8", rsv=rsv)), F]),
            (
                f"3.{rsv} after a message, a ping behind it",
                [*HELLO, say(Frame(1, b"x", rsv=rsv), ping()), F],
            ),
            (
                f"3.{rsv} continuation",
                [say(text("x", False), Frame(0, b"y", rsv=rsv)), F],
            ),
        ]
    return cases


def opcodes() -> list[Case]:
    cases: list[Case] = []
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        bad = Frame(opcode, b"reserved")
        cases += [
            (f"4 opcode {opcode}", [say(Frame(opcode)), F]),
            (f"4 opcode {opcode} with payload", [say(bad), F]),
            (f"4 opcode {opcode} after a message", [*HELLO, say(bad, ping()), F]),
            (f"4 opcode {opcode} in a message", [say(text("x", False), bad), F]),
        ]
    return cases


def fragments() -> list[Case]:
    one, two = text("frag1", False), continuation("frag2")
    both = hear(text("frag1frag2"))
    five = [
        text("1", False),
        *[continuation(f"{i}", False) for i in range(2, 5)],
        continuation("5"),
    ]
    between = [frame for f in five[:-1] for frame in (f, ping(f.payload))] + five[4:]
    answers = [pong(f.payload) for f in five[:-1]]
    lone, lone_open = continuation("lone"), continuation("lone", False)
    return [
        ("5.1 ping in fragments", [say(Frame(9, b"1", False), continuation("2")), F]),
        ("5.2 pong in fragments", [say(Frame(10, b"1", False), continuation("2")), F]),
        (
            "5.2 close in fragments",
            [say(Frame(8, b"\x03", False), continuation("2")), F],
        ),
        ("5.3 text in two", [say(one, two), both]),
        ("5.4 text in two writes", [say(one), say(two), both]),
        (
            "5.5 binary in two",
            [say(binary(b"1", False), continuation("2")), HEAR_BINARY],
        ),
        ("5.6 ping between", [say(one, ping(b"?"), two), hear(pong(b"?")), both]),
        ("5.7 pong between", [say(one, pong(b"?"), two), both]),
        ("5.8 ping answered at once", [say(one, ping()), hear(pong()), say(two), both]),
        ("5.9 continuation of nothing", [say(lone, *ODD), F]),
        ("5.10 continuation after a message", [*HELLO, say(lone, *ODD), F]),
        ("5.12 open continuation of nothing", [say(lone_open, *ODD), F]),
        ("5.13 open continuation after all", [*HELLO, say(lone_open), F]),
        ("5.15 after a message in two", [say(one, two), both, say(lone_open, *ODD), F]),
        ("5.16 continuations before text", [say(lone_open, text("x"), lone_open), F]),
        ("5.18 text in text", [say(one, text("frag2")), F]),
        ("5.18 binary in text", [say(one, binary(b"frag2", False)), F]),
        ("5.19 five, pings between", [say(*between), hear(*answers, text("12345"))]),
        ("5.20 five writes", [*map(say, five), hear(text("12345"))]),
        (
            "5.21 empty first",
            [say(text("", False), continuation("x")), hear(text("x"))],
        ),
        ("5.22 empty last", [say(text("x", False), continuation("")), hear(text("x"))]),
        (
            "5.23 all empty",
            [say(text("", False), continuation("", False), continuation("")), EMPTY],
        ),
        ("5.24 close between", [say(one, close(1000)), closes(1000)]),
    ]


HEAR_BINARY = hear(binary(b"12"))
EMPTY = hear(text(""))
ODD = (text("not processed"), ping(b"not answered"))


VALID = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)
VALID += (3000, 3999, 4000, 4999)
INVALID = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)


def closing() -> list[Case]:
    bad_reason = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"
    big = text("*" * 262144)
    cases: list[Case] = [
        ("7.1.1 message, close", [*HELLO, say(close()), closes(1000)]),
        ("7.1.2 close twice", [say(close(), close(1001)), closes(1000)]),
        ("7.1.3 ping after close", [say(close(), ping()), closes(1000)]),
        ("7.1.4 text after close", [say(close(), text("x")), closes(1000)]),
        (
            "7.1.5 close between fragments",
            [say(text("x", False), close(), continuation("y")), closes(1000)],
        ),
        (
            "7.1.6 much, close, ping",
            [say(big), hear(big), say(close(), ping()), closes(1000)],
        ),
        ("7.1.7 garbage after close", [say(close(), Frame(15, rsv=7)), closes(1000)]),
        ("7.3.1 no code", [say(close(None)), closes(None)]),
        ("7.3.2 half a code", [say(Frame(CLOSE, b"\x03")), F]),
        ("7.3.4 a reason", [say(close(1000, "Hello ✓")), closes(1000, "Hello ✓")]),
        ("7.3.5 reason of 123", [say(close(1000, "*" * 123)), closes(1000, "*" * 123)]),
        ("7.3.6 reason of 124", [say(Frame(CLOSE, b"\x03\xe8" + b"*" * 124)), F]),
        ("7.5.1 reason not UTF-8", [say(close(1000, bad_reason)), fails(1007)]),
        ("7.5.2 reason cut off", [say(close(1000, b"\xc3")), fails(1007)]),
    ]
    cases += [(f"7.7 code {c}", [say(close(c)), closes(c)]) for c in VALID]
    cases += [(f"7.9 code {c}", [say(close(c)), F]) for c in INVALID]
    cases += [(f"7.9 code {c}, reason", [say(close(c, "why")), F]) for c in INVALID]
    return cases


def limits() -> list[Case]:
    over = fails(1009)
    most, cases = b"x" * LIMIT, []
    for size in (65536, 262144, LIMIT):
        cases += [
            (f"9.1 text of {size}", echoes(text("*" * size))),
            (f"9.2 binary of {size}", echoes(binary(b"\xfe" * size))),
        ]
    for size in (64, 1024, 16384):
        parts = [most[:size]] * (65536 // size)
        middle = [continuation(part, False) for part in parts[1:-1]]
        whole = [binary(parts[0], False), *middle, continuation(parts[-1])]
        cases.append(
            (f"9.4 parts of {size}", [say(*whole), hear(binary(most[:65536]))])
        )
    thousand = [text(f"{i}") for i in range(1000)]
    cases += [
        ("9.7 a thousand messages at once", [say(*thousand), hear(*thousand)]),
        ("9.8 a hundred round trips", 100 * HELLO),
        ("9.9 one byte too many", [say(Frame(2, length=LIMIT + 1)), over]),
        ("9.9 one byte too many, text", [say(Frame(1, length=LIMIT + 1)), over]),
        ("9.9 it and all its bytes", [say(Frame(2, most + b"x")), over]),
        ("9.9 over it in parts", [say(binary(most, False), continuation("x")), over]),
        (
            "9.9 at it in parts",
            [say(binary(most, False), continuation("")), hear(binary(most))],
        ),
        ("9.9 length of 63 bits", [say(Frame(2, length=2**63 - 1)), over]),
        ("9.9 length of 64 bits", [say(Frame(2, length=2**63)), F]),
        (
            "9.9 no end of fragments",
            [say(text("", False), *[continuation("", False)] * 9000), over],
        ),
        ("9.10 much behind a failure", [say(Frame(3), Frame(2, most)), F]),
        ("9.10 much behind a close", [say(close(), Frame(2, most)), closes(1000)]),
    ]
    return cases


def automatic_fragments() -> list[Case]:
    payload = "*" * 65536
    parts = [payload[i : i + 1300] for i in range(0, 65536, 1300)]
    frames = [text(parts[0], False)]
    frames += [
        continuation(part, i == len(parts) - 1) for i, part in enumerate(parts) if i
    ]
    return [
        ("10.1 text of 65536 in parts of 1300", [say(*frames), hear(text(payload))])
    ]
