"""Negotiation of permessage-deflate (RFC 7692 5, 7.1): offer, answer, verdict.

Owns what Sec-WebSocket-Extensions may say of that one extension, and what two sides
have agreed on by it. How to compress is in `context` and `agreement`. The grammar was
checked before, by `is_extension_list`.
"""

from __future__ import annotations

from typing import NamedTuple

from trio_fastws._protocol.errors import HandshakeError
from trio_fastws._protocol.tokens import split_list

# Neither RFC 6455 9.1 nor RFC 7692 says that these names ignore case, and common peers
# compare them exactly: a peer that writes them otherwise would not read our answer.
NAME = "permessage-deflate"
_SERVER_FRESH = "server_no_context_takeover"
_CLIENT_FRESH = "client_no_context_takeover"
_SERVER_BITS = "server_max_window_bits"
_CLIENT_BITS = "client_max_window_bits"

MAX_BITS = 15
# zlib writes no raw stream with a window of 256 bytes; it only reads them.
SMALLEST_BITS = 9

# RFC 7692 7.1.2.1: "a decimal integer value without leading zeroes between 8 to 15"
_BITS = {str(bits): bits for bits in range(8, MAX_BITS + 1)}


class DeflateParameters(NamedTuple):
    """What was agreed, or what one side asks for (RFC 7692 7.1).

    Attributes:
        server_no_context_takeover: The server compresses each message by itself.
        client_no_context_takeover: So does the client.
        server_max_window_bits: Base-2 logarithm of the window of the server's
            compressor, 8 to 15. It may be smaller than what is here: a server that
            was not asked does not announce it, nor does a client.
        client_max_window_bits: The same of the client's. 8 may be agreed, but zlib
            cannot compress with it: such a client sends all messages plain.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = MAX_BITS
    client_max_window_bits: int = MAX_BITS


def build_offer(wanted: DeflateParameters) -> str:
    """Return a client's offer, a value of Sec-WebSocket-Extensions.

    Args:
        wanted: What the client asks for. It keeps to its own half of it whatever the
            server answers; the size of its own window is not sent at all.
    """
    words = _write_takeover(wanted)
    if wanted.server_max_window_bits < MAX_BITS:
        words.append(f"{_SERVER_BITS}={wanted.server_max_window_bits}")
    # RFC 7692 7.1.2.2: a server may limit our window only if the offer has this.
    # Without a value, as browsers send it: servers that are set to a larger window
    # refuse one, or answer theirs, and we may always use less than is granted.
    words.append(_CLIENT_BITS)
    return "; ".join(words)


def accept_offer(
    offers: str, wanted: DeflateParameters
) -> tuple[str, DeflateParameters] | None:
    """Accept the first offer that is acceptable, in the client's order.

    Args:
        offers: Value of Sec-WebSocket-Extensions, its lines joined.
        wanted: What the server asks for. It gets that, except that a client may not
            be able to limit its own window. The server's own window is never larger
            than wanted, but that is answered only to a client that asked.

    Returns:
        The answer, and what is agreed by it; None if no offer is acceptable, and the
        connection goes on without compression.
    """
    for element in split_list(offers):
        name, parameters = _split(element)
        if name != NAME:
            continue
        try:
            # RFC 7692 7.1.2.2: this one may come without a value
            offered = _read(parameters, bare=_CLIENT_BITS)
        except ValueError:
            # RFC 7692 7: a server MUST decline an offer with an unknown parameter, a
            # bad value, a repeated name, or parameters that it does not support
            continue
        server_bits = offered.get(_SERVER_BITS) or MAX_BITS
        if server_bits < SMALLEST_BITS:
            continue
        client_bits = MAX_BITS
        if _CLIENT_BITS in offered:
            limit = offered[_CLIENT_BITS] or MAX_BITS
            client_bits = min(limit, wanted.client_max_window_bits)
        agreed = DeflateParameters(
            _SERVER_FRESH in offered or wanted.server_no_context_takeover,
            _CLIENT_FRESH in offered or wanted.client_no_context_takeover,
            min(server_bits, wanted.server_max_window_bits),
            client_bits,
        )
        answer = _write_takeover(agreed)
        # RFC 7692 7.1.2.1: accepted by including it with the same or a smaller value.
        # Other answers may have it too, but some clients refuse that; without it they
        # keep 32 KiB where they could do with less.
        if _SERVER_BITS in offered:
            answer.append(f"{_SERVER_BITS}={agreed.server_max_window_bits}")
        # RFC 7692 7.1.2.2: MUST NOT be in the answer if it was not in the offer; then
        # these are 15 bits
        if client_bits < MAX_BITS:
            answer.append(f"{_CLIENT_BITS}={client_bits}")
        return "; ".join(answer), agreed
    return None


def check_answer(answer: str, wanted: DeflateParameters) -> DeflateParameters | None:
    """Check what a server answered to `build_offer`.

    Args:
        answer: Value of Sec-WebSocket-Extensions, its lines joined.
        wanted: As given to `build_offer`.

    Returns:
        What is agreed; None if the server did not accept.

    Raises:
        HandshakeError: The answer does not fit the offer (RFC 7692 7.1).
    """
    elements = split_list(answer)
    if not elements:
        return None
    if len(elements) > 1:
        raise _wrong("was accepted more than once, or with another extension")
    name, parameters = _split(elements[0])
    if name != NAME:
        raise _wrong(f"was offered, and {name!r} was accepted")
    try:
        accepted = _read(parameters)
    except ValueError as error:
        raise _wrong(f"was accepted with {error}") from None
    if wanted.server_no_context_takeover and _SERVER_FRESH not in accepted:
        # RFC 7692 7.1.1.1: accepted by including it in the answer
        raise _wrong(f"was accepted without {_SERVER_FRESH}, which we asked for")
    server_bits = accepted.get(_SERVER_BITS)
    if server_bits is None:
        server_bits = MAX_BITS
        if wanted.server_max_window_bits < MAX_BITS:
            raise _wrong(f"was accepted without {_SERVER_BITS}, which we asked for")
    # RFC 7692 7.1.2: the same or a smaller value than the one in the offer
    if server_bits > wanted.server_max_window_bits:
        raise _wrong(
            f"was accepted with {_SERVER_BITS}={server_bits}; "
            f"we offered {wanted.server_max_window_bits}"
        )
    # RFC 7692 7.1.2.2: the most that we may use; 15 bits if it says nothing
    client_bits = accepted.get(_CLIENT_BITS) or MAX_BITS
    return DeflateParameters(
        _SERVER_FRESH in accepted,
        # We offered that ourselves, so it holds whatever the answer is.
        _CLIENT_FRESH in accepted or wanted.client_no_context_takeover,
        server_bits,
        min(client_bits, wanted.client_max_window_bits),
    )


def _wrong(what: str) -> HandshakeError:
    return HandshakeError(101, f"server's extensions are wrong: {NAME} {what}")


def _write_takeover(parameters: DeflateParameters) -> list[str]:
    # Not the windows, which an offer and an answer write differently.
    words = [NAME]
    if parameters.server_no_context_takeover:
        words.append(_SERVER_FRESH)
    if parameters.client_no_context_takeover:
        words.append(_CLIENT_FRESH)
    return words


def _split(element: str) -> tuple[str, list[str]]:
    # RFC 6455 9.1: a quoted value MUST be a token, so it holds no comma, semicolon or
    # equals sign, and none of them needs to be looked for outside quotes only
    name, *parameters = [part.strip(" \t") for part in element.split(";")]
    return name, parameters


def _read(parameters: list[str], bare: str | None = None) -> dict[str, int | None]:
    """Return the values of parameters, None for those that have none.

    Args:
        parameters: Each as written.
        bare: The one whose value is optional.

    Raises:
        ValueError: One is unknown, repeated, or has a value that it cannot have.
    """
    values: dict[str, int | None] = {}
    for parameter in parameters:
        name, equals, text = parameter.partition("=")
        name = name.rstrip(" \t")
        if name in values:
            raise ValueError(f"{name} twice")
        if name in (_SERVER_FRESH, _CLIENT_FRESH):
            if equals:
                raise ValueError(f"a value for {name}, which has none")
            values[name] = None
        elif name not in (_SERVER_BITS, _CLIENT_BITS):
            raise ValueError(f"the unknown parameter {name!r}")
        elif equals:
            text = text.lstrip(" \t")
            if text[0] == '"':
                text = text[1:-1].replace("\\", "")
            if text not in _BITS:
                raise ValueError(f"{name}={text}, which is not 8 to 15")
            values[name] = _BITS[text]
        elif name == bare:
            values[name] = None
        else:
            raise ValueError(f"{name} without a value")
    return values
