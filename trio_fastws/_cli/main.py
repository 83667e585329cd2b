"""The program ``trio-fastws``: its command line.

Owns the options, their ranges and their help. What the commands do is in `serve` and
`dial`. Exit status: 0 after a clean end, 1 after an error, which is one line on
stderr, 2 if the command line is wrong.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING

import trio

import trio_fastws

from .deflate import add_deflate
from .dial import dial
from .serve import serve

if TYPE_CHECKING:
    from collections.abc import Sequence

# Loopback: other machines cannot connect unless --host says so.
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status.

    Args:
        argv: The command line without the program's name; None for `sys.argv`.

    Raises:
        SystemExit: The command line is wrong (2), or asks for help (0).
    """
    parser = _make_parser()
    options = parser.parse_args(argv)
    try:
        _check(options, parser)
        return trio.run(serve if options.command == "serve" else dial, options)
    except KeyboardInterrupt:
        # The second Ctrl-C: the first ends the command in order.
        return 130


def _check(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    # What argparse cannot express.
    if options.command == "dial":
        trust = options.ca is not None or options.insecure
        if trust and not options.url.lower().startswith("wss://"):
            parser.error("--ca and --insecure need a URL that begins with wss://")
        return
    if options.tls_key is not None and options.tls_cert is None:
        parser.error("--tls-key needs --tls-cert")
    if options.unix is not None:
        if options.host is not None or options.port is not None:
            parser.error("--unix takes the place of --host and --port")
        if options.tls_cert is not None:
            parser.error("--unix cannot be combined with --tls-cert")
    options.host = DEFAULT_HOST if options.host is None else options.host
    options.port = DEFAULT_PORT if options.port is None else options.port


# --- values ------------------------------------------------------------------


def _integer(text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from {low} to {high}"
        )
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not value >= 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds, 0 or more, or inf"
        )
    return value


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not name or not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME:VALUE")
    return name, value.strip(" \t")


_PORT = partial(_integer, low=0, high=65535)
# What `Limits.message_size` takes.
_SIZE = partial(_integer, low=0, high=2**62)
_COUNT = partial(_integer, low=0, high=2**31 - 1)


def _message_size(text: str) -> int | str:
    # As `Limits.message_size` has it.
    return text if text == "default" else _SIZE(text)


# --- the command line --------------------------------------------------------


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trio-fastws", description="Serve and dial WebSockets."
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--max-message-size",
        type=_message_size,
        default="default",
        metavar="N",
        help="largest message taken, in bytes (default: 1048576 to serve, 16777216 "
        "to dial); one byte more ends the connection with code 1009",
    )
    add_deflate(common)
    _add_serve(
        commands.add_parser(
            "serve",
            parents=[common],
            help="run a server: echo or chat",
            description="Run a server until SIGINT or SIGTERM; then close every "
            "connection with code 1001.",
        )
    )
    _add_dial(
        commands.add_parser(
            "dial",
            parents=[common],
            help="connect to a server",
            description="Connect to a server. Lines of stdin are sent as text "
            "messages. Messages go to stdout, one a line, binary ones as 0x and "
            "hexadecimal digits; everything else goes to stderr. When stdin has "
            "ended, answers are awaited: see --expect and --wait. On a terminal, "
            "Ctrl-D closes the connection, Ctrl-C does so everywhere.",
        )
    )
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "what",
        choices=("echo", "chat"),
        metavar="{echo,chat}",
        help="echo sends every message back; chat is a room with a page at /",
    )
    add("--host", help="address or name to listen on (default: 127.0.0.1)")
    add(
        "--port",
        type=_PORT,
        help="TCP port, 0 for any that is free (default: 8765)",
    )
    add(
        "--handler",
        choices=("callback", "async"),
        default="callback",
        help="serve by hooks, or by a task per connection (default: %(default)s)",
    )
    add("--tls-cert", metavar="FILE", help="serve wss:// with this chain (PEM)")
    add(
        "--tls-key",
        metavar="FILE",
        help="its private key (PEM), if that is not in the same file",
    )
    add("--unix", metavar="PATH", help="listen on a Unix socket instead of a port")


def _add_dial(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "url",
        metavar="URL",
        help="ws://host:port/path, wss://..., or unix:PATH:/path for a Unix socket",
    )
    add(
        "--send",
        action="append",
        metavar="TEXT",
        help="send this instead of stdin; may be given several times",
    )
    add(
        "--expect",
        type=_COUNT,
        metavar="N",
        help="close after N messages, once everything is sent; it is an error if "
        "the connection ends before, or --wait is over",
    )
    add(
        "--wait",
        type=_seconds,
        metavar="SECONDS",
        help="close when all is sent and nothing has come for so long; inf to wait "
        "for the server to close (default: 1 if something was sent and there is no "
        "--expect, otherwise inf)",
    )
    add(
        "--header",
        action="append",
        type=_header,
        default=[],
        metavar="NAME:VALUE",
        help="a field for the request; may be given several times",
    )
    add(
        "--subprotocol",
        action="append",
        default=[],
        metavar="NAME",
        help="offer this subprotocol; may be given several times, favourite first",
    )
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--ca", metavar="FILE", help="trust these certificate authorities (PEM) only"
    )
    trust.add_argument(
        "--insecure", action="store_true", help="trust any certificate: for tests"
    )
    add(
        "--ping",
        action="store_true",
        help="ping first, and print the round trip in ms to stderr",
    )


def _version() -> str:
    kind = "compiled" if trio_fastws.COMPILED else "pure Python"
    python = sys.version.split()[0]
    return f"trio-fastws {trio_fastws.__version__}, {kind}, Python {python}"
