"""The cases of conformance on a processor that has no time: a script.

``python -m tests.conformance.under_load [seconds]`` shares one processor with
two processes that never rest, and plays case after case, in random order, on
every subject. Late wake-ups reorder what a quiet machine always does in the
same order: reads come in other sizes, and both sides close at once.
"""

import os
import random
import subprocess
import sys
import time

import trio

from .cases import closing, fragments, limits, opcodes, pings, reserved_bits
from .script import SUBJECTS
from .utf8 import fail_fast, invalid

FAMILIES = [pings, reserved_bits, opcodes, fragments, fail_fast, invalid, closing]
BURNERS = 2
CASE_SECONDS = 15


async def play_all(seconds):
    cases = [case for family in [*FAMILIES, limits] for case in family()]
    failures, played = [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name, steps = random.choice(cases)
        subject = random.choice(list(SUBJECTS))
        octets = random.random() < 0.3
        try:
            with trio.fail_after(CASE_SECONDS):
                async with SUBJECTS[subject]() as connect, connect(octets) as play:
                    await play.run(steps)
        except Exception as error:
            failures.append((name, subject, octets, error))
        played += 1
    return played, failures


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    cpu = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    burners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(BURNERS)
    ]
    try:
        played, failures = trio.run(play_all, seconds)
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    for failure in failures:
        print("FAILED", *failure)
    print(f"{played} cases in {seconds:g} s, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
