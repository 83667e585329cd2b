"""The events of an endpoint, besides whole messages.

A whole message is just its ``str`` or ``bytes``, without an object around it. An
event that has to be answered carries the answer, encoded: what moves the bytes needs
no rule of the protocol.
"""

from __future__ import annotations


class Ping:
    """A Ping (RFC 6455 5.5.2).

    Attributes:
        payload: At most 125 bytes.
        reply: The Pong to write, empty if none may be sent any more.
    """

    __slots__ = ("payload", "reply")

    def __init__(self, payload: bytes, reply: bytes) -> None:
        self.payload: bytes = payload
        self.reply: bytes = reply


class Pong:
    """A Pong (RFC 6455 5.5.3), asked for or not.

    Attributes:
        payload: That of the Ping it answers.
    """

    __slots__ = ("payload",)

    def __init__(self, payload: bytes) -> None:
        self.payload: bytes = payload


class Close:
    """A Close (RFC 6455 5.5.1); nothing comes after it.

    Attributes:
        code: The peer's code, 1005 if it gave none.
        reason: Its reason.
        reply: The Close to write, empty if ours was sent before.
    """

    __slots__ = ("code", "reason", "reply")

    def __init__(self, code: int, reason: str, reply: bytes) -> None:
        self.code: int = code
        self.reason: str = reason
        self.reply: bytes = reply


class Failure:
    """The peer broke the protocol; nothing that comes after it is read.

    Attributes:
        code: The close code that says how.
        reason: What it did, as text for a person.
        reply: The Close to write, empty if ours was sent before.
    """

    __slots__ = ("code", "reason", "reply")

    def __init__(self, code: int, reason: str, reply: bytes) -> None:
        self.code: int = code
        self.reason: str = reason
        self.reply: bytes = reply


class Piece:
    """A part of a message that is received as a stream.

    Attributes:
        data: ``str`` of a text message, else ``bytes``. May be empty.
        final: Whether the message ends here.
    """

    __slots__ = ("data", "final")

    def __init__(self, data: str | bytes, final: bool) -> None:
        self.data: str | bytes = data
        self.final: bool = final


class Working:
    """No event, but a pause: a step of a large message was inflated.

    The owner can serve others before it asks for the next step.
    """

    __slots__ = ()


WORKING = Working()

Event = str | bytes | Ping | Pong | Close | Failure | Piece | Working
