"""Peers that are no Python packages: where they are, and what if they are not.

Locally a missing peer skips its tests. Where TRIO_FASTWS_REQUIRE_PEERS is 1, as
in CI, it fails them: a skipped test must not look like a passed one.
"""

import os
import shutil
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _find_chromium() -> str | None:
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        path = shutil.which(name)
        if path is not None:
            return path
    return None


def _find_daemon(name: str) -> str | None:
    # Debian puts them where only root looks.
    folders = os.environ.get("PATH", os.defpath)
    return shutil.which(name, path=f"{folders}:/usr/sbin:/usr/local/sbin")


def _find_node_package(name: str) -> str | None:
    # The folder of a package, for `require(...)`.
    if shutil.which("node") is None:
        return None
    folders = [ROOT / "node_modules", Path("/usr/lib/node_modules")]
    folders += [Path("/usr/local/lib/node_modules"), Path("/usr/share/nodejs")]
    folders += map(Path, filter(None, os.environ.get("NODE_PATH", "").split(":")))
    for folder in folders:
        if (folder / name / "package.json").exists():
            return str(folder / name)
    return None


FIND = {
    "axe-core": ("TRIO_FASTWS_AXE", partial(_find_node_package, "axe-core")),
    "chromium": ("TRIO_FASTWS_CHROMIUM", _find_chromium),
    "haproxy": ("TRIO_FASTWS_HAPROXY", partial(_find_daemon, "haproxy")),
    "nginx": ("TRIO_FASTWS_NGINX", partial(_find_daemon, "nginx")),
    "node-ws": ("TRIO_FASTWS_NODE_WS", partial(_find_node_package, "ws")),
    "undici": ("TRIO_FASTWS_UNDICI", partial(_find_node_package, "undici")),
}


def require(name: str) -> str:
    """Return the path of a peer; skip the test, or fail it, if there is none."""
    variable, find = FIND[name]
    path = os.environ.get(variable) or find()
    if path is not None and Path(path).exists():
        return path
    message = f"{name} was not found; install it, or say where it is in {variable}"
    if os.environ.get("TRIO_FASTWS_REQUIRE_PEERS") == "1":
        pytest.fail(message)
    pytest.skip(message)
