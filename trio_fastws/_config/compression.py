"""What a server or a client says about compression in its handshakes.

Turns `PerMessageDeflate` into offers and answers, and what was agreed into what
connections share. The rules are on the protocol floor.
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

from .options import find_library

if TYPE_CHECKING:
    from trio_fastws._protocol.handshake.request import Request

    from .options import PerMessageDeflate

# 4 KiB: most of what 15 bits save, for an eighth of the memory.
DEFAULT_BITS = 12

# An agreement holds a compressor that is used again, 256 KiB at most, and its
# parameters are the peer's choice, out of some 220. Nobody needs so many: a
# further one replaces the one asked for least recently. Its connections keep it.
MOST_AGREEMENTS = 32
# Each is at most as long as the head of a request.
MOST_OFFERS = 32


class _Shared(NamedTuple):
    # Of all servers and clients of a run, and of connections that are dialled, or
    # taken over, one by one. They belong to one thread, as a run does.
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
        # What was answered to offers before: peers of a kind all make the same.
        self._accepted: dict[bytes, tuple[str, DeflateParameters] | None] = {}
        try:
            shared = _shared.get()
        except LookupError:
            shared = _Shared({}, {})
            _shared.set(shared)
        self._agreements = shared.agreements
        self._pools = shared.pools
        # Many servers, most of those in Go, cannot limit their window: a client
        # that asks for it without need would refuse them.
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
        offers = request.fields.joined(b"sec-websocket-extensions")
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
        # To the end: the first is the one asked for least recently.
        agreements[key] = agreement
        return agreement
