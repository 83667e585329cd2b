"""``trio-fastws serve``: the echo and chat servers, from listening to the end.

Owns sockets, signals and what is printed. Knows nothing of WebSockets but the
public face.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import ssl
import stat
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from trio_fastws import (
    EventHandler,
    Limits,
    Sending,
    Server,
    WebSocket,
    serve_websocket,
)

from .chat import SENDING, ChatHandler, Room, chat_in, on_request
from .deflate import chosen_deflate
from .words import complain, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncGenerator


class Echo(EventHandler):
    """Send everything back, without a task per connection."""

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Send it back."""
        ws.send_nowait(message)


async def echo(ws: WebSocket) -> None:
    """Send everything back, in a task per connection."""
    async for message in ws:
        await ws.send(message)


@dataclass
class Service:
    """What is served, in the words of `serve_websocket`."""

    handler: Any
    on_request: Any = None
    sending: Sending = field(default_factory=Sending)


def _make_service(what: str, handler: str) -> Service:
    by_hooks = handler == "callback"
    if what == "echo":
        return Service(Echo() if by_hooks else echo)
    room = Room()
    return Service(
        ChatHandler(room) if by_hooks else chat_in(room), on_request, SENDING
    )


async def serve(options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    try:
        tls = _make_tls(options.tls_cert, options.tls_key)
    except OSError as error:
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        files = " and ".join(filter(None, (options.tls_cert, options.tls_key)))
        complain(f"cannot use the certificate in {files}: {why or error}")
        return 1
    try:
        if options.unix is not None:
            async with _listen_on_path(options.unix) as listener:
                return await _run(options, [listener], None)
        listeners = await trio.open_tcp_listeners(options.port, host=options.host)
    except socket.gaierror as error:
        complain(f"cannot find host {options.host}: {error.strerror}")
        return 1
    except (OSError, UnicodeError) as error:
        where = options.unix or f"{options.host} port {options.port}"
        complain(f"cannot listen on {where}: {error}")
        return 1
    return await _run(options, listeners, tls)


async def _run(
    options: argparse.Namespace,
    listeners: list[trio.SocketListener],
    tls: ssl.SSLContext | None,
) -> int:
    service = _make_service(options.what, options.handler)
    run = partial(
        serve_websocket,
        service.handler,
        listeners=listeners,
        tls=tls,
        limits=Limits(message_size=options.max_message_size),
        sending=service.sending,
        on_request=service.on_request,
        deflate=chosen_deflate(options),
    )
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            server = await nursery.start(run)
            assert isinstance(server, Server)
            _announce(server, options.what, tls is not None)
            await anext(signals)
        # From here on a second signal has its usual, ruder effect.
        nursery.cancel_scope.cancel()
    return 0


def _announce(server: Server, what: str, secure: bool) -> None:
    # Whatever stands behind "listening on " can be given to `dial`.
    chat = what == "chat"
    path = "/ws" if chat else "/"
    for address in server.addresses:
        if isinstance(address, str | bytes):
            resource = f":{path}" if chat else ""
            say(f"listening on unix:{os.fsdecode(address)}{resource}", out=True)
            continue
        host, port = str(address[0]), int(address[1])
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        say(f"listening on ws{'s' * secure}://{place}{path}", out=True)
        if chat:
            say(f"the page is http{'s' * secure}://{place}/")


def _make_tls(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


@asynccontextmanager
async def _listen_on_path(path: str) -> AsyncGenerator[trio.SocketListener, None]:
    sock = trio.socket.socket(socket.AF_UNIX)
    try:
        try:
            await sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_left_over(path):
                raise
            os.unlink(path)
            await sock.bind(path)
        try:
            sock.listen(4096)
            yield trio.SocketListener(sock)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)
    finally:
        sock.close()


def _is_left_over(path: str) -> bool:
    # The socket file of a server that was killed: nobody listens behind it.
    if not stat.S_ISSOCK(os.stat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED
