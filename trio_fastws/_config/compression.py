"""Negotiation of compression for the handshakes of one server or one client.

Turns `PerMessageDeflate` into offers and answers, and what was agreed into an
`Agreement` that connections share. The rules are RFC 7692's: see
`_protocol/deflate/negotiation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.deflate.agreement import Agreement
from trio_fastws._protocol.deflate.negotiation import (
    MAX_BITS,
    DeflateParameters,
    accept_offer,
)

from .libraries import find_library

if TYPE_CHECKING:
    from trio_fastws._protocol.handshake.request import Request

    from .options import PerMessageDeflate

# 4 KiB: most of what 15 bits save, for an eighth of the memory.
DEFAULT_BITS = 12

# A least recently used cache. An agreement holds a compressor that is used again,
# 256 KiB at most, and peers choose among some 220 sets of parameters; real ones use a
# few. What leaves the cache lives on with its connections.
MOST_AGREEMENTS = 32
# Answers that are kept; an offer is at most as long as the head of a request.
MOST_OFFERS = 32


class _Shared(NamedTuple):
    # For all servers and clients of a trio run, also those of one connection. They
    # belong to one thread, as a run does.
    agreements: dict[tuple[Role, PerMessageDeflate, DeflateParameters], Agreement]
    pools: dict[object, list[Any]]


_shared: trio.lowlevel.RunVar[_Shared] = trio.lowlevel.RunVar("_shared")


class Negotiator:
    """Agrees on compression for the connections of one server or one client.

    Belongs to the trio run in which it was made.
    """

    __slots__ = (
        "_accepted",
        "_agreements",
        "_module",
        "_options",
        "_pools",
        "_role",
        "wanted",
    )

    def __init__(self, role: Role, options: PerMessageDeflate) -> None:
        self._role = role
        self._options = options
        self._module: Any = find_library(options.library)
        # Answers to earlier offers: browsers of a kind all offer the same.
        self._accepted: dict[bytes, tuple[str, DeflateParameters] | None] = {}
        try:
            shared = _shared.get()
        except LookupError:
            shared = _Shared({}, {})
            _shared.set(shared)
        self._agreements = shared.agreements
        self._pools = shared.pools
        # Many servers, most of those in Go, cannot limit their window, and a client
        # that asks for it has to refuse them: it asks only if the options say so.
        default_bits = DEFAULT_BITS if role == Role.SERVER else MAX_BITS
        self.wanted: DeflateParameters = DeflateParameters(
            not options.server_context_takeover,
            not options.client_context_takeover,
            options.server_window_bits or default_bits,
            options.client_window_bits or DEFAULT_BITS,
        )

    def accept(self, request: Request) -> tuple[str | None, Agreement | None]:
        """Answer the offers of a request that passed `check_upgrade`.

        Returns:
            The value of Sec-WebSocket-Extensions and what is agreed by it; None
            and None if there was no offer that is acceptable.
        """
        offers = request._fields.index.get(b"sec-websocket-extensions")
        if offers is None:
            return None, None
        if offers not in self._accepted:
            if len(self._accepted) == MOST_OFFERS:
                self._accepted.clear()
            text = offers.decode("latin-1")
            self._accepted[offers] = accept_offer(text, self.wanted)
        accepted = self._accepted[offers]
        if accepted is None:
            return None, None
        answer, parameters = accepted
        return answer, self.agree(parameters)

    def agree(self, parameters: DeflateParameters) -> Agreement:
        """Return what connections with these parameters share."""
        agreements, options = self._agreements, self._options
        key = self._role, options, parameters
        agreement = agreements.pop(key, None)
        if agreement is None:
            agreement = Agreement(
                self._role,
                parameters,
                self._module,
                level=options.level,
                memory_level=options.memory_level,
                persistent=options.context == "persistent",
                pools=self._pools,
            )
            if len(agreements) == MOST_AGREEMENTS:
                del agreements[next(iter(agreements))]
        # Last: the first is the least recently used.
        agreements[key] = agreement
        return agreement
