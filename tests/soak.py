"""Many connections: opened, used once, idle, closed, and then all of it again.

``python tests/soak.py [connections] [idle seconds]``: 1,000 and 60 by default.
The server runs in a process of its own, with either kind of handler, and tells
what it holds; the clients are bare sockets in one epoll here. What has to be
back afterwards: descriptors, tasks, and memory, or the next round reuses it.
"""

import argparse
import gc
import json
import logging
import os
import select
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    PerMessageDeflate,
    serve_websocket,
)

HEAD_SIZE = 700
AT_ONCE = 256
WARM_UP = 50
STEP_SECONDS = 60

# --- the server, in a process of its own ------------------------------------


class Echo(EventHandler):
    def on_message(self, ws, message):
        ws.send_nowait(message)


async def echo(ws):
    try:
        async for message in ws:
            await ws.send(message)
    except ConnectionBroken:
        pass


HANDLERS = {"events": Echo(), "tasks": echo}


class Complaints(logging.Handler):
    """Counts what should not be logged."""

    count = 0

    def emit(self, record):
        self.count += 1
        sys.stderr.write(f"{record.getMessage()}\n")


def _rss():
    # In KiB.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


async def _serve(kind, complaints):
    # Answers each byte on its standard input with a line, until that ends.
    commands = trio.lowlevel.FdStream(os.dup(0))
    async with trio.open_nursery() as nursery, commands:
        server = await nursery.start(_start, HANDLERS[kind])
        _say(port=server.port)
        while await commands.receive_some(1):
            gc.collect()
            statistics = server.statistics()
            _say(
                connections=statistics.connections,
                handshakes=statistics.handshakes,
                tasks=trio.lowlevel.current_statistics().tasks_living,
                fds=len(os.listdir("/proc/self/fd")),
                rss=_rss(),
                complaints=complaints.count,
                held=statistics.bytes_held,
            )
        nursery.cancel_scope.cancel()


async def _start(handler, task_status):
    # Of use only to those who offer it.
    deflate = PerMessageDeflate()
    await serve_websocket(
        handler, 0, host="127.0.0.1", deflate=deflate, task_status=task_status
    )


def _say(**values):
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


class Server:
    """The server's process, seen from here."""

    def __init__(self, kind):
        command = [sys.executable, __file__, "--serve", kind]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.port = self._read()["port"]

    def _read(self):
        return json.loads(self.process.stdout.readline())

    def look(self):
        """Return what it holds now."""
        self.process.stdin.write(b"?")
        self.process.stdin.flush()
        return self._read()

    def look_until(self, **expected):
        """Return what it holds once that is as expected, or after all."""
        return self.look_when(lambda seen: expected.items() <= seen.items())

    def look_when(self, ready):
        """Return what it holds once ``ready`` says so of that, or after all."""
        end = time.monotonic() + STEP_SECONDS
        while True:
            seen = self.look()
            if ready(seen) or time.monotonic() > end:
                return seen
            time.sleep(0.02)

    def stop(self):
        self.process.stdin.close()
        code = self.process.wait()
        self.process.stdout.close()
        return code


@contextmanager
def serving(kind):
    server = Server(kind)
    try:
        yield server
    finally:
        if not server.process.stdin.closed:
            server.stop()


# --- the clients, here ------------------------------------------------------


def _request():
    head = (
        b"GET /soak HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\nCookie: session="
    )
    return head + b"x" * (HEAD_SIZE - len(head) - 4) + b"\r\n\r\n"


# struct linger, on and 0 s.
RESET = b"\1\0\0\0\0\0\0\0"
KEY = b"\0\0\0\0"  # masking with it changes nothing
REQUEST = _request()
MESSAGE = b"how are you?"
HELLO = b"\x81" + bytes([0x80 | len(MESSAGE)]) + KEY + MESSAGE
ECHO = b"\x81" + bytes([len(MESSAGE)]) + MESSAGE
PING = b"\x89\x00"
PONG = b"\x8a\x80" + KEY
CLOSE = b"\x88\x82" + KEY + b"\x03\xe8"
CLOSED = b"\x88\x02\x03\xe8"


