"""Chromium, driven by its driver."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.browser.webdriver import open_page
from tests.peers import require


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = require("chromium")
    driver = shutil.which("chromedriver")
    if driver is None and os.environ.get("TRIO_FASTWS_REQUIRE_PEERS") != "1":
        pytest.skip("chromedriver was not found; install it beside Chromium")
    assert driver is not None
    with open_page(chromium, driver, tmp_path_factory.mktemp("profile")) as page:
        yield page
