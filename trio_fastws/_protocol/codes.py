"""Numbers of the protocol and which of them may be used (RFC 6455 5.2, 7.4)."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

# Bits beside an opcode in the first byte of a frame.
FIN, RSV1 = 0x80, 0x40


class Role(IntEnum):
    """Which side of a connection an endpoint is."""

    CLIENT = 0
    SERVER = 1


class Opcode(IntEnum):
    """What a frame is (RFC 6455 11.8). Control frames have the bit 0x8."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


# The same as plain ints: looking up a member of an enumeration takes longer.
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = map(int, Opcode)


class CloseCode(IntEnum):
    """Why a connection was closed (RFC 6455 7.4.1 and the IANA registry)."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_FRAME_PAYLOAD_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


class CloseFrame(NamedTuple):
    """What a Close frame says (RFC 6455 5.5.1).

    Attributes:
        code: Its close code; 1005 if it has none (RFC 6455 7.1.5).
        reason: Its reason, empty if it has none.
    """

    code: int
    reason: str


def is_clean(code: int | None) -> bool:
    """Return whether a peer that closed with ``code`` had nothing to complain of.

    RFC 6455 7.4.1: 1000 says that its purpose was fulfilled, 1001 that it goes away;
    1005 stands for a Close without a code.
    """
    return code in (1000, 1001, 1005)


def allowed_on_wire(code: int) -> bool:
    """Return whether a Close frame may carry ``code``.

    RFC 6455 7.4.1: 1005, 1006 and 1015 MUST NOT be set in a Close frame, 1004 is
    reserved; 7.4.2: 1000-2999 belong to the protocol, 3000-4999 to users.
    """
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
