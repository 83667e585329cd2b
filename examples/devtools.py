"""Drive Chromium over its DevTools protocol: open a page, ask it, take a picture.

In two terminals; the part that is not about Chromium is in rpc.py:

    chromium --headless --remote-debugging-port=9222
    python examples/devtools.py 9222 "data:text/html,<h1>Hello</h1>" hello.png
"""

from __future__ import annotations

import base64
import json
import sys
from http.client import HTTPConnection

import trio
from rpc import Calls

from trio_fastws import Limits, open_websocket


def find_browser(port: int) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/json/version")
    return str(json.load(connection.getresponse())["webSocketDebuggerUrl"])


async def main(port: int, page: str, picture: str) -> None:
    url = await trio.to_thread.run_sync(find_browser, port)
    large = Limits(message_size=64 * 2**20)  # a picture may have many MiB
    async with open_websocket(url, limits=large) as ws, trio.open_nursery() as nursery:
        call = Calls(ws)
        nursery.start_soon(call.read)
        # A private context: it goes, with its page, when the connection does.
        own = await call("Target.createBrowserContext", disposeOnDetach=True)
        blank = await call("Target.createTarget", url="about:blank", **own)
        # Further calls are for that page: this gives its {"sessionId": ...}.
        call.common = await call("Target.attachToTarget", flatten=True, **blank)
        await call("Page.enable")
        await call("Page.setLifecycleEventsEnabled", enabled=True)
        opened = await call("Page.navigate", url=page)
        if "errorText" in opened:
            raise OSError(f"{page}: {opened['errorText']}")
        loaded = {"name": "load", "loaderId": opened["loaderId"]}
        async for event in call.events:
            if loaded.items() <= event["params"].items():
                break
        found = await call("Runtime.evaluate", expression="document.body.innerText")
        print(found["result"]["value"])
        image = await call("Page.captureScreenshot")
        await trio.Path(picture).write_bytes(base64.b64decode(image["data"]))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]), sys.argv[2], sys.argv[3])
    except* KeyboardInterrupt:
        pass
