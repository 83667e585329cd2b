"""Negotiation of permessage-deflate: each rule of RFC 7692 7.1, for both sides."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import assume, given, strategies as st

from trio_fastws._protocol.deflate.negotiation import (
    DeflateParameters,
    accept_offer,
    build_offer,
    check_answer,
)
from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.tokens import is_extension_list, split_list

PMD = "permessage-deflate"
SERVER_FRESH = "server_no_context_takeover"
CLIENT_FRESH = "client_no_context_takeover"
SERVER_BITS = "server_max_window_bits"
CLIENT_BITS = "client_max_window_bits"

ANY = DeflateParameters()
TWELVE = DeflateParameters(server_max_window_bits=12, client_max_window_bits=12)
FRESH = DeflateParameters(True, True)


def pmd(*parameters: str) -> str:
    return "; ".join([PMD, *parameters])


def test_the_defaults_are_those_of_the_rfc():
    # RFC 7692 7.1.1 and 7.1.2: what holds if a parameter is not mentioned
    assert ANY == (False, False, 15, 15)


# --- the client's offer ------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "offer"),
    [
        (ANY, pmd(CLIENT_BITS)),
        # the client's own window without a value, as browsers write it
        (TWELVE, pmd(f"{SERVER_BITS}=12", CLIENT_BITS)),
        (FRESH, pmd(SERVER_FRESH, CLIENT_FRESH, CLIENT_BITS)),
        (DeflateParameters(True), pmd(SERVER_FRESH, CLIENT_BITS)),
        (DeflateParameters(False, True), pmd(CLIENT_FRESH, CLIENT_BITS)),
        (DeflateParameters(False, False, 9), pmd(f"{SERVER_BITS}=9", CLIENT_BITS)),
        (DeflateParameters(False, False, 15, 9), pmd(CLIENT_BITS)),
        (
            DeflateParameters(False, False, 14, 14),
            pmd(f"{SERVER_BITS}=14", CLIENT_BITS),
        ),
    ],
)
def test_an_offer_says_what_is_wanted_and_that_our_window_can_be_limited(wanted, offer):
    assert build_offer(wanted) == offer


# --- the server's answer -----------------------------------------------------


@pytest.mark.parametrize(
    ("offer", "wanted", "answer", "agreed"),
    [
        # nothing asked for, nothing wished for
        (pmd(), ANY, pmd(), ANY),
        (pmd(CLIENT_BITS), ANY, pmd(), ANY),
        # the server's wishes, also where they were not offered
        (pmd(), FRESH, pmd(SERVER_FRESH, CLIENT_FRESH), FRESH),
        (pmd(), DeflateParameters(True), pmd(SERVER_FRESH), DeflateParameters(True)),
        (
            pmd(),
            DeflateParameters(False, True),
            pmd(CLIENT_FRESH),
            DeflateParameters(False, True),
        ),
        # but of its own window it speaks only if asked; it is kept all the same
        (
            pmd(),
            DeflateParameters(server_max_window_bits=9),
            pmd(),
            DeflateParameters(server_max_window_bits=9),
        ),
        # RFC 7692 7.1.2.2: not this one, and then the client may use 15
        (pmd(), DeflateParameters(client_max_window_bits=9), pmd(), ANY),
        (
            pmd(CLIENT_BITS),
            TWELVE,
            pmd(f"{CLIENT_BITS}=12"),
            TWELVE,
        ),
        # the client's, also where they are not the server's
        (pmd(SERVER_FRESH), ANY, pmd(SERVER_FRESH), DeflateParameters(True)),
        (pmd(CLIENT_FRESH), ANY, pmd(CLIENT_FRESH), DeflateParameters(False, True)),
        (pmd(CLIENT_FRESH, SERVER_FRESH), ANY, pmd(SERVER_FRESH, CLIENT_FRESH), FRESH),
        (
            pmd(SERVER_FRESH),
            DeflateParameters(False, True),
            pmd(SERVER_FRESH, CLIENT_FRESH),
            FRESH,
        ),
        # of two windows the smaller
        (
            pmd(f"{SERVER_BITS}=10"),
            TWELVE,
            pmd(f"{SERVER_BITS}=10"),
            DeflateParameters(server_max_window_bits=10),
        ),
        (
            pmd(f"{SERVER_BITS}=14"),
            TWELVE,
            pmd(f"{SERVER_BITS}=12"),
            DeflateParameters(server_max_window_bits=12),
        ),
        (
            pmd(f"{CLIENT_BITS}=10"),
            DeflateParameters(client_max_window_bits=12),
            pmd(f"{CLIENT_BITS}=10"),
            DeflateParameters(client_max_window_bits=10),
        ),
        (
            pmd(f"{CLIENT_BITS}=14"),
            DeflateParameters(client_max_window_bits=12),
            pmd(f"{CLIENT_BITS}=12"),
            DeflateParameters(client_max_window_bits=12),
        ),
        # RFC 7692 7.1.2.1: accepted by including it, be it the largest
        (pmd(f"{SERVER_BITS}=15"), ANY, pmd(f"{SERVER_BITS}=15"), ANY),
        (pmd(f"{CLIENT_BITS}=15"), ANY, pmd(), ANY),
        # the smallest: a client may say that of itself, and we can read it
        (
            pmd(f"{CLIENT_BITS}=8"),
            TWELVE,
            pmd(f"{CLIENT_BITS}=8"),
            DeflateParameters(server_max_window_bits=12, client_max_window_bits=8),
        ),
        (
            pmd(f"{SERVER_BITS}=9"),
            ANY,
            pmd(f"{SERVER_BITS}=9"),
            DeflateParameters(server_max_window_bits=9),
        ),
    ],
)
def test_an_offer_is_answered(offer, wanted, answer, agreed):
    assert accept_offer(offer, wanted) == (answer, agreed)


@pytest.mark.parametrize(
    "offer",
    [
        f"{PMD};{SERVER_FRESH};{SERVER_BITS}=10;{CLIENT_BITS}=11",
        f" {PMD} \t; {SERVER_FRESH}\t;{SERVER_BITS} = 10 ; {CLIENT_BITS}\t=\t11 ",
        f'{PMD}; {SERVER_FRESH}; {SERVER_BITS}="10"; {CLIENT_BITS}="11"',
        f'{PMD}; {CLIENT_BITS}= "1\\1" ; {SERVER_BITS}="\\1\\0"; {SERVER_FRESH}',
        f",, ,{PMD}; {SERVER_FRESH}; {SERVER_BITS}=10; {CLIENT_BITS}=11 ,",
    ],
)
def test_all_ways_to_write_an_offer(offer):
    assert is_extension_list(offer.encode())
    assert accept_offer(offer, ANY) == (
        pmd(SERVER_FRESH, f"{SERVER_BITS}=10", f"{CLIENT_BITS}=11"),
        DeflateParameters(True, False, 10, 11),
    )


BAD_BITS = ["7", "16", "08", "015", "0", "1", "100", "1e1", "+9", "-9", "9.0", "ten"]
DECLINED = [
    # RFC 7692 7: an unknown parameter
    pmd("x"),
    pmd("x=1"),
    pmd(SERVER_FRESH, "x", CLIENT_BITS),
    pmd(f"{SERVER_BITS}=12", "max_window_bits=12"),
    # a value where there is none
    pmd(f"{SERVER_FRESH}=1"),
    pmd(f"{CLIENT_FRESH}=true"),
    pmd(f'{SERVER_FRESH}="1"'),
    # none where there is one
    pmd(SERVER_BITS),
    # the same name twice
    pmd(SERVER_FRESH, SERVER_FRESH),
    pmd(CLIENT_FRESH, CLIENT_FRESH),
    pmd(f"{SERVER_BITS}=10", f"{SERVER_BITS}=10"),
    pmd(CLIENT_BITS, CLIENT_BITS),
    pmd(CLIENT_BITS, f"{CLIENT_BITS}=10"),
    # a bad value
    *(pmd(f"{SERVER_BITS}={value}") for value in BAD_BITS),
    *(pmd(f"{CLIENT_BITS}={value}") for value in BAD_BITS),
    *(pmd(f'{CLIENT_BITS}="{value}"') for value in BAD_BITS),
    # a window with which zlib cannot compress
    pmd(f"{SERVER_BITS}=8"),
    # names are compared as they are
    pmd(SERVER_FRESH.upper()),
    pmd(CLIENT_BITS.title()),
]


@pytest.mark.parametrize("offer", DECLINED)
def test_an_offer_that_cannot_be_kept_is_declined(offer):
    assert is_extension_list(offer.encode())
    assert accept_offer(offer, ANY) is None
    # and the next one is tried, whatever stands before and behind
    assert accept_offer(f"{offer}, {pmd(CLIENT_FRESH)}, {offer}", ANY) == (
        pmd(CLIENT_FRESH),
        DeflateParameters(False, True),
    )


@pytest.mark.parametrize(
    "offers",
    [
        "x-webkit-deflate-frame",
        f"x, y; {PMD}",
        f"x; z={PMD}",
        f"{PMD}2",
        "Permessage-Deflate",
        "permessage-deflate-x; client_max_window_bits",
    ],
)
def test_other_extensions_are_not_accepted(offers):
    assert is_extension_list(offers.encode())
    assert accept_offer(offers, ANY) is None
    assert accept_offer(f"{offers}, {PMD}", ANY) == (PMD, ANY)


def test_the_first_good_offer_counts_not_the_best():
    # RFC 7692 5: listed in the order of the client's preference
    first, second = pmd(f"{SERVER_BITS}=14"), pmd(f"{SERVER_BITS}=10")
    for offers, bits in ((f"{first}, {second}", 14), (f"{second}, {first}", 10)):
        accepted = accept_offer(offers, ANY)
        assert accepted == (
            pmd(f"{SERVER_BITS}={bits}"),
            DeflateParameters(server_max_window_bits=bits),
        )


def test_what_browsers_offer():
    # Chrome and Firefox, Safari
    assert accept_offer("permessage-deflate; client_max_window_bits", TWELVE) == (
        "permessage-deflate; client_max_window_bits=12",
        TWELVE,
    )
    assert accept_offer("permessage-deflate", TWELVE) == (
        "permessage-deflate",
        DeflateParameters(server_max_window_bits=12),
    )


# --- the client's verdict ----------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "wanted", "agreed"),
    [
        ("", ANY, None),
        ("", FRESH, None),
        (pmd(), ANY, ANY),
        # what the server may add unasked
        (pmd(SERVER_FRESH), ANY, DeflateParameters(True)),
        (pmd(CLIENT_FRESH), ANY, DeflateParameters(False, True)),
        (pmd(f"{SERVER_BITS}=9"), ANY, DeflateParameters(server_max_window_bits=9)),
        (pmd(f"{SERVER_BITS}=8"), ANY, DeflateParameters(server_max_window_bits=8)),
        (pmd(f"{SERVER_BITS}=15"), ANY, ANY),
        (pmd(f"{CLIENT_BITS}=15"), ANY, ANY),
        (pmd(f"{CLIENT_BITS}=9"), ANY, DeflateParameters(client_max_window_bits=9)),
        (pmd(f"{CLIENT_BITS}=8"), ANY, DeflateParameters(client_max_window_bits=8)),
        # what we asked for, or less
        (pmd(f"{SERVER_BITS}=12"), TWELVE, TWELVE),
        (pmd(f"{SERVER_BITS}=11", f"{CLIENT_BITS}=10"), TWELVE, (False, False, 11, 10)),
        # RFC 7692 7.1.2.2: what we may use, which may be more than we do
        *(
            (
                pmd(f"{CLIENT_BITS}={bits}"),
                DeflateParameters(client_max_window_bits=12),
                DeflateParameters(client_max_window_bits=min(bits, 12)),
            )
            for bits in range(8, 16)
        ),
        (pmd(f"{CLIENT_BITS}=12", f"{SERVER_BITS}=12"), TWELVE, TWELVE),
        (pmd(f'{SERVER_BITS} = "1\\2"'), TWELVE, TWELVE),
        (pmd(SERVER_FRESH, CLIENT_FRESH), FRESH, FRESH),
        # our own half holds, whatever the server says of it
        (pmd(SERVER_FRESH), FRESH, FRESH),
        (
            pmd(),
            DeflateParameters(False, True, 15, 10),
            DeflateParameters(False, True, 15, 10),
        ),
        (f", {PMD} ,", ANY, ANY),
    ],
)
def test_a_good_answer(answer, wanted, agreed):
    assert check_answer(answer, wanted) == agreed


ACCEPTED_WITH = "server's extensions are wrong: permessage-deflate was accepted with "
ACCEPTED_WITHOUT = ACCEPTED_WITH.rstrip() + "out "
BAD_ANSWERS = [
    (pmd("x"), ANY, ACCEPTED_WITH + "the unknown parameter 'x'"),
    (pmd("x=1"), ANY, ACCEPTED_WITH + "the unknown parameter 'x'"),
    (pmd(SERVER_FRESH, SERVER_FRESH), ANY, ACCEPTED_WITH + f"{SERVER_FRESH} twice"),
    (pmd(CLIENT_FRESH, CLIENT_FRESH), FRESH, ACCEPTED_WITH + f"{CLIENT_FRESH} twice"),
    (
        pmd(f"{CLIENT_BITS}=10", f"{CLIENT_BITS}=10"),
        ANY,
        ACCEPTED_WITH + f"{CLIENT_BITS} twice",
    ),
    (
        pmd(f"{SERVER_FRESH}=1"),
        ANY,
        ACCEPTED_WITH + f"a value for {SERVER_FRESH}, which has none",
    ),
    (
        pmd(f"{CLIENT_FRESH}=1"),
        ANY,
        ACCEPTED_WITH + f"a value for {CLIENT_FRESH}, which has none",
    ),
    (pmd(SERVER_BITS), ANY, ACCEPTED_WITH + f"{SERVER_BITS} without a value"),
    # RFC 7692 7.1.2.2: only in an offer
    (pmd(CLIENT_BITS), ANY, ACCEPTED_WITH + f"{CLIENT_BITS} without a value"),
    *(
        (
            pmd(f"{name}={value}"),
            ANY,
            ACCEPTED_WITH + f"{name}={value}, which is not 8 to 15",
        )
        for name, value in product((SERVER_BITS, CLIENT_BITS), BAD_BITS)
    ),
    # RFC 7692 7.1.1.1: accepted by including it
    (pmd(), FRESH, ACCEPTED_WITHOUT + f"{SERVER_FRESH}, which we asked for"),
    (
        pmd(CLIENT_FRESH),
        FRESH,
        ACCEPTED_WITHOUT + f"{SERVER_FRESH}, which we asked for",
    ),
    # RFC 7692 7.1.2.1: with the same or a smaller value
    (pmd(), TWELVE, ACCEPTED_WITHOUT + f"{SERVER_BITS}, which we asked for"),
    (
        pmd(f"{SERVER_BITS}=13"),
        TWELVE,
        ACCEPTED_WITH + f"{SERVER_BITS}=13; we offered 12",
    ),
    (
        f"{PMD}, {PMD}",
        ANY,
        ACCEPTED_WITH.replace("with ", "more than once, or with another extension"),
    ),
    (
        f"{PMD}, x",
        ANY,
        ACCEPTED_WITH.replace("with ", "more than once, or with another extension"),
    ),
    (
        "x; y=1",
        ANY,
        "server's extensions are wrong: permessage-deflate was offered, "
        "and 'x' was accepted",
    ),
    (
        "Permessage-Deflate",
        ANY,
        "server's extensions are wrong: permessage-deflate was offered, "
        "and 'Permessage-Deflate' was accepted",
    ),
]


@pytest.mark.parametrize(("answer", "wanted", "reason"), BAD_ANSWERS)
def test_an_answer_that_does_not_fit_fails_the_handshake(answer, wanted, reason):
    assert is_extension_list(answer.encode())
    with pytest.raises(HandshakeError) as caught:
        check_answer(answer, wanted)
    assert (caught.value.status, caught.value.reason) == (101, reason)


# --- both, with each other ---------------------------------------------------

bits = st.integers(9, 15)
wishes = st.builds(DeflateParameters, st.booleans(), st.booleans(), bits, bits)


@given(wishes, wishes)
def test_both_sides_of_us_agree_and_each_gets_what_it_wanted(ours, theirs):
    offer = build_offer(ours)
    assert is_extension_list(offer.encode())
    accepted = accept_offer(offer, theirs)
    assert accepted is not None
    answer, of_server = accepted
    assert is_extension_list(answer.encode())
    of_client = check_answer(answer, ours)
    assert of_client is not None
    fresh = (
        ours.server_no_context_takeover or theirs.server_no_context_takeover,
        ours.client_no_context_takeover or theirs.client_no_context_takeover,
    )
    assert of_server[:2] == of_client[:2] == fresh
    # Each uses a window of no more bits than both wish, and knows the other's as far
    # as it is told.
    server_bits = min(ours.server_max_window_bits, theirs.server_max_window_bits)
    client_bits = min(ours.client_max_window_bits, theirs.client_max_window_bits)
    assert of_server.server_max_window_bits == server_bits
    assert of_client.client_max_window_bits == client_bits
    asked = ours.server_max_window_bits < 15
    assert of_client.server_max_window_bits == (server_bits if asked else 15)
    assert of_server.client_max_window_bits == theirs.client_max_window_bits
    # What matters: nobody writes what the other cannot read.
    assert of_server.server_max_window_bits <= of_client.server_max_window_bits
    assert of_client.client_max_window_bits <= of_server.client_max_window_bits


# Pieces of which the grammar can make offers, good, bad and unheard of.
names = st.sampled_from(
    [SERVER_FRESH, CLIENT_FRESH, SERVER_BITS, CLIENT_BITS, "x", SERVER_BITS.upper()]
)
values = st.sampled_from(
    ["", "=8", "=9", "=10", "=15", "=16", "=010", '="10"', '= "\\1\\1"', "=x", '="x"']
)
parameters = st.lists(st.tuples(names, values).map("".join), max_size=5)
elements = st.builds(
    lambda name, parts, separator: separator.join([name, *parts]),
    st.sampled_from([PMD, PMD, PMD, "x", PMD.title()]),
    parameters,
    st.sampled_from([";", "; ", " \t;\t "]),
)
lists = st.lists(elements, min_size=1, max_size=4).map(" , ".join)
near_misses = st.text(f'{PMD};,= \t"\\81509_xX', min_size=1, max_size=60)


NUMBER = "(?:[89]|1[0-5])"
GOOD = re.compile(
    f"{PMD}(?:;(?:{SERVER_FRESH}|{CLIENT_FRESH}|{SERVER_BITS}={NUMBER}"
    f"|{CLIENT_BITS}(?:={NUMBER})?))*"
)


def mentioned(element: str) -> dict[str, str] | None:
    """Return the parameters of an element, read in another way; None: it is bad."""
    bare = re.sub(r'[ \t"\\]', "", element)
    pairs = [part.partition("=")[::2] for part in bare.split(";")[1:]]
    if GOOD.fullmatch(bare) is None or len(dict(pairs)) < len(pairs):
        return None
    return dict(pairs)


@given(st.one_of(lists, near_misses), wishes)
def test_whatever_is_offered_nothing_is_answered_that_may_not_be(offers, wanted):
    assume(is_extension_list(offers.encode()))
    found = [mentioned(element) for element in split_list(offers)]
    good = [o for o in found if o is not None and o.get(SERVER_BITS) != "8"]
    accepted = accept_offer(offers, wanted)
    if accepted is None:
        assert good == []
        return
    answer, agreed = accepted
    said, offer = mentioned(answer), good[0]
    assert said is not None
    assert agreed[:2] == (SERVER_FRESH in said, CLIENT_FRESH in said)
    assert agreed.server_max_window_bits <= int(said.get(SERVER_BITS, 15))
    assert agreed.client_max_window_bits == int(said.get(CLIENT_BITS, 15))
    assert agreed == (
        SERVER_FRESH in offer or wanted.server_no_context_takeover,
        CLIENT_FRESH in offer or wanted.client_no_context_takeover,
        min(int(offer.get(SERVER_BITS, 15)), wanted.server_max_window_bits),
        min(int(offer[CLIENT_BITS] or 15), wanted.client_max_window_bits)
        if CLIENT_BITS in offer
        else 15,
    )
    # What must be said to accept, and what must not.
    assert (SERVER_BITS in said) == (SERVER_BITS in offer)
    assert CLIENT_BITS not in said or CLIENT_BITS in offer


def refusal(answer: str, wanted: DeflateParameters) -> HandshakeError | None:
    try:
        check_answer(answer, wanted)
    except HandshakeError as error:
        return error
    return None


def check_agreed(agreed: DeflateParameters, wanted: DeflateParameters) -> None:
    assert agreed.server_no_context_takeover >= wanted.server_no_context_takeover
    assert agreed.client_no_context_takeover >= wanted.client_no_context_takeover
    assert 8 <= agreed.server_max_window_bits <= wanted.server_max_window_bits
    assert 8 <= agreed.client_max_window_bits <= wanted.client_max_window_bits


@given(st.one_of(lists, near_misses, st.just("")), wishes)
def test_whatever_is_answered_it_is_agreed_or_refused(answer, wanted):
    assume(not answer or is_extension_list(answer.encode()))
    error = refusal(answer, wanted)
    if error is not None:
        assert error.status == 101
        assert error.reason.isprintable()
        return
    agreed = check_answer(answer, wanted)
    assert (agreed is None) == (answer == "")
    if agreed is not None:
        check_agreed(agreed, wanted)


@st.composite
def fitting(draw: st.DrawFn) -> tuple[str, DeflateParameters]:
    """What is wanted, and an answer that keeps to it: chance alone finds few."""
    wanted = draw(wishes)
    parts = []
    if wanted.server_no_context_takeover or draw(st.booleans()):
        parts.append(SERVER_FRESH)
    if wanted.server_max_window_bits < 15 or draw(st.booleans()):
        size = draw(st.integers(8, wanted.server_max_window_bits))
        parts.append(f"{SERVER_BITS}={size}")
    if draw(st.booleans()):
        parts.append(CLIENT_FRESH)
    if draw(st.booleans()):
        parts.append(f"{CLIENT_BITS}={draw(st.integers(8, 15))}")
    return pmd(*draw(st.permutations(parts))), wanted


@given(fitting())
def test_whatever_fits_is_agreed(answered):
    answer, wanted = answered
    agreed = check_answer(answer, wanted)
    assert agreed is not None
    check_agreed(agreed, wanted)


@pytest.mark.parametrize("separator", [", ", "; "])
def test_a_head_full_of_offers(separator):
    # 64 KiB, the largest head: as many elements, or parameters, as fit.
    offers = separator.join([pmd("x")] * (65536 // len(pmd("x"))))
    assert accept_offer(offers, ANY) is None
    assert accept_offer(f"{offers}, {PMD}", ANY) == (PMD, ANY)
