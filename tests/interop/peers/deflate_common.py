"""What every peer that echoes compressed messages does, whatever it speaks with.

It reads orders, one line of JSON each: ``{"serve": true}`` or ``{"dial": port}``,
with the parameters of RFC 7692 7.1 that it is to ask for, by their names. To
``serve`` it answers first with its port. It echoes one connection, cut into
fragments as below if it can, and says how that ended; then it reads the next order.
"""

import json
import sys


def orders():
    for line in sys.stdin:
        yield json.loads(line)


def say(**values):
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def cut(number, message):
    """Return the pieces of every third message; None for the others."""
    if number % 3 != 1:
        return None
    step = len(message) // 4 + 1
    pieces = [message[i : i + step] for i in range(0, len(message), step)]
    return [*pieces, message[:0]]


def goes_plain(number):
    """Return whether this echo goes uncompressed, if the peer has a say in it."""
    return number % 7 == 3
