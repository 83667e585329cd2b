"""Follow a feed for as long as it takes: connect again, subscribe again, go on.

Run it, and stop and start the server meanwhile; Ctrl-C ends it:

    python examples/push.py
    python examples/follow.py ws://127.0.0.1:8765/
"""

from __future__ import annotations

import json
import random
import ssl
import sys
from contextlib import suppress

import trio

from trio_fastws import ConnectionBroken, HandshakeError, Timeouts, open_websocket

# Request Timeout, Too Early, Too Many Requests: the 4xx that ask to come again.
TRANSIENT = {408, 425, 429}
AT_ONCE = Timeouts(close=1)  # Ctrl-C waits no longer for a server that is silent


def is_hopeless(error: HandshakeError) -> bool:
    # A wrong path, token or certificate does not get better, nor does a redirect.
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return True
    return 0 < error.status < 500 and error.status not in TRANSIENT


async def follow(url: str) -> None:
    number = failures = 0
    while True:
        try:
            async with open_websocket(url, timeouts=AT_ONCE) as ws:
                # A server that keeps its messages can send what was missed.
                await ws.send(json.dumps({"subscribe": "prices", "after": number}))
                async for message in ws:
                    print(message, flush=True)
                    number = json.loads(message)["number"]
                    failures = 0  # not when connected: it may close us at once again
            print("closed by the server", file=sys.stderr)
        except (HandshakeError, ConnectionBroken) as error:
            if isinstance(error, HandshakeError) and is_hopeless(error):
                raise
            print(error, file=sys.stderr)
        # "Full jitter": after a restart not all clients come back at the same time.
        await trio.sleep(random.uniform(0, min(60, 2**failures)))
        failures = min(failures + 1, 16)


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            trio.run(follow, sys.argv[1])
    except HandshakeError as error:
        sys.exit(f"giving up: {error}")
