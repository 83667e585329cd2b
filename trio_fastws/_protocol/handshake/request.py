# cython: annotation_typing=False
"""Requests: what a client asked for, and which heads are no request for us.

Owns the rules for the request line, the target and the fields that every request
obeys, in HTTP/1.1 and 1.0. Refuses to know what makes a request an upgrade; that is
the handshake's business.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

from httptools import HttpParserError

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.tokens import is_token, split_list

from .headers import Headers, HeaderSource, check_field
from .http_head import (
    BARE_LF,
    MAX_FIELDS,
    MAX_HEAD,
    Fields,
    check_head,
    explain_malformed,
    parse_request_fields,
)

# RFC 9110 7.2: Host = uri-host [ ":" port ], with uri-host from RFC 3986 3.2.2
_HOST_PATTERN = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+)(?::[0-9]{0,5})?"
_HOST = re.compile(_HOST_PATTERN.encode())

# RFC 9112 3.2.1 and 3.2.2: origin-form, or absolute-form with an authority. Visible
# ASCII only, and no fragment: RFC 9112 3.2 has no place for one in a target.
_TARGET = re.compile(
    rf"(?:(?:https?|wss?)://({_HOST_PATTERN})|(?=/))"
    r"((?:/[!-\"$->@-~]*)?)(?:\?([!-\"$-~]*))?",
    re.IGNORECASE | re.ASCII,
)

# What is answered. OPTIONS is how HAProxy looks whether a server lives.
_METHODS = (b"GET", b"HEAD", b"OPTIONS")

# RFC 9110 9.1 and RFC 5789: methods that a server knows, if only to refuse them
_KNOWN_METHODS = frozenset({b"CONNECT", b"DELETE", b"PATCH", b"POST", b"PUT", b"TRACE"})

# What a line may begin with that gets an answer of its own: the preface of HTTP/2 and
# the PROXY protocol as well.
FIRST_WORDS = _KNOWN_METHODS | {*_METHODS, b"PRI", b"PROXY"}

PROXY_LINE = (
    "this is the PROXY protocol, not an HTTP request; have the proxy not send it, "
    "or unwrap it in a listener"
)

_ALLOW = (("Allow", "GET, HEAD, OPTIONS"),)

# RFC 9112 3.2 and 6.3: of two of them, two readers may each believe another one
_SINGLE = (b"host", b"content-length")

# RFC 9112 2.3: a request of 1.0 is answered as one of 1.1 is, where that means the same
_VERSIONS = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}


class Peer(Protocol):
    """Who has sent a request: looked up when somebody asks."""

    def peer_address(self) -> Any:
        """Return its address as the socket module gives it, None if unknown."""


class Request:
    """The head of an HTTP request; fields are decoded when they are first read.

    Made by a server, or for `upgrade` by hand or by `parse`, from what another HTTP
    server has read.

    Args:
        method: ``"GET"`` for every WebSocket.
        target: What stands in the request line: ``"/chat?room=1"``.
        headers: Pairs of name and value, a mapping, or `Headers`.
        http_version: ``"1.1"`` for every WebSocket, or ``"1.0"``.

    Attributes:
        method: As received.
        target: As received.
        http_version: ``"1.1"`` or ``"1.0"``.
        raw: The whole head, up to and with the blank line; `parse` of it gives
            such a request.

    Raises:
        ValueError: A part cannot stand in a request head. The message names it.
    """

    __slots__ = (
        "_checked",
        "_fields",
        "_headers",
        "_peer",
        "_tls",
        "http_version",
        "method",
        "raw",
        "target",
    )

    def __init__(
        self,
        method: str,
        target: str,
        headers: HeaderSource = (),
        *,
        http_version: str = "1.1",
    ) -> None:
        if not is_token(method):
            msg = f"method {method!r} is not a token (RFC 9110 9.1)"
            raise ValueError(msg)
        if http_version not in _VERSIONS.values():
            msg = f"http_version is {http_version!r}; it must be '1.1' or '1.0'"
            raise ValueError(msg)
        _check_target(method, target)
        self.method: str = method
        self.target: str = target
        self.http_version: str = http_version
        self._headers: Headers | None = Headers(headers)
        self._fields: Fields = Fields()
        self._checked: bool = False
        self._peer: Peer | None = None
        # What has `getpeercert`: trio's own stream shows it to no type checker.
        self._tls: Any = None
        lines = [f"{method} {target} HTTP/{http_version}"]
        for name, value in self._headers.items():
            check_field(name, value)
            self._fields.on_header(name.encode("ascii"), value.encode("latin-1"))
            lines.append(f"{name}: {value}")
        self._fields.on_headers_complete()
        self.raw: bytes = "\r\n".join([*lines, "", ""]).encode("latin-1")

    @property
    def headers(self) -> Headers:
        """The header fields, decoded as Latin-1."""
        headers = self._headers
        if headers is None:
            headers = self._headers = self._fields.headers()
        return headers

    @property
    def path(self) -> str:
        """The target's path, percent-encoding untouched; ``"/"`` if it is empty.

        Not decoded, because ``%2F`` is not a separator and must not become one
        before a path is compared. ``"*"`` if OPTIONS asks for no path.
        """
        return _split_target(self.target)[1]

    @property
    def query(self) -> str:
        """What follows the first question mark of the target; may be empty."""
        return _split_target(self.target)[2]

    @property
    def host(self) -> str:
        """Host name and port the client asked for, as it wrote them."""
        # RFC 9112 3.2.2: a Host field MUST be ignored beside an absolute target
        host = _split_target(self.target)[0]
        return host or self._fields.index.get(b"host", b"").decode("latin-1")

    @property
    def origin(self) -> str | None:
        """The page a browser sent this for; None from most other clients."""
        origin = self._fields.index.get(b"origin")
        return None if origin is None else origin.decode("latin-1")

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The subprotocols on offer, the client's favourite first."""
        return self._list(b"sec-websocket-protocol")

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extensions on offer, each with its parameters as written."""
        # RFC 6455 9.1: a quoted parameter MUST be a token, so it holds no comma
        return self._list(b"sec-websocket-extensions")

    @property
    def remote_address(self) -> Any:
        """The client's address as the socket module gives it.

        A tuple that begins with host and port, for TCP; a path for a Unix socket, which
        is ``""`` for most clients; None if the stream is no socket, and of a request
        that no server of ours has read. Known as long as the connection is open;
        `WebSocket.remote_address` has it longer. That of a reverse proxy if there is
        one.
        """
        return None if self._peer is None else self._peer.peer_address()

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """The client's certificate, as `ssl.SSLSocket.getpeercert` gives it.

        For ``on_request``. None if it sent none: it has to be asked for, with
        ``ssl_context.verify_mode = ssl.CERT_REQUIRED`` (mutual TLS); and without TLS.
        """
        if self._tls is None:
            return None
        certificate: dict[str, Any] | None = self._tls.getpeercert()
        return certificate

    @classmethod
    def parse(cls, head: bytes) -> Request:
        """Parse the head of a request: GET, HEAD or OPTIONS, without a body.

        For `upgrade`, where another server has read it. The limits are 64 KiB and 128
        fields, as they are by default in `Limits`.

        Args:
            head: All of it, with the blank line and nothing behind; kept by reference.

        Raises:
            HandshakeError: It is no such request; the status and the reason are what
                a client should get.
            TypeError: ``head`` is not bytes.
        """
        if type(head) is not bytes:
            msg = f"head must be bytes, not {head!r}"
            raise TypeError(msg)
        return parse_request(head)

    def _list(self, name: bytes) -> tuple[str, ...]:
        # not from `headers`: decoding all of them costs more than the handshake
        value = self._fields.index.get(name)
        return () if value is None else tuple(split_list(value.decode("latin-1")))

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target}>"


def parse_request(
    head: bytes,
    max_fields: int = MAX_FIELDS,
    max_size: int = MAX_HEAD,
) -> Request:
    """Parse the head of a GET, HEAD or OPTIONS request that has no body.

    Args:
        head: One whole head, up to `find_head_end`. Kept by reference.
        max_fields: Largest number of header fields.
        max_size: Largest size of the head in bytes.

    Raises:
        HandshakeError: 400, 405, 431, 501 or 505, with a reason for the client.
    """
    return read_request(head, max_fields, max_size, False)


def read_request(
    head: bytes,
    max_fields: int = MAX_FIELDS,
    max_size: int = MAX_HEAD,
    cut: bool = True,
) -> Request:
    """As `parse_request`, of a head that was cut at its first blank line."""
    check_head(head, max_fields, max_size, cut)
    line = head[: head.find(b"\n") + 1]
    try:
        fields = parse_request_fields(head)
    except HttpParserError as error:
        check_request_line(line)  # its words for what is wrong say more
        raise explain_malformed(error, head) from None
    parts = check_request_line(line)
    request = Request.__new__(Request)
    request.raw = head
    request.method = parts[0].decode("ascii")
    request.target = target = parts[1].decode("latin-1")
    request.http_version = _VERSIONS[parts[2]]
    request._fields = fields
    request._headers = None  # noqa: SLF001 - decoded when they are asked for
    request._peer = request._tls = None  # noqa: SLF001 - for the server to tell
    # llhttp has seen to visible ASCII; of a path only a fragment is left to refuse
    if target[0] != "/" or "#" in target:
        try:
            _check_target(request.method, target)
        except ValueError:
            reason = "request target is not a path or an absolute URL"
            raise HandshakeError(400, reason) from None
    check_fields(fields, request.http_version)
    request._checked = True
    return request


def check_fields(fields: Fields, http_version: str) -> None:
    """Check what every request owes, upgrade or not.

    Raises:
        HandshakeError: 400, for Host or for a body.
    """
    # RFC 9112 3.2: MUST respond 400 to any HTTP/1.1 request that lacks a Host header
    # field, and to any request with more than one or with an invalid value
    index = fields.index
    if fields.repeated:
        fields.check_single(_SINGLE)
    host = index.get(b"host")
    if host is None:
        if http_version == "1.1":
            raise HandshakeError(400, "Host header is missing")
    elif _HOST.fullmatch(host) is None:
        raise HandshakeError(400, "Host header is not a host name with a port")
    # Only the head is read, so a body would be taken for frames, or by a proxy in
    # between for another request. A length of zero, which some clients always send,
    # is no body.
    if b"transfer-encoding" in index or index.get(b"content-length", b"0") != b"0":
        raise HandshakeError(400, "request has a body")


def _split_target(target: str) -> tuple[str, str, str]:
    """Return authority (empty but in absolute-form), path and query.

    Raises:
        ValueError: The target has none of the forms.
    """
    if target == "*":
        return "", target, ""
    match = _TARGET.fullmatch(target)
    if match is None:
        msg = f"target {target!r} is not a path or an absolute URL (RFC 9112 3.2)"
        raise ValueError(msg)
    authority, path, query = match.groups("")
    return authority, path or "/", query


def _check_target(method: str, target: str) -> None:
    """Check that a target has a form that its method may have.

    Raises:
        ValueError: It does not.
    """
    # RFC 9112 3.2.4: the asterisk-form is only used for OPTIONS
    if target == "*" and method != "OPTIONS":
        msg = f"target '*' goes with OPTIONS, not with {method} (RFC 9112 3.2.4)"
        raise ValueError(msg)
    _split_target(target)


def check_request_line(line: bytes) -> list[bytes]:
    """Return method, target and version of a request that may be answered.

    Args:
        line: With its line end.

    Raises:
        HandshakeError: 400, 405, 501 or 505, with a reason for the client.
    """
    if not line.endswith(b"\r\n"):
        raise HandshakeError(400, BARE_LF)
    line = line[:-2]
    parts = line.split(b" ")
    if len(parts) != 3 or parts[2] not in _VERSIONS or parts[0] not in _METHODS:
        raise _explain(line, parts)
    return parts


def _explain(line: bytes, parts: list[bytes]) -> HandshakeError:
    """Return what is wrong with a request line that `parse_request` does not take."""
    method, version = parts[0], parts[-1]
    if method == b"PROXY":
        return HandshakeError(400, PROXY_LINE)
    if len(parts) != 3 or not version.startswith(b"HTTP/"):
        # RFC 9112 3: method SP request-target SP HTTP-version. The empty line that
        # 2.2 says one SHOULD skip follows the body of a POST; here is none.
        what = "empty" if not line else "not 'GET target HTTP/1.1'"
        return HandshakeError(400, f"request line is {what}")
    if version not in _VERSIONS:
        # RFC 9110 15.6.6: 505 says that this major version is not supported
        return HandshakeError(505, "only HTTP/1.1 and 1.0 are spoken here")
    if method in _KNOWN_METHODS:
        # RFC 9110 15.5.6: 405 MUST come with an Allow header field
        return HandshakeError(405, f"{method.decode()} is not allowed", _ALLOW)
    return HandshakeError(501, "request method is not known")
