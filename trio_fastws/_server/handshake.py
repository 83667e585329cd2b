# cython: annotation_typing=False
"""A connection of a server from ``accept`` to its WebSocket, or to an HTTP answer.

Owns when things happen: the deadline, who is asked for a decision, what is written.
What a good request is, and what to say to it, is the machine's business
(`ServerHandshake`); an answer on its way is `answering`'s. A connection is in one of
two states: its head is not complete; or its head is, but `on_request` has not decided.
Bytes that come meanwhile are kept up to one read, then reading pauses.

Nothing here waits; the task of an `on_request` that does is in `decision`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from trio_fastws._connection.naming import get_path
from trio_fastws._connection.opening import Agreed, open_connection
from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.handshake.accepting import ServerHandshake
from trio_fastws._protocol.handshake.response import Response
from trio_fastws._protocol.handshake.server import choose_subprotocol
from trio_fastws._transport.contract import Owner
from trio_fastws._transport.epoll import EpollDispatcher, SocketLink
from trio_fastws._transport.failing import contain
from trio_fastws._transport.lifetimes import cancel
from trio_fastws._transport.logs import log

from .answering import Answer
from .decision import wait_for_decision
from .on_request import accepts
from .refusals import LOST, NOT_WATCHED, SHUTTING_DOWN, TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_fastws._protocol.handshake.headers import HeaderSource

    from .admission import Admission

Result = TypeVar("Result")


class PendingHandshake(Owner):
    """One handshake in progress."""

    __slots__ = ("_admission", "_handshake", "deadline", "over", "scope", "tls")

    def __init__(self, admission: Admission, now: float) -> None:
        self._init_owner()
        self._admission = admission
        self._handshake = ServerHandshake(
            admission.request_head, admission.request_fields, admission.origins
        )
        self.deadline: float = now + admission.seconds
        # Whether it has an outcome: a connection, an answer, or none.
        self.over: bool = False
        # The scope of the task that decides, or starts TLS, while there is one.
        self.scope: trio.CancelScope | None = None
        # The stream, if it is one of TLS.
        self.tls: Any = None
        admission.enter(self)

    # --- the request --------------------------------------------------------

    def _on_data(self, start: int, stop: int) -> None:
        """See `Owner._on_data`."""
        link, admission, handshake = self._link, self._admission, self._handshake
        assert link is not None
        try:
            complete = handshake.receive(link.dispatcher.buffer, start, stop)
            if complete and admission.on_request is not None:
                # Before anybody is asked.
                admission.check(handshake.upgrade)
        except HandshakeError as error:
            self._refuse(error)
            return
        if complete and admission.on_request is None:
            self._decide(None, True)
        elif complete:
            self._ask()
        elif handshake.early:
            # Undecided: one read is kept.
            link.want(False, False)

    def _ask(self) -> None:
        handshake, on_request = self._handshake, self._admission.on_request
        request = handshake.request
        assert on_request is not None
        assert request is not None
        # Ours to tell, users' to ask.
        request._peer, request._tls = self._link, self.tls  # noqa: SLF001 - see above
        try:
            answer = self._call(on_request, request)
        except Exception as error:  # noqa: BLE001 - isolation: logged, 500
            self.on_failed(error)
            return
        if not isinstance(answer, Awaitable):
            self._decide(answer, False)
            return
        link = self._link
        assert link is not None
        if handshake.early:
            link.want(False, False)
        self._admission.ask(self)
        self.scope = trio.CancelScope(deadline=self.deadline)
        self._call(self._admission.spawn, wait_for_decision, self, answer, self.scope)

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

    def on_decided(self, answer: object) -> None:
        """Go on with what an `on_request` that waited has answered, in its task."""
        link = self._link
        if link is None:  # the peer has gone meanwhile
            return
        self._context = link.dispatcher.contexts.capture()
        # Between two turns, the dispatcher's buffer is free.
        link.dispatcher.begin()
        link.want(True, False)
        try:
            self._decide(answer, True)
        except Exception as error:  # noqa: BLE001 - isolation, as in a turn
            contain(link.dispatcher, link.owner, error)

    def on_failed(self, error: Exception) -> None:
        """Log what the user's own code has raised, and answer with 500."""
        message = "exception in on_request"
        log(logging.ERROR, self, message, exc_info=error)
        self._refuse(HandshakeError(500, "the server failed to decide"))

    # --- the decision -------------------------------------------------------

    def _decide(self, answer: object, check: bool) -> None:
        # With `check`, whether there is room was not asked in this turn.
        admission, link, handshake = self._admission, self._link, self._handshake
        request = handshake.request
        if link is None or request is None:  # the peer has gone meanwhile
            return
        self._leave()
        try:
            subprotocol: str | None = None
            headers: HeaderSource = ()
            session: object = None
            shared, negotiator = admission.shared, admission.negotiator
            if answer is not None and accepts(answer):
                subprotocol, session = answer.subprotocol, answer.session
                headers = answer.headers
                shared = admission.variants.find(answer)
                if not answer.deflate:
                    negotiator = None
            elif answer is not None:
                response = _check_response(answer)
                data = handshake.answer(response)
                if response.status >= 400:
                    admission.refused.add_answer(response.status, response.reason)
                self._answer(data)
                return
            if check:
                admission.check(handshake.upgrade)
            if not handshake.upgrade:
                raise handshake.require_upgrade()  # noqa: TRY301 - as one of `check`
            if subprotocol is None and admission.subprotocols:
                subprotocol = choose_subprotocol(request, admission.subprotocols)
            extensions = agreement = None
            if negotiator is not None:
                extensions, agreement = negotiator.accept(request)
            head = handshake.accept(subprotocol, extensions, headers)
        except HandshakeError as error:
            self._refuse(error)
            return
        except Exception as error:  # noqa: BLE001 - isolation: logged, 500
            # From what on_request gave: a user's mistake.
            self.on_failed(error)
            return
        admission.accepted += 1
        agreed = Agreed(request, subprotocol, agreement, head, None, session)
        open_connection(shared, link, agreed, handshake.early)

    def _refuse(self, error: HandshakeError) -> None:
        message = "handshake refused: %d %s"
        log(logging.DEBUG, self, message, error.status, error.reason)
        if self._link is not None:  # else the peer has gone meanwhile
            self._admission.refused.add_answer(error.status, error.reason)
            self._answer(self._handshake.refuse(error))

    def refuse_for_shutdown(self) -> None:
        """Answer with 503 what is in progress, and end it."""
        if self._link is None:
            # TLS is still being set up: no word could be read.
            self.close(SHUTTING_DOWN)
        else:
            if self.scope is not None:
                cancel(self.scope, SHUTTING_DOWN)
            self._refuse(HandshakeError(503, SHUTTING_DOWN))

    def _answer(self, data: bytes) -> None:
        link = self._link
        if link is not None:
            self._leave()
            Answer(self._admission, link, data)

    # --- the end ------------------------------------------------------------

    def _on_eof(self, error: OSError | None) -> None:
        """See `Owner._on_eof`."""
        if error is not None or self._handshake.receive_end():
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
        self.close(TIMEOUT)
        return math.inf

    def _describe(self) -> dict[str, object]:
        """See `Owner._describe`."""
        # Not `super`: compiled, that would find this very method.
        known = Owner._describe(self)
        known["path"] = get_path(self._handshake.request)
        return known

    def hurry(self) -> None:
        """Take what has come already: another needs the room."""
        if self._link is not None and self._handshake.request is None:
            self._link.read_now()

    def close(self, why: str = LOST) -> None:
        """Let go of the connection; counted as refused unless it has an outcome."""
        if not self.over:
            self._admission.refused.add(why)
        self._leave()
        if self.scope is not None:
            cancel(self.scope, f"the opening handshake has failed: {why}")
        if self._link is not None:
            self._link.close()

    def _leave(self) -> None:
        self.over = True
        link = self._link
        if link is not None:
            link.dispatcher.wheel.cancel(self)
        self._admission.leave(self)


def _check_response(answer: object) -> Response:
    if not isinstance(answer, Response):
        raise TypeError(
            f"on_request gave {answer!r}, not a Response, an Accept or None"
        )
    return answer


def open_socket(admission: Admission, fd: int) -> None:
    """Begin the handshake of a connection that was accepted in the dispatcher.

    Args:
        admission: Whose dispatcher it is.
        fd: Its descriptor, non-blocking; closed with the connection, or at once if
            it cannot be watched.
    """
    dispatcher = admission.shared.dispatcher
    assert isinstance(dispatcher, EpollDispatcher)
    handshake = PendingHandshake(admission, dispatcher.now)
    try:
        SocketLink(dispatcher, handshake, fd)
    except OSError as error:
        # This one connection is refused, the others live.
        # The descriptor is closed: the peer's address cannot be asked for any more.
        log(logging.ERROR, None, "cannot watch a connection: %s", error.strerror)
        handshake.close(NOT_WATCHED)
        return
    dispatcher.schedule(handshake, handshake.deadline)
