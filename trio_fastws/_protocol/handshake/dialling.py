"""The client's side of an opening handshake, without I/O (RFC 6455 4.1).

Bytes in; a 101, or a refusal with its body, out. Owns the order in which a server's
answer is read: preludes, one head, then frames or the body of a refusal. Refuses to
know sockets and clocks: it says when only a body is missing, and whoever has a clock
decides how long that may take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trio_fastws._protocol.deflate.negotiation import (
    DeflateParameters,
    build_offer,
    check_answer,
)
from trio_fastws._protocol.errors import HandshakeError

from .accept_key import generate_key
from .banner import describe_banner, may_be_response, show
from .body import BodyReader
from .client import build_request, check_accept
from .http_head import MAX_FIELDS, MAX_HEAD, SyntaxCheck, find_head_end
from .refusal import explain_refusal
from .response import Response, make_received, parse_response, salvage_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .headers import HeaderSource
    from .url import URL


class Accepted(NamedTuple):
    """The server has accepted.

    Attributes:
        response: Its 101.
        subprotocol: The one it chose, or None.
        deflate: What was agreed on for compression, or None.
        rest: How many bytes of the last ones that were received are frames already.
    """

    response: Response
    subprotocol: str | None
    deflate: DeflateParameters | None
    rest: int


class Refused(NamedTuple):
    """The server has not accepted.

    Attributes:
        message: Why, in one line for a person.
        response: What it answered, as far as it came; None if that was not HTTP.
    """

    message: str
    response: Response | None


class ClientHandshake:
    """One opening handshake of a client.

    Attributes:
        request: To be sent first.
    """

    __slots__ = (
        "_body",
        "_checked",
        "_data",
        "_deflate",
        "_foreign",
        "_key",
        "_max_fields",
        "_max_head",
        "_preludes",
        "_response",
        "_secure",
        "_subprotocols",
        "_syntax",
        "request",
    )

    def __init__(
        self,
        url: URL,
        *,
        origin: str | None = None,
        subprotocols: Sequence[str] = (),
        headers: HeaderSource = (),
        user_agent: str | None = None,
        deflate: DeflateParameters | None = None,
        max_head: int = MAX_HEAD,
        max_fields: int = MAX_FIELDS,
    ) -> None:
        """Write the request.

        Args:
            url: What to ask for.
            origin: As for `build_request`.
            subprotocols: As for `build_request`.
            headers: As for `build_request`.
            user_agent: As for `build_request`.
            deflate: What is wished for of compression; None to offer none.
            max_head: Largest size of the answer's head in bytes, preludes included.
            max_fields: Largest number of its fields.

        Raises:
            ValueError: See `build_request`.
        """
        self._key = generate_key()
        self._subprotocols = subprotocols
        self._deflate = deflate
        self._secure = url.secure
        self._max_head = max_head
        self._max_fields = max_fields
        # What came of the head that is not complete.
        self._data = bytearray()
        # Bytes of 1xx heads: they share the limit of the one that counts.
        self._preludes = 0
        # What llhttp says to an incomplete head, and how much of it has seen.
        self._syntax = SyntaxCheck("response")
        self._checked = 0
        # Whether what comes is another protocol's.
        self._foreign = False
        # A refusal whose body is still coming.
        self._response: Response | None = None
        self._body: BodyReader | None = None
        self.request: bytes = build_request(
            url.host_header,
            url.resource,
            self._key,
            origin=origin,
            subprotocols=subprotocols,
            extensions=None if deflate is None else build_offer(deflate),
            headers=headers,
            user_agent=user_agent,
        )

    @property
    def decided(self) -> bool:
        """Whether it is known that the server refuses.

        Then only what a person may read of that is missing, and `give_up` makes do
        with what there is.
        """
        return self._body is not None or self._foreign

    def receive(self, data: bytes) -> Accepted | Refused | None:
        """Take what came; returns the outcome, or None if that needs more.

        Not to be called after an outcome.
        """
        if self._body is not None:
            self._body.feed(data)
            return self._get_refusal() if self._body.complete else None
        searched = max(0, len(self._data) - 3)
        self._data += data
        while not self._foreign and may_be_response(self._data):
            end = find_head_end(self._data, searched)
            try:
                if end < 0:
                    self._check_part()
                    return None
                outcome = self._read_head(end)
            except HandshakeError as error:
                return self._refuse(error.reason)
            if outcome is not None or self._body is not None:
                return outcome
            searched = 0
        self._foreign = True
        return self._describe(False)

    def receive_end(self, cause: str = "") -> Refused:
        """Return the refusal when nothing more comes; ``cause`` is why, if known."""
        refusal = self.give_up()
        if refusal is not None and self.decided:
            return refusal
        cause = f": {cause}" if cause else ""
        if not self._data:
            # As TLS servers do with what is no TLS.
            hint = "" if self._secure or self._preludes else "; is it a wss:// port?"
            message = f"server closed the connection without an answer{cause}{hint}"
            return Refused(message, None)
        return self._refuse(f"it closed the connection in the middle of that{cause}")

    def give_up(self) -> Refused | None:
        """Return the refusal as far as it came; None if nothing is known of any."""
        if self._body is not None:
            return self._get_refusal()
        if self._foreign:
            return self._describe(True)
        response = salvage_response(bytes(self._data), self._max_fields)
        if response is None or response.status < 200:
            return None
        return self._refuse("the head of that answer had no end in time")

    # --- reading ------------------------------------------------------------

    def _check_part(self) -> None:
        """Refuse the beginning of a head that cannot become one."""
        if self._preludes + len(self._data) > self._max_head:
            limit = self._max_head
            reason = f"its head is over the limit of {limit} (Limits.request_head)"
            raise HandshakeError(431, reason)
        piece = bytes(memoryview(self._data)[self._checked :])
        self._checked = len(self._data)
        if piece:
            self._syntax.feed(piece)

    def _read_head(self, end: int) -> Accepted | Refused | None:
        """Read one head; None if it is a prelude, or a body follows."""
        head = bytes(memoryview(self._data)[:end])
        response = parse_response(head, self._max_fields, self._max_head)
        if response.status == 101:
            return self._judge(response, len(self._data) - end)
        if response.status < 200:
            # RFC 9110 15.2: a client MUST be able to parse one or more of these
            del self._data[:end]
            self._preludes += end
            if self._preludes > self._max_head:
                return Refused("server's 1xx answers have no end", None)
            self._syntax, self._checked = SyntaxCheck("response"), 0
            return None
        self._response = response
        self._body = BodyReader(head)
        self._body.feed(bytes(memoryview(self._data)[end:]))
        self._data.clear()
        return self._get_refusal() if self._body.complete else None

    def _judge(self, response: Response, rest: int) -> Accepted | Refused:
        offer = None if self._deflate is None else build_offer(self._deflate)
        agreed = None
        try:
            subprotocol = check_accept(response, self._key, self._subprotocols, offer)
            if self._deflate is not None:
                values = response.headers.get_all("Sec-WebSocket-Extensions")
                agreed = check_answer(",".join(values), self._deflate)
        except HandshakeError as error:
            return Refused(error.reason, response)
        return Accepted(response, subprotocol, agreed, rest)

    # --- refusing -----------------------------------------------------------

    def _get_refusal(self) -> Refused:
        response, body = self._response, self._body
        assert response is not None
        assert body is not None
        response = make_received(
            response.status, response.headers, body.body, response.reason
        )
        return Refused(explain_refusal(response), response)

    def _refuse(self, flaw: str) -> Refused:
        """Return the refusal of a head that is not whole, or no good."""
        response = salvage_response(bytes(self._data), self._max_fields)
        if response is None:
            return Refused(f"server sent {show(bytes(self._data))}; {flaw}", None)
        return Refused(explain_refusal(response, flaw), response)

    def _describe(self, ended: bool) -> Refused | None:
        message = describe_banner(bytes(self._data), self._secure, ended)
        return None if message is None else Refused(message, None)
