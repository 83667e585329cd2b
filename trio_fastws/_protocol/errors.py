"""What the protocol raises: a broken connection, a handshake that fails.

Owns the two exceptions of this floor. Does not know trio's; the floors above translate.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """The peer broke the protocol; the connection must be failed.

    Attributes:
        close_code: Code for our Close frame.
        reason: Text for our Close frame.
    """

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(close_code, reason)
        self.close_code = close_code
        self.reason = reason


class HandshakeError(Exception):
    """An opening handshake has failed; of a client, any part of opening a connection.

    Attributes:
        status: HTTP status: to answer with on the server, received on the client; 0 if
            there is none.
        reason: What is wrong, as text for a person.
        headers: Fields of the response: to add on the server, received on the client.
    """

    def __init__(
        self, status: int, reason: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status} {self.reason}" if self.status else self.reason
