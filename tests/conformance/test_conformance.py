"""Every case on our server, with either kind of handler, and on our client."""

import pytest

from . import cases, utf8
from .script import SUBJECTS, TEXT_AS_BYTES

FAMILIES = [
    cases.framing,
    cases.masking,
    cases.pings,
    cases.reserved_bits,
    cases.opcodes,
    cases.fragments,
    utf8.valid,
    utf8.invalid,
    utf8.fail_fast,
    cases.closing,
    cases.limits,
    cases.automatic_fragments,
]
CASES = dict(case for family in FAMILIES for case in family())
TEXTS = [
    name
    for family in (utf8.valid, utf8.invalid, utf8.fail_fast)
    for name, _ in family()
    if not name.endswith(" as binary")
]


@pytest.mark.parametrize("octets", [False, True], ids=["whole", "pieces"])
@pytest.mark.parametrize("subject", list(SUBJECTS))
@pytest.mark.parametrize("name", list(CASES))
async def test_case(name, subject, octets, no_errors_logged):
    async with SUBJECTS[subject]() as connect, connect(octets) as play:
        await play.run(CASES[name])


@pytest.mark.parametrize("octets", [False, True], ids=["whole", "pieces"])
@pytest.mark.parametrize("subject", list(TEXT_AS_BYTES))
@pytest.mark.parametrize("name", TEXTS)
async def test_text_as_bytes(name, subject, octets, no_errors_logged):
    async with TEXT_AS_BYTES[subject]() as connect, connect(octets) as play:
        await play.run(CASES[name])
