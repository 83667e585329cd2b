"""Counters, as frozen values, as trio's own `statistics` methods return them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .sending import Sender


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counters of one connection. Sizes in bytes, without frame headers.

    Attributes:
        messages_received: Data messages that came, received by us or not.
        bytes_received: Their payloads, inflated if they came compressed.
        encoded_received: Their payloads on the wire, as they came.
        messages_sent: Data messages that were encoded.
        bytes_sent: Their payloads, before compression.
        encoded_sent: Their payloads on the wire.
        dropped: Messages that the policy for slow peers has dropped, or that hooks
            of others have sent when it was closing or gone.
        receive_queue: Unread messages, in bytes with overhead; text as it lies in
            memory, with up to four bytes for each of its characters.
        send_queue: What waits to be written, in bytes with overhead.
        latency: Round trip of the last keepalive ping in seconds, NaN before.
    """

    messages_received: int
    bytes_received: int
    encoded_received: int
    messages_sent: int
    bytes_sent: int
    encoded_sent: int
    dropped: int
    receive_queue: int
    send_queue: int
    latency: float


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """Counters of a server.

    Attributes:
        connections: Open WebSockets.
        handshakes: Opening handshakes in progress, and answers being written.
        accepted: WebSockets opened since the start.
        handshakes_dropped: Handshakes, and answered requests, that made room for
            others; see `Limits.pending_handshakes`.
        bytes_held: What is held for all peers: unfinished messages, unread ones, and
            what waits to be written; see `Limits.total`.
        paused_for_total: Connections that are not read from now because that is much
            and they hold more than their share.
        closed_for_total: Connections closed for it since the start, with code 1013.
        refused: Openings that became no WebSocket since the start, by reason: status
            and words of an answer of 400 or more, ``"403 Origin is not allowed"``,
            ``"401 Unauthorized"``, a client's own numbers as N; or without an answer
            ``"timeout"``, ``"connection lost"`` (port scans too), ``"TLS handshake
            failed"``, ``"room for another"``. At most 128 reasons of at most 100
            characters; what is more counts as ``"others"``.
        closed: WebSockets that ended since the start, by `WebSocket.close_code`. When
            64 codes are there, further ones from 3000 on count as 0.
    """

    connections: int
    handshakes: int
    accepted: int
    handshakes_dropped: int = 0
    bytes_held: int = 0
    paused_for_total: int = 0
    closed_for_total: int = 0
    refused: Mapping[str, int] = field(default_factory=dict[str, int], hash=False)
    closed: Mapping[int, int] = field(default_factory=dict[int, int], hash=False)


def count(ws: Sender) -> Statistics:
    """Return the counters of a connection."""
    endpoint, inbox, outbox = ws._endpoint, ws._inbox, ws._outbox
    context = endpoint.deflate
    saved_received = 0 if context is None else context.saved_received
    saved_sent = 0 if context is None else context.saved_sent
    return Statistics(
        messages_received=endpoint.messages_received,
        bytes_received=endpoint.bytes_received,
        encoded_received=endpoint.bytes_received - saved_received,
        messages_sent=endpoint.messages_sent,
        bytes_sent=endpoint.bytes_sent,
        encoded_sent=endpoint.bytes_sent - saved_sent,
        dropped=ws._dropped,
        receive_queue=0 if inbox is None else inbox.size,
        send_queue=0 if outbox is None else outbox.size(),
        latency=ws._latency,
    )
