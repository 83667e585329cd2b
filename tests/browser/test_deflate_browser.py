"""Compressed messages and a real Chromium: all parameters, 10,000 random messages."""

import pytest
import trio

from tests.interop.deflating import COMBINATIONS, check_compression, echo_all, served
from trio_fastws import Response, Timeouts

pytestmark = pytest.mark.slow

PAGE = """<!doctype html>
<title>Echo</title>
<link rel="icon" href="data:,">
<p>Not connected</p>
<script>
  const ws = new WebSocket(`ws://${location.host}/ws`);
  const state = document.querySelector("p");
  ws.binaryType = "arraybuffer";
  ws.onmessage = (event) => ws.send(event.data);
  ws.onclose = (event) => {
    state.dataset.extensions = ws.extensions;
    state.textContent = `Closed with ${event.code}`;
  };
</script>
"""


def show_page(request):
    if request.path == "/ws":
        return None
    return Response(200, {"Content-Type": "text/html"}, PAGE.encode())


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
async def test_chromium_sends_every_message_back(browser, combination):
    async def dial(port):
        # Its script may run before the page is loaded.
        nursery.start_soon(
            trio.to_thread.run_sync, browser.go, f"http://127.0.0.1:{port}/"
        )
        await trio.lowlevel.checkpoint()

    # It cannot be told what to ask for: nothing but to be told its window. It also
    # connects once more than it needs to, and keeps that: not waited for.
    connection = served(
        combination.ours(()),
        dial,
        on_request=show_page,
        timeouts=Timeouts(shutdown=0.01),
    )
    browser.complaints()
    async with trio.open_nursery() as nursery, connection as ws:
        assert ws.deflate == combination.wanted
        await echo_all(ws, combination.messages(), f"{combination.number}")
        check_compression(ws)
    browser.find('//p[.="Closed with 1000"]')
    extensions = browser.run("return document.querySelector('p').dataset.extensions")
    assert extensions.startswith("permessage-deflate")
    assert ("server_no_context_takeover" in extensions) is combination.wanted[0]
    assert ("client_no_context_takeover" in extensions) is combination.wanted[1]
    assert browser.complaints() == []
