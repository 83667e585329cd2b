"""The cases of conformance on a processor that has no time: a script.

``python -m tests.conformance.under_load [seconds]`` puts our server, our client
and the tester into processes of their own, and all of them on one processor
with two more that never rest. Late wake-ups reorder what a quiet machine always
does in the same order: reads come in other sizes, and both sides close at once.
"""

import os
import random
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import partial

import trio

from tests.handlers import Echo, echo
from tests.wire import port_of, tcp_listener

from .cases import closing, fragments, limits, opcodes, pings, reserved_bits
from .script import accepted, dial, dialled, serve
from .utf8 import fail_fast, invalid

FAMILIES = [pings, reserved_bits, opcodes, fragments, fail_fast, invalid]
FAMILIES += [closing, limits]
CASES = [case for family in FAMILIES for case in family()]
BURNERS = 2
CASE_SECONDS = 15
HANDLERS = {"event-handler": Echo(), "async-handler": echo}


async def run_server(kind):
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve, HANDLERS[kind])
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()


async def run_client(port):
    while True:
        await dial(echo, port)


@contextmanager
def running(*arguments):
    """Run python in a process that is killed at the end."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def play_all(seconds):
    failures, played = [], 0
    module = ["-m", "tests.conformance.under_load"]
    async with tcp_listener() as listener:
        with ExitStack() as stack:
            subjects = {}
            for kind in HANDLERS:
                process = stack.enter_context(running(*module, "serve", kind))
                subjects[kind] = partial(dialled, int(process.stdout.readline()))
            port = port_of(listener)
            stack.enter_context(running(*module, "dial", str(port)))
            subjects["client"] = partial(accepted, listener)
            for _ in range(BURNERS):
                stack.enter_context(running("-c", "while True: pass"))
            end = trio.current_time() + seconds
            while trio.current_time() < end:
                (name, steps), octets = random.choice(CASES), random.random() < 0.3
                subject = random.choice(list(subjects))
                played += 1
                try:
                    with trio.fail_after(CASE_SECONDS):
                        async with subjects[subject](octets) as play:
                            await play.run(steps)
                except Exception as error:  # noqa: BLE001 - reported below
                    failures.append((name, subject, octets, repr(error)))
    return played, failures


def main(*arguments):
    if arguments[:1] == ("serve",):
        trio.run(run_server, arguments[1])
    elif arguments[:1] == ("dial",):
        trio.run(run_client, int(arguments[1]))
    else:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        seconds = float(arguments[0]) if arguments else 20.0
        played, failures = trio.run(play_all, seconds)
        for failure in failures:
            print("FAILED", *failure)  # noqa: T201 - a script
        print(f"{played} cases in {seconds:g} s, {len(failures)} failed")  # noqa: T201
        return 1 if failures else 0
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
