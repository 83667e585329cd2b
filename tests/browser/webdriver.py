"""As much of a WebDriver client as the tests of the chat page need (W3C WebDriver).

Waiting is the driver's: finding an element waits until there is one.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ENTER = "\ue007"
TAB = "\ue004"


class Page:
    """One tab of a browser."""

    def __init__(self, driver: str, options: dict[str, Any]) -> None:
        self.driver = driver
        self._base = f"{driver}/session"
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        session = self._call("", capabilities={"alwaysMatch": capabilities})
        self._base += f"/{session['sessionId']}"
        self._call("/timeouts", implicit=20_000)

    def _call(self, path: str, method: str = "POST", **values: object) -> Any:
        body = json.dumps(values).encode() if method == "POST" else None
        request = urllib.request.Request(self._base + path, body, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["value"]

    def go(self, url: str) -> None:
        self._call("/url", url=url)

    def resize(self, width: int, height: int) -> None:
        """Give the page itself this size, as a phone's would be."""
        command = "Emulation.setDeviceMetricsOverride"
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.devtools(command, **size, mobile=width < 600)

    def devtools(self, command: str, **params: object) -> Any:
        return self._call("/goog/cdp/execute", cmd=command, params=params)

    def find(self, xpath: str) -> str:
        """Wait for an element."""
        found = self._call("/element", using="xpath", value=xpath)
        return str(found[ELEMENT])

    def press(self, keys: str) -> None:
        """Press keys, wherever the focus is."""
        active = self._call("/element/active", "GET")[ELEMENT]
        self._call(f"/element/{active}/value", text=keys)

    def click(self, xpath: str) -> None:
        self._call(f"/element/{self.find(xpath)}/click")

    def run(self, script: str, *args: object) -> Any:
        return self._call("/execute/sync", script=script, args=args)

    def complaints(self) -> list[str]:
        """Return what the browser's console has said since the last call."""
        return [entry["message"] for entry in self._call("/se/log", type="browser")]

    def screenshot(self) -> bytes:
        return base64.b64decode(self._call("/screenshot", "GET"))

    def close(self) -> None:
        self._call("", "DELETE")


@contextmanager
def open_page(chromium: str, driver: str, profile: Path) -> Iterator[Page]:
    """Start a browser with a new, empty profile; end it with the block."""
    command = [driver, "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = (
            re.search(r"successfully on port (\d+)", line) for line in process.stdout
        )
        port = next(match[1] for match in started if match)
        try:
            with open_another(f"http://127.0.0.1:{port}", chromium, profile) as page:
                yield page
        finally:
            process.terminate()


@contextmanager
def open_another(driver: str, chromium: str, profile: Path) -> Iterator[Page]:
    """Start a browser with a driver that runs already."""
    args = [*FLAGS, f"--user-data-dir={profile}"]
    page = Page(driver, {"binary": chromium, "args": args})
    try:
        yield page
    finally:
        page.close()
