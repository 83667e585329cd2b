"""``trio-fastws dial``: one connection, from the command line to its end.

Owns when to send, when to close and what the exit status is. Uses only the public
face of the library.
"""

from __future__ import annotations

import math
import re
import signal
import ssl
import sys
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import trio

from trio_fastws import Limits, WebSocket, open_websocket

from .deflate import chosen_deflate, describe
from .screen import Screen, read_lines
from .words import CommandFailed, describe_error, explain_file, print_error

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncGenerator, AsyncIterator

# As `serve --unix` prints it, and as nginx and node's ws write it:
# unix:PATH:/resource, ws+unix://PATH:/resource.
_UNIX = re.compile(r"(?:ws\+)?unix:(?://)?(?P<path>.+?)(?::(?P<resource>/.*))?")
# Seconds to wait for answers without --wait: long enough for a server far away, short
# enough for a person who looks at the screen.
_WAIT = 1.0
# Seconds for the answer to a Close, when the messages had none.
_FAREWELL = 1.0
# Messages printed by one write: enough that the cost of a thread does not count.
_BATCH = 256


async def dial(options: argparse.Namespace) -> int:
    """Connect, talk and close; return the exit status."""
    failed = None
    # What the next signal cancels: the talk, then also the closing handshake.
    scopes = [trio.CancelScope()]
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on_signals, signals, scopes)
            with scopes[0] as everything:
                try:
                    await _talk(options, scopes)
                except Exception as error:
                    failed = describe_error(error, options.url)
                    if failed is None:
                        raise
            if everything.cancelled_caught:
                failed = "interrupted"
            nursery.cancel_scope.cancel()
    if failed is None:
        return 0
    print_error(failed)
    return 1


async def _cancel_on_signals(
    signals: AsyncIterator[int], scopes: list[trio.CancelScope]
) -> None:
    async for _ in signals:
        if scopes:
            scopes.pop().cancel()


async def _talk(options: argparse.Namespace, scopes: list[trio.CancelScope]) -> None:
    interactive = options.send is None and sys.stdin is not None and sys.stdin.isatty()
    screen = Screen(interactive)
    deflate = chosen_deflate(options)
    url, stream = await _find_server(options.url)
    async with open_websocket(
        url,
        stream=stream,
        subprotocols=options.subprotocol,
        headers=options.header,
        ssl_context=_make_tls(options),
        limits=Limits(message_size=options.max_message_size),
        deflate=deflate,
    ) as ws:
        chosen = f", subprotocol {ws.subprotocol}" if ws.subprotocol else ""
        screen.note(f"connected to {options.url}{chosen}; Ctrl-D closes")
        if options.subprotocol and not ws.subprotocol:
            offered = ", ".join(options.subprotocol)
            screen.note(
                f"subprotocol: not granted by the server: {offered}", always=True
            )
        if deflate is not None:
            screen.note(describe(ws.deflate), always=True)
        talk = Talk(ws, options, screen)
        try:
            with trio.CancelScope() as scope:
                scopes.append(scope)
                await talk.run()
        finally:
            scopes[1:] = []
            screen.clear()
        if talk.waited_in_vain:
            # A server that does not answer may not answer a Close either.
            with trio.move_on_after(_FAREWELL):
                await ws.aclose()
    if talk.waited_in_vain:
        raise CommandFailed(
            f"{talk.received} of {options.expect} messages came, "
            f"then none for {options.wait:g} s"
        )
    if ws.close_code not in (1000, 1001, 1005):
        raise CommandFailed(
            f"connection closed with code {ws.close_code}: "
            f"{ws.close_reason or 'no reason given'}"
        )
    screen.note(f"closed with code {ws.close_code}")


async def _find_server(url: str) -> tuple[str, trio.abc.Stream | None]:
    # The URL for `open_websocket`, and a stream if it cannot open one itself.
    unix = _UNIX.fullmatch(url)
    if unix is None:
        return url, None
    stream = await trio.open_unix_socket(unix["path"])
    return f"ws://localhost{unix['resource'] or '/'}", stream


class Talk:
    """Sends and receives on an open connection until it is to be closed.

    Attributes:
        received: Messages that came, and were shown.
        waited_in_vain: Fewer came than ``--expect`` within ``--wait``.
    """

    def __init__(
        self, ws: WebSocket, options: argparse.Namespace, screen: Screen
    ) -> None:
        self._ws = ws
        self._options = options
        self._screen = screen
        self._sent = 0
        self.received = 0
        self.waited_in_vain = False
        # All of stdin, or of --send, was sent.
        self._input_ended = False
        # Receiving ends at its deadline.
        self._receiving = trio.CancelScope()

    async def run(self) -> None:
        """Send and show messages; return when the connection is to be closed."""
        if self._options.ping:
            seconds = await self._ws.ping()
            self._screen.note(f"round trip {seconds * 1000:.3f} ms", always=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_all)
            with self._receiving:
                await self._receive_all()
            nursery.cancel_scope.cancel()
        expect = self._options.expect
        self.waited_in_vain = expect is not None and self.received < expect

    def _get_deadline(self) -> float:
        # Until when to receive, as far as is known now.
        expect, wait = self._options.expect, self._options.wait
        # A part of stdin may be enough, and a terminal has no end; what the
        # command line gives is all sent first.
        early = self._options.send is None and expect != 0
        if expect is not None and self.received >= expect:
            return -math.inf if self._input_ended or early else math.inf
        if not self._input_ended:
            return math.inf
        if expect is None and self._screen.interactive:
            return -math.inf
        if wait is None:
            wait = math.inf if expect is not None or self._sent == 0 else _WAIT
        return trio.current_time() + float(wait)

    async def _send_all(self) -> None:
        async with aclosing(self._texts()) as texts:
            try:
                async for text in texts:
                    await self._ws.send(text)
                    self._sent += 1
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # `_receive_all` gets the error that says why
        self._input_ended = True
        self._receiving.deadline = self._get_deadline()

    async def _texts(self) -> AsyncGenerator[str, None]:
        if self._options.send is not None:
            for text in self._options.send:
                yield text
            return
        async with aclosing(read_lines()) as lines:
            self._screen.prompt()
            async for line in lines:
                yield line
                self._screen.prompt()

    async def _receive_all(self) -> None:
        expect = self._options.expect
        while True:
            try:
                messages = await self._receive_some()
            except trio.EndOfChannel:
                if expect is not None and self.received < expect:
                    raise CommandFailed(
                        f"connection closed with code {self._ws.close_code} after "
                        f"{self.received} of {expect} messages"
                    ) from None
                return
            if expect is not None:
                messages = messages[: expect - self.received]
            self.received += len(messages)
            if messages:
                await self._screen.show(messages)
            self._receiving.deadline = self._get_deadline()

    async def _receive_some(self) -> list[str | bytes]:
        messages = [await self._ws.receive()]
        # The next `receive` raises it again.
        with suppress(trio.WouldBlock, trio.EndOfChannel, trio.BrokenResourceError):
            while len(messages) < _BATCH:
                messages.append(self._ws.receive_nowait())
        return messages


def _make_tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.insecure:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if options.ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=options.ca)
    except OSError as error:
        why = explain_file(error)
        raise CommandFailed(f"cannot use --ca {options.ca}: {why}") from None
