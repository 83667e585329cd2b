"""Dial a server, say something, print what it answers.

With a server that answers, such as examples/echo.py, in another terminal:

    python examples/dial.py ws://127.0.0.1:8765/ Hello "How are you?"
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from trio_fastws import ConnectionBroken, HandshakeError, open_websocket

if TYPE_CHECKING:
    from collections.abc import Sequence


async def main(url: str, texts: Sequence[str]) -> None:
    try:
        # Each step can be cancelled, the whole of it too.
        with trio.fail_after(10):
            async with open_websocket(url) as ws:
                for text in texts:
                    await ws.send(text)
                    print(await ws.receive())
                print(f"round trip: {await ws.ping() * 1000:.2f} ms")
    except HandshakeError as error:  # whatever the reason: nobody there, a 404, TLS
        print(f"not connected: {error}")
    except trio.EndOfChannel:
        print("the server has closed the connection")
    except ConnectionBroken as error:
        print(f"connection lost: {error}")
    except trio.TooSlowError:
        print("timed out")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        trio.run(main, sys.argv[1], sys.argv[2:])
