"""``trio-fastws serve``: the echo and chat servers, from listening to the end.

Owns the listening sockets, the signals and what is printed. Uses only the public
face of the library.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from trio_fastws import (
    EventHandler,
    Limits,
    Listen,
    Server,
    WebSocket,
    serve_websocket,
)

from .chat import SENDING, ChatHandler, Room, chat_in, on_request
from .deflate import chosen_deflate
from .words import explain_file, print_error, print_line

if TYPE_CHECKING:
    import argparse


# A server can listen on all addresses of a family, but no client can dial them. Not
# "localhost", which may be an address of the other family.
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Echo(EventHandler):
    """Send everything back, without a task per connection."""

    def on_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Send it back."""
        ws.send_nowait(message)


async def echo(ws: WebSocket) -> None:
    """Send everything back, in a task per connection."""
    async for message in ws:
        await ws.send(message)


def _make_arguments(what: str, handler: str) -> dict[str, Any]:
    # Those of `serve_websocket` that make it an echo server, or a chat.
    by_hooks = handler == "callback"
    if what == "echo":
        return {"handler": Echo() if by_hooks else echo}
    room = Room()
    return {
        "handler": ChatHandler(room) if by_hooks else chat_in(room),
        "on_request": on_request,
        "sending": SENDING,
    }


async def serve(options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    try:
        tls = _make_tls(options.tls_cert, options.tls_key)
    except OSError as error:
        files = " and ".join(filter(None, (options.tls_cert, options.tls_key)))
        print_error(f"cannot use the certificate in {files}: {explain_file(error)}")
        return 1
    run = partial(
        serve_websocket,
        ssl_context=tls,
        limits=Limits(message_size=options.max_message_size),
        deflate=chosen_deflate(options),
        **_make_arguments(options.what, options.handler),
    )
    async with trio.open_nursery() as nursery:
        try:
            server = await nursery.start(partial(run, port=_place(options)))
        except (OSError, ValueError) as error:
            print_error(_explain_place(options, error))
            return 1
        assert isinstance(server, Server)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            _announce(server, options.what, tls is not None)
            await anext(signals)
        # From here on a second signal has its default effect: it kills.
        nursery.cancel_scope.cancel()
    return 0


def _place(options: argparse.Namespace) -> Listen:
    if options.unix is not None:
        return Listen(unix=options.unix)
    return Listen(options.port, host=options.host)


def _explain_place(options: argparse.Namespace, error: OSError | ValueError) -> str:
    # Why nobody can listen there, in one line.
    if isinstance(error, socket.gaierror):
        return f"cannot find host {options.host}: {error.strerror}"
    where = options.unix or f"{options.host} port {options.port}"
    # Without the path, which is in the line already.
    why = (isinstance(error, OSError) and error.strerror) or error
    return f"cannot listen on {where}: {why}"


def _announce(server: Server, what: str, secure: bool) -> None:
    # What follows "listening on " can be passed to `dial` as it is.
    chat = what == "chat"
    path = "/ws" if chat else "/"
    for address in server.addresses:
        if isinstance(address, str | bytes):
            # Absolute: a client may run in another directory.
            file = os.path.abspath(os.fsdecode(address))
            print_line(f"listening on unix:{file}{f':{path}' * chat}", out=True)
            continue
        place = _address_to_dial(str(address[0]), int(address[1]))
        print_line(f"listening on ws{'s' * secure}://{place}{path}", out=True)
        if chat:
            print_line(f"the page is http{'s' * secure}://{place}/")


def _address_to_dial(host: str, port: int) -> str:
    # Host and port as a URL has them (RFC 3986 3.2.2).
    host = _WILDCARDS.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _make_tls(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context
