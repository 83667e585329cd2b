"""How often a message goes from one file of the package to another: it only shrinks."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parent.parent / "benchmarks" / "file_changes.py"
# Each change is one more place to look at for whoever follows a message. Lower a
# number with the change that earns it.
MOST = {"echo": 20, "handshake": 35}


def _run(*options: str) -> str:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def _totals(printed: str) -> dict[str, int]:
    found = re.findall(r"^one (\w+)$|^ +(\d+)  in all$", printed, re.MULTILINE)
    names = [name for name, _ in found[::2]]
    return dict(zip(names, (int(total) for _, total in found[1::2]), strict=True))


def test_a_message_changes_files_no_more_often_than_before() -> None:
    totals = _totals(_run())
    assert totals.keys() == MOST.keys()
    assert {what: total for what, total in totals.items() if total > MOST[what]} == {}


@pytest.mark.parametrize("what", MOST)
def test_the_sequence_is_the_files_in_their_order(what: str) -> None:
    printed = _run("--sequence").partition(f"one {what}\n")[2].partition("\n\n")[0]
    table, _, sequence = printed.partition("in all\n")
    entries = {file: int(n) for n, file in re.findall(r"(\d+)  (\S+\.py)", table)}
    files = sequence.split()
    assert entries == {file: files.count(file) for file in files}
    assert all(before != after for before, after in itertools.pairwise(files))
    assert "_protocol/messages.py" in files
