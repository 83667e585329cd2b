"""Compression on the command line: its options, and a line for what was agreed.

Owns how the fields of `PerMessageDeflate` are written on a command line; that class
checks their values.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from trio_fastws import DeflateParameters, PerMessageDeflate

_DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in dataclasses.fields(PerMessageDeflate)
}
_WORDS = {True: "yes", False: "no"}


def add_deflate(parser: argparse.ArgumentParser) -> None:
    """Add the two options; their values go to ``deflate``."""
    defaults = ", ".join(map(_write_default, _DEFAULTS))
    parser.add_argument(
        "--deflate",
        action="store_true",
        help="compress messages if the peer does so too (permessage-deflate)",
    )
    parser.add_argument(
        "--deflate-options",
        type=parse_deflate,
        metavar="NAME=VALUE,...",
        help=f"the same, with other options than these: {defaults}",
    )


def chosen_deflate(options: argparse.Namespace) -> PerMessageDeflate | None:
    """Return what the two options ask for; None for no compression."""
    given: PerMessageDeflate | None = options.deflate_options
    if given is None and options.deflate:
        return PerMessageDeflate()
    return given


def parse_deflate(text: str) -> PerMessageDeflate:
    """Return options from ``name=value,name=value``.

    Raises:
        argparse.ArgumentTypeError: A name or a value is wrong; the text has those
            that are allowed.
    """
    values: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if name not in _DEFAULTS:
            names = ", ".join(_DEFAULTS)
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {names}")
        if not equals:
            raise argparse.ArgumentTypeError(f"{part!r} is not of the form NAME=VALUE")
        if name in values:
            raise argparse.ArgumentTypeError(f"{name} is given twice")
        values[name] = _read(name, value)
    try:
        return PerMessageDeflate(**values)
    except (TypeError, ValueError, ImportError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _read(name: str, text: str) -> bool | int | str:
    default = _DEFAULTS[name]
    if isinstance(default, bool):
        for value, word in _WORDS.items():
            if text == word:
                return value
        raise argparse.ArgumentTypeError(f"{name} is {text!r}; it must be yes or no")
    if isinstance(default, str):
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{name} is {text!r}; {_range_of(name)}"
        ) from None


def _range_of(name: str) -> str:
    # Of the error that `PerMessageDeflate` raises: "it must be 1 to 9".
    below: dict[str, Any] = {name: -1}
    try:
        PerMessageDeflate(**below)
    except ValueError as error:
        return str(error).partition("; ")[2]
    raise AssertionError(name)


def _write_default(name: str) -> str:
    default = _DEFAULTS[name]
    if default is None:
        return name  # a number whose default depends on the side
    return f"{name}={_WORDS[default] if isinstance(default, bool) else default}"


def describe(agreed: DeflateParameters | None) -> str:
    """Return, in one line, what a connection has agreed on."""
    if agreed is None:
        return "deflate: not granted by the server"
    match agreed.server_no_context_takeover, agreed.client_no_context_takeover:
        case False, False:
            takeover = "takeover"
        case True, True:
            takeover = "no takeover"
        case False, True:
            takeover = "takeover by the server only"
        case _:
            takeover = "takeover by the client only"
    return (
        f"deflate: server {agreed.server_max_window_bits} bits, "
        f"client {agreed.client_max_window_bits} bits, {takeover}"
    )
