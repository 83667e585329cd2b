# cython: annotation_typing=False
"""The server's side of an opening handshake, until a WebSocket comes out of it.

Owns a connection from ``accept`` to the 101, or to an HTTP answer, which is
`_answering`'s. Knows when things happen; what a good request is stands in the
protocol floor. A connection is in one of two states: its head is not complete; or
its head is, but `on_request` has not decided. Bytes that come meanwhile are kept up
to one read, then reading pauses.

Nothing here waits; the task of an `on_request` that does is in `_deciding`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

import trio

from trio_fastws._connection.naming import get_path
from trio_fastws._layout import HEADROOM
from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.handshake.accepting import PartialHead
from trio_fastws._protocol.handshake.request import Request, parse_request
from trio_fastws._protocol.handshake.response import Response, encode_response, refuse
from trio_fastws._protocol.handshake.server import (
    UPGRADE_REQUIRED,
    build_accept,
    check_origin,
    check_upgrade,
    choose_subprotocol,
    is_upgrade,
)
from trio_fastws._transport.contract import Owner
from trio_fastws._transport.epoll import EpollDispatcher, SocketLink
from trio_fastws._transport.failing import contain
from trio_fastws._transport.logs import log

from .answering import Answer
from .decision import wait_for_decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_fastws._protocol.deflate.agreement import Agreement

    from .admission import Admission

Result = TypeVar("Result")


class Opening(Owner):
    """One handshake in progress."""

    __slots__ = (
        "_admission",
        "_early",
        "_head",
        "_request",
        "closed",
        "deadline",
        "scope",
    )

    def __init__(self, admission: Admission, now: float) -> None:
        self._init_owner()
        self._admission = admission
        self.deadline: float = now + admission.seconds
        self.closed: bool = False
        # What came of a head that is not complete.
        self._head: PartialHead | None = None
        # What came behind a head before it was decided.
        self._early = b""
        self._request: Request | None = None
        # The scope of the task that decides, or starts TLS, while there is one.
        self.scope: trio.CancelScope | None = None
        admission.enter(self)

    # --- the head -----------------------------------------------------------

    def _on_data(self, start: int, stop: int) -> None:
        """See `Owner._on_data`."""
        link = self._link
        assert link is not None
        data = link.dispatcher.buffer
        if self._request is not None:
            # Undecided: one read is kept; reading pauses with it.
            self._early += bytes(data[start:stop])
            link.want(False, False)
            return
        if self._head is None:
            end = data.find(b"\r\n\r\n", start, stop)
            if end > start:
                self._on_head(bytes(data[start : end + 4]), end + 4, stop)
                return
            admission = self._admission
            self._head = PartialHead(admission.request_fields, admission.request_head)
        try:
            end = self._head.feed(bytes(data[start:stop]))
        except HandshakeError as error:
            self._refuse(error)
            return
        if end >= 0:
            self._on_head(self._head.take(), start + end, stop)

    def _on_head(self, head: bytes, start: int, stop: int) -> None:
        # What follows the head lies in the turn's buffer from start to stop.
        self._head = None
        admission = self._admission
        try:
            request = parse_request(
                head, admission.request_fields, admission.request_head, True
            )
            self._request = request
            admission.check_open()
            if is_upgrade(request):
                check_upgrade(request)
                if admission.origins is not None:
                    check_origin(request, admission.origins)
                admission.check_admission()
        except HandshakeError as error:
            self._refuse(error)
            return
        if admission.on_request is None:
            self._decide(request, None, start, stop)
            return
        self._ask(request, start, stop)

    def _ask(self, request: Request, start: int, stop: int) -> None:
        on_request = self._admission.on_request
        assert on_request is not None
        try:
            answer = self._call(on_request, request)
        except Exception as error:  # noqa: BLE001 - isolation: logged, 500
            self.on_failed(error)
            return
        if isinstance(answer, Awaitable):
            link = self._link
            assert link is not None
            self._early = bytes(link.dispatcher.buffer[start:stop])
            if self._early:
                link.want(False, False)
            self._admission.ask(self)
            self.scope = trio.CancelScope(deadline=self.deadline)
            spawn = self._admission.spawn
            self._call(spawn, wait_for_decision, self, answer, self.scope)
        else:
            self._decide(request, answer, start, stop)

    def _call(self, function: Callable[..., Result], *args: object) -> Result:
        # A function of the user's, in this connection's own context.
        link = self._link
        assert link is not None
        contexts = link.dispatcher.contexts
        contexts.enter(self, self._context)
        try:
            return function(*args)
        finally:
            self._context = contexts.leave(self._context)

    def on_decided(self, response: Response | None) -> None:
        """Go on with what an `on_request` that waited has answered, in its task."""
        link, request = self._link, self._request
        if link is None or request is None:
            return
        self._context = link.dispatcher.contexts.capture()
        # Between two turns, the turn's buffer is free.
        link.dispatcher.begin()
        stop = HEADROOM + len(self._early)
        link.dispatcher.buffer[HEADROOM:stop] = self._early
        link.want(True, False)
        try:
            self._decide(request, response, HEADROOM, stop)
        except Exception as error:  # noqa: BLE001 - isolation, as in a turn
            contain(link.dispatcher, link.owner, error)

    def on_failed(self, error: Exception) -> None:
        """Log what the user's own code has raised, and answer with 500."""
        message = "exception in on_request or subprotocols"
        log(logging.ERROR, self, message, exc_info=error)
        self._refuse(HandshakeError(500, "the server failed to decide"))

    # --- the decision -------------------------------------------------------

    def _decide(
        self, request: Request, answer: Response | None, start: int, stop: int
    ) -> None:
        if self._link is None:  # the peer has gone meanwhile
            return
        try:
            if answer is not None:
                self._answer(answer)
                return
            subprotocol, agreement, accept = self._accept(request)
        except HandshakeError as error:
            self._refuse(error)
            return
        except Exception as error:  # noqa: BLE001 - isolation: logged, 500
            # From what on_request gave, or from subprotocols: a user's mistake.
            self.on_failed(error)
            return
        admission, link = self._admission, self._link
        self._leave()
        admission.welcome(link, request, subprotocol, agreement, accept, start, stop)

    def _accept(self, request: Request) -> tuple[str | None, Agreement | None, bytes]:
        # What was agreed upon, and the 101 that says so.
        admission = self._admission
        if not is_upgrade(request):
            # None from on_request accepts the request: an upgrade would do here.
            there = b"upgrade" in request.fields.index
            wrong = "is not 'websocket'" if there else "is missing"
            reason = f"Upgrade header {wrong}; {request.path} is for WebSockets"
            raise HandshakeError(426, reason, UPGRADE_REQUIRED)
        admission.check_admission()
        choose = admission.subprotocols
        if callable(choose):
            subprotocol = self._call(choose, request, request.subprotocols)
        else:
            subprotocol = choose_subprotocol(request, choose)
        extensions = agreement = None
        if admission.negotiator is not None:
            extensions, agreement = admission.negotiator.accept(request)
        return subprotocol, agreement, build_accept(request, subprotocol, extensions)

    def _refuse(self, error: HandshakeError) -> None:
        message = "handshake refused: %d %s"
        log(logging.DEBUG, self, message, error.status, error.reason)
        self._answer(refuse(error))

    def refuse_for_shutdown(self) -> None:
        """Answer with 503 what is in progress, and end it."""
        if self._link is None:
            # TLS is still being set up: no word could be read.
            self.close()
        else:
            if self.scope is not None:
                self.scope.cancel()
            self._refuse(HandshakeError(503, "the server is shutting down"))

    def _answer(self, response: object) -> None:
        link = self._link
        if link is None:
            return
        request = self._request
        head_only = request is not None and request.method == "HEAD"
        if not isinstance(response, Response):
            raise TypeError(f"on_request gave {response!r}, not a Response or None")
        data = encode_response(response, head_only=head_only)
        self._leave()
        Answer(self._admission, link, data)

    # --- the end ------------------------------------------------------------

    def _on_eof(self, error: OSError | None) -> None:
        """See `Owner._on_eof`."""
        request = self._request
        if error is None and request is not None and not is_upgrade(request):
            # TCP's FIN behind a plain request says that no other follows it; who
            # waits for a page still reads.
            return
        self._lose(error)

    def _lose(self, error: OSError | None) -> None:
        message = "connection ended in its opening handshake: %s"
        log(logging.DEBUG, self, message, error or "EOF")
        self.close()

    def _on_hangup(self) -> None:
        """See `Owner._on_hangup`."""
        self._lose(None)

    def _on_deadline(self, now: float) -> float:
        """Give a peer up that takes too long."""
        if now < self.deadline:
            return self.deadline
        seconds = self._admission.seconds
        text = "no complete handshake within %g s (Timeouts.handshake)"
        log(logging.DEBUG, self, text, seconds)
        self.close()
        return math.inf

    def _describe(self) -> dict[str, object]:
        """See `Owner._describe`."""
        # Not `super`: compiled, that would find this very method.
        known = Owner._describe(self)
        known["path"] = get_path(self._request)
        return known

    def hurry(self) -> None:
        """Take what has come already: another needs the room."""
        if self._link is not None and self._request is None:
            self._link.read_now()

    def close(self) -> None:
        """Let go of the connection."""
        self.closed = True
        self._leave()
        if self.scope is not None:
            self.scope.cancel()
        if self._link is not None:
            self._link.close()

    def _leave(self) -> None:
        link = self._link
        if link is not None:
            link.dispatcher.wheel.cancel(self)
        self._admission.leave(self)


def open_socket(admission: Admission, fd: int) -> None:
    """Begin the handshake of a connection that was accepted in the dispatcher.

    Args:
        admission: Whose dispatcher it is.
        fd: Its descriptor, non-blocking; closed with the connection, or at once if
            it cannot be watched.
    """
    dispatcher = admission.shared.dispatcher
    assert isinstance(dispatcher, EpollDispatcher)
    opening = Opening(admission, dispatcher.now)
    try:
        SocketLink(dispatcher, opening, fd)
    except OSError as error:
        # This one connection is refused, the others live.
        # The descriptor is closed, and nobody knows the peer any more.
        log(logging.ERROR, None, "cannot watch a connection: %s", error.strerror)
        opening.close()
        return
    dispatcher.schedule(opening, opening.deadline)
