"""What every peer does, whichever library it speaks with.

A peer echoes messages, obeys the text messages below, and prints one line of
JSON when a connection is over: close code and reason. ``serve`` prints its port
first and takes connections until it is killed; ``dial`` reads a port a line and
dials it.
"""

import json
import sys

CLOSE = "!close"  # close with the code and the reason below
FRAGMENTS = "!fragments"  # send PIECES as one message, a ping after each but the
# last, then PONGED when all pongs are there

CODE, REASON = 4001, "größe ✓ 終わり"
PIECES = ["one ", "", "twö ", "three"]
PONGED = "ponged"


def say(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def ended(code, reason):
    say({"code": code, "reason": reason or ""})


def ports():
    for line in sys.stdin:
        yield int(line)
