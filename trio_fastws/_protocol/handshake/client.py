"""The client's half of the opening handshake (RFC 6455 4.1).

Owns the request that asks for a WebSocket, and the rules that a 101 must obey.
Refuses to know URLs, redirects, and what a refusal means to a caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.tokens import (
    find_excess,
    is_extension_list,
    is_token,
    split_list,
)

from .accept_key import accept_key
from .headers import (
    Headers,
    HeaderSource,
    check_field,
    check_str,
    write_handshake_fields,
)
from .request import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .response import Response

# Fields that a caller's own take the place of.
_TAKEN = ("host", "user-agent")


def build_request(
    host_header: str,
    target: str,
    key: str,
    *,
    origin: str | None = None,
    subprotocols: Sequence[str] = (),
    extensions: str | None = None,
    headers: HeaderSource = (),
    user_agent: str | None = None,
) -> bytes:
    """Return the head of an opening handshake.

    Args:
        host_header: Value of Host; one Host among ``headers`` takes its place.
        target: Path and query.
        key: From `generate_key`.
        origin: Value of Origin, or None to send none.
        subprotocols: Offers, the favourite first.
        extensions: Value of Sec-WebSocket-Extensions, or None.
        headers: More fields, such as Authorization and Cookie.
        user_agent: Value of User-Agent, or None to send none; one among ``headers``
            takes its place, and if that is empty none is sent.

    Raises:
        ValueError: An argument cannot be written into a head, a subprotocol is no
            token or is repeated, or a header is written by the library.
    """
    extra = Headers(headers)
    host = _take_one(extra, "Host")
    agent = _take_one(extra, "User-Agent")
    fields = [("Host", host_header if host is None else host)]
    if agent is None:
        agent = user_agent
    # RFC 9110 10.1.5: a user agent SHOULD send it, unless configured not to
    if agent is not None and agent != "":
        fields.append(("User-Agent", agent))
    fields += [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    if origin is not None:
        if "Origin" in extra:
            msg = "header 'Origin' is given beside the argument origin"
            raise ValueError(msg)
        fields.append(("Origin", origin))
    if subprotocols:
        _check_subprotocols(subprotocols)
        fields.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    if extensions is not None:
        fields.append(("Sec-WebSocket-Extensions", extensions))
    for name, value in fields:
        check_field(name, value)
    others = [pair for pair in extra.items() if pair[0].lower() not in _TAKEN]
    lines = [f"{name}: {value}" for name, value in fields]
    lines += write_handshake_fields(others)
    # the constructor checks the target
    start = Request("GET", target).raw[:-2]
    return start + "\r\n".join([*lines, "", ""]).encode("latin-1")


def _take_one(headers: Headers, name: str) -> str | None:
    values = headers.get_all(name)
    if len(values) > 1:
        msg = f"header {name!r} is given more than once"
        raise ValueError(msg)
    if not values:
        return None
    check_str(f"value of header {name!r}", values[0])
    return values[0]


def _check_subprotocols(subprotocols: Sequence[str]) -> None:
    for name in subprotocols:
        check_str("subprotocol", name)
        # a bare string passes as a list of its letters; nobody means that
        if isinstance(subprotocols, str) or not is_token(name):
            msg = f"subprotocols {subprotocols!r} is not a list of tokens"
            raise ValueError(msg)
    if len(set(subprotocols)) != len(subprotocols):
        msg = f"subprotocols {subprotocols!r} repeats a name (RFC 6455 4.1)"
        raise ValueError(msg)


def check_accept(
    response: Response,
    key: str,
    offered_subprotocols: Sequence[str] = (),
    offered_extensions: str | None = None,
) -> str | None:
    """Check that a response accepts our handshake (RFC 6455 4.1).

    Args:
        response: Any but a 1xx other than 101.
        key: The key that was sent.
        offered_subprotocols: As given to `build_request`.
        offered_extensions: As given to `build_request`. Only names are compared;
            parameters are judged where the extension is known.

    Returns:
        The subprotocol the server chose, or None.

    Raises:
        HandshakeError: With the status of the response, and what is wrong with it.
    """
    status, headers = response.status, response.headers
    if status != 101:
        reason = f"server answered {status} {response.reason}".rstrip()
        raise HandshakeError(status, reason, headers.items())

    def fail(reason: str) -> HandshakeError:
        return HandshakeError(status, f"server's {reason}", headers.items())

    if [token.lower() for token in headers.get_list("Upgrade")] != ["websocket"]:
        raise fail("Upgrade header is missing or is not 'websocket'")
    if "upgrade" not in [t.lower() for t in headers.get_list("Connection")]:
        raise fail("Connection header lacks 'Upgrade'")
    if headers.get_all("Sec-WebSocket-Accept") != (accept_key(key),):
        raise fail("Sec-WebSocket-Accept header is missing, repeated or wrong")
    wrong = _judge_extensions(headers, offered_extensions or "")
    if wrong is not None:
        raise fail(wrong)
    chosen = headers.get_all("Sec-WebSocket-Protocol")
    if len(chosen) > 1:
        raise fail("Sec-WebSocket-Protocol header is repeated")
    if not chosen:
        return None
    if chosen[0] not in offered_subprotocols:
        raise fail(f"subprotocol {chosen[0]!r} was not offered")
    return chosen[0]


def _judge_extensions(headers: Headers, offered: str) -> str | None:
    lines = headers.get_all("Sec-WebSocket-Extensions")
    if not lines:
        return None
    accepted = ",".join(lines)
    value = accepted.encode("latin-1")
    excess = find_excess(value)
    if excess is not None:
        return f"Sec-WebSocket-Extensions {excess}"
    if not is_extension_list(value):
        return "Sec-WebSocket-Extensions does not follow RFC 6455 9.1"
    names = {_name(offer) for offer in split_list(offered)}
    for extension in split_list(accepted):
        if _name(extension) not in names:
            return f"extension {_name(extension)!r} was not offered"
    return None


def _name(extension: str) -> str:
    return extension.partition(";")[0].strip(" \t")