class Client:
    """One connection, which goes through its steps as bytes arrive."""

    def __init__(self, number, port, fields):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((f"127.0.0.{2 + number % 16}", 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.socket.send(REQUEST[:-2] + fields + b"\r\n")
        self.open = False
        self.echoed = False

    def on_readable(self):
        """Take what came; True if that was the step's last."""
        data = self.socket.recv(4096)
        if not self.open:
            assert data.startswith(b"HTTP/1.1 101 "), data
            assert data.endswith(b"\r\n\r\n"), data
            self.open = True
            self.socket.send(HELLO)
            return False
        if data == PING:
            self.socket.send(PONG)
            return False
        if not self.echoed:
            assert data == ECHO, data
            self.echoed = True
            return True
        if data == CLOSED:
            return False
        # Not even together with the Close: the server closes TCP by a FIN.
        assert data in (b"", CLOSED + b""), data
        return True


class Clients:
    """All of them, in one epoll."""

    def __init__(self, count, port, fields=b""):
        self._count = count
        self._port = port
        # More of the request, each with its end of line.
        self._fields = fields
        self._epoll = select.epoll()
        self._clients = {}

    def open(self):
        """Connect, shake hands and echo once, all of them."""
        started = done = 0
        while done < self._count:
            while started < self._count and started - done < AT_ONCE:
                client = Client(started, self._port, self._fields)
                self._clients[client.socket.fileno()] = client
                self._epoll.register(client.socket, select.EPOLLIN)
                started += 1
            done += sum(client.on_readable() for client in self._ready())

    def _ready(self, seconds=STEP_SECONDS, needed=True):
        events = self._epoll.poll(seconds)
        assert events or not needed, f"nothing came for {seconds} s"
        return [self._clients[fd] for fd, _ in events]

    def idle(self, seconds):
        """Answer pings, nothing else."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for client in self._ready(left, needed=False):
                assert not client.on_readable(), "closed while idle"

    def send(self, data):
        """Send so much on each of them, which has room for it."""
        for client in self._clients.values():
            assert client.socket.send(data) == len(data)

    def reset(self):
        """Close all of them by a TCP reset."""
        for client in self._clients.values():
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.socket.close()
        self._clients.clear()
        self._epoll.close()

    def close(self):
        """Close all of them, each with a whole closing handshake."""
        for client in self._clients.values():
            client.socket.send(CLOSE)
        while self._clients:
            for client in self._ready():
                if client.on_readable():
                    del self._clients[client.socket.fileno()]
                    self._epoll.unregister(client.socket)
                    client.socket.close()
        self._epoll.close()


@dataclass
class Result:
    """What the server held: at first, with all connections, and after them."""

    connections: int
    start: dict
    used: list
    after: list

    def per_connection(self):
        """KiB of memory for each idle connection."""
        grown = self.used[0]["rss"] - self.start["rss"]
        return grown / self.connections

    def check(self):
        """Raise AssertionError if something was lost on the way."""
        start = self.start
        for used, after in zip(self.used, self.after, strict=True):
            assert used["connections"] == self.connections, used
            for what in ("connections", "handshakes", "tasks", "fds", "complaints"):
                assert after[what] == start[what], f"{what}: {start} -> {after}"
        assert start["complaints"] == 0
        back = self.after[-1]["rss"] <= start["rss"] * 1.1
        # A twentieth, and what an allocator may keep for itself.
        reused = self.used[-1]["rss"] <= self.used[0]["rss"] * 1.05 + 1024
        assert back or reused, (start, self.used, self.after)


def soak(kind, connections, idle=0.0, rounds=2):
    """Run it all with one kind of handler; returns the `Result`."""
    with serving(kind) as server:
        _round(server, WARM_UP, 0)
        start = server.look_until(connections=0)
        result = Result(connections, start, [], [])
        for _ in range(rounds):
            used, after = _round(server, connections, idle, start)
            result.used.append(used)
            result.after.append(after)
        assert server.stop() == 0
    return result


def _round(server, connections, idle, start=None):
    clients = Clients(connections, server.port)
    clients.open()
    clients.idle(idle)
    used = server.look()
    clients.close()
    start = start or {"connections": 0}
    same = {k: start[k] for k in ("connections", "tasks", "fds") if k in start}
    return used, server.look_until(**same)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("connections", nargs="?", type=int, default=1000)
    parser.add_argument("idle", nargs="?", type=float, default=60.0)
    parser.add_argument("--serve", choices=list(HANDLERS))
    arguments = parser.parse_args()
    if arguments.serve:
        complaints = Complaints(logging.WARNING)
        logging.getLogger("trio_fastws").addHandler(complaints)
        trio.run(_serve, arguments.serve, complaints)
        return
    for kind in HANDLERS:
        result = soak(kind, arguments.connections, arguments.idle)
        rss = [seen["rss"] for seen in (*result.used, *result.after)]
        print(  # noqa: T201 - a script
            f"{kind}: {result.per_connection():.2f} KiB per idle connection of "
            f"{result.connections}; KiB at the start {result.start['rss']}, used "
            f"{rss[:2]}, after {rss[2:]}",
            flush=True,
        )
        result.check()


if __name__ == "__main__":
    main()
