"""Starts the other libraries, each in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.interop.deflating import DeflatePeer
from tests.interop.peers import common
from tests.peers import require

PEERS = Path(__file__).parent / "peers"
SCRIPTS = {
    "websockets": "websockets_asyncio.py",
    "websockets.trio": "websockets_trio.py",
    "aiohttp": "aiohttp_peer.py",
    "picows": "picows_peer.py",
    "node-ws": "node_ws.js",
}
DEFLATE_SCRIPTS = {
    "websockets": "deflate_websockets_asyncio.py",
    "websockets.trio": "deflate_websockets_trio.py",
    "aiohttp": "deflate_aiohttp.py",
    "node-ws": "deflate_node_ws.js",
    "undici": "deflate_undici.js",
    "raw": "deflate_raw.py",
}


class Peer:
    """A process that speaks WebSocket with another library."""

    def __init__(self, name, mode):
        self.name = name
        self.mode = mode
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
        command = [sys.executable]
        if name == "node-ws":
            environment["NODE_WS"] = require(name)
            words = {k: getattr(common, k) for k in dir(common) if k.isupper()}
            environment["COMMON"] = json.dumps(words)
            command = [shutil.which("node") or "node"]
        self._process = subprocess.Popen(
            [*command, str(PEERS / SCRIPTS[name]), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            encoding="utf-8",
        )
        self.port = json.loads(self._read()) if mode == "serve" else None
        # Whether it has said something of each connection, and nothing is left.
        self.settled = True

    def _read(self):
        line = self._process.stdout.readline()
        assert line, f"{self.name} has died"
        return line

    def dial(self, port):
        self._process.stdin.write(f"{port}\n")
        self._process.stdin.flush()

    async def ended(self):
        """Return what it says of a connection that is over."""
        line = await trio.to_thread.run_sync(self._read, abandon_on_cancel=True)
        result = json.loads(line)
        self.settled = True
        return result["code"], result["reason"]

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def _peers():
    running = {}
    yield running
    for peer in running.values():
        peer.stop()


@pytest.fixture(params=["serve", "dial"])
def role(request):
    """What the other library does."""
    return request.param


@pytest.fixture(params=list(SCRIPTS))
def peer(request, role, _peers):
    key = request.param, role
    peer = _peers.get(key)
    if peer is not None and not peer.settled:
        # A test failed: its leftovers are not for the next one.
        peer.stop()
        peer = None
    if peer is None:
        peer = _peers[key] = Peer(*key)
    peer.settled = False
    return peer


@pytest.fixture(scope="session")
def deflate_peer():
    """Give what gives a peer that compresses, by its name."""
    running = {}

    def get(name):
        peer = running.get(name)
        if peer is not None and not peer.settled:
            peer.stop()
            peer = None
        if peer is None:
            peer = running[name] = DeflatePeer(name, DEFLATE_SCRIPTS[name])
        return peer

    yield get
    for peer in running.values():
        peer.stop()
