"""WebSocket URLs (RFC 6455 3): what to dial and what to ask for.

Owns the reading of ``ws`` and ``wss`` URLs. Refuses to know names that must be
looked up: a host stays text.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote

from .headers import check_str

# RFC 3986 appendix B, with a scheme and "//" required. `urlsplit` is not used: it
# drops tabs and line ends in silence, so it dials what was not written.
_URL = re.compile(
    r"(?P<scheme>[^:/?#]+)://(?P<authority>[^/?#]*)"
    r"(?P<resource>[^#]*)(?P<fragment>#.*)?",
    re.DOTALL,
)

_AUTHORITY = re.compile(
    r"(?:\[(?P<literal>[^\[\]]*)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[0-9]*))?"
)

# RFC 3986 3.2.2: unreserved / pct-encoded / sub-delims
_NAME = re.compile(r"[a-z0-9\-._~!$&'()*+,;=%]+")

# White space and controls, of which some would end the request line
_INVISIBLE = re.compile(r"[\x00-\x20\x7f]")

# RFC 3986 2: what a resource may hold as it is; "%" because it came encoded.
# The rest of ASCII stays too, since servers were written to take it.
_KEPT = "".join(map(chr, range(0x21, 0x7F)))


class InvalidURL(ValueError):  # noqa: N818 - the name users of URLs know
    """A URL is not a WebSocket URL; the message names the part that is wrong."""


@dataclass(frozen=True, slots=True)
class URL:
    """A WebSocket URL, taken apart.

    Attributes:
        secure: True for ``wss``.
        host: Host name or address to dial, without brackets.
        port: 80 or 443 if the URL has none.
        resource: Path and query, never empty: the target of the request.
        host_header: Value of the Host header field.
    """

    secure: bool
    host: str
    port: int
    resource: str
    host_header: str


def parse_url(url: str) -> URL:
    """Take a ``ws://`` or ``wss://`` URL apart.

    A host outside ASCII is encoded by IDNA, such text in path or query by UTF-8 and
    percent signs.

    Raises:
        InvalidURL: The URL is not one, or has a fragment or user information.
        TypeError: It is not even a string.
    """
    check_str("url", url)
    match = _URL.fullmatch(url)
    if match is None:
        msg = f"URL {url!r} is not of the form 'ws://host:port/path?query'"
        raise InvalidURL(msg)
    if "@" in match["authority"]:
        # RFC 6455 3 gives ws-URIs no userinfo. Looked for before any message shows
        # the URL, because messages end up in logs.
        msg = (
            "URL has user information before '@'; "
            "pass an Authorization header instead (RFC 6455 3)"
        )
        raise InvalidURL(msg)
    scheme = match["scheme"].lower()
    if scheme not in ("ws", "wss"):
        msg = f"scheme of URL {url!r} is {scheme!r}, expected 'ws' or 'wss'"
        raise InvalidURL(msg)
    if match["fragment"] is not None:
        # RFC 6455 3: fragment identifiers MUST NOT be used on these URIs
        msg = f"URL {url!r} has a fragment; write '#' as '%23' if it is meant"
        raise InvalidURL(msg)
    secure = scheme == "wss"
    default = 443 if secure else 80
    host, port, bracketed = _parse_authority(url, match["authority"], default)
    # RFC 6874: a zone is of this machine only, so it is no part of a Host field
    name = host.partition("%")[0] if bracketed else host
    name = f"[{name}]" if bracketed else name
    return URL(
        secure=secure,
        host=host,
        port=port,
        resource=_parse_resource(url, match["resource"]),
        # RFC 9112 3.2: as in the URL; the default port says nothing
        host_header=name if port == default else f"{name}:{port}",
    )


def _parse_authority(url: str, authority: str, default: int) -> tuple[str, int, bool]:
    """Return host, port, and whether the host is an IPv6 address."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        msg = f"host of URL {url!r} is {authority!r}, expected 'host', 'host:port'"
        raise InvalidURL(f"{msg} or '[IPv6 address]:port'")
    digits = match["port"] or str(default)
    # five digits at most, since `int` gives up on thousands of them in its own way
    if len(digits) > 5 or not 0 < int(digits) < 65536:
        msg = f"port of URL {url!r} is {digits}, expected 1 to 65535"
        raise InvalidURL(msg)
    port = int(digits)
    literal = match["literal"]
    if literal is not None:
        host = literal.replace("%25", "%", 1)
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            msg = f"host of URL {url!r} is {literal!r} in brackets, not an IPv6 address"
            raise InvalidURL(msg) from None
        return host, port, True
    host = match["name"].lower()
    try:
        # ASCII as well: an empty label, or one too long, fails in getaddrinfo else
        host = host.encode("idna").decode("ascii")
    except UnicodeError as error:
        msg = f"host of URL {url!r} cannot be encoded by IDNA: {error}"
        raise InvalidURL(msg) from None
    if _NAME.fullmatch(host) is None:
        msg = f"host of URL {url!r} is {host!r}, expected a host name or an address"
        raise InvalidURL(msg)
    return host, port, False


def _parse_resource(url: str, resource: str) -> str:
    bad = _INVISIBLE.search(resource)
    if bad is not None:
        msg = f"path or query of URL {url!r} holds {bad[0]!r}; percent-encode it"
        raise InvalidURL(msg)
    try:
        resource = quote(resource, safe=_KEPT)
    except UnicodeEncodeError:
        msg = f"path or query of URL {url!r} holds half of a surrogate pair"
        raise InvalidURL(msg) from None
    # RFC 6455 3: "/" if the path component is empty
    return resource if resource.startswith("/") else f"/{resource}"
