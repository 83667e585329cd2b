"""Banners: what came where an HTTP response should begin, and who says such things.

Owns what a person is told who has dialled the wrong port or the wrong scheme. Refuses
to speak any of those protocols.
"""

from __future__ import annotations

# So much of a line is shown; longer ones say no more.
LONGEST = 100
# The shortest that tells an HTTP/2 frame: its header (RFC 9113 4.1).
_FRAME_HEADER = 9

_DIGITS = b"0123456789"
# RFC 9112 4: what each of the first bytes of an HTTP/1 response may be.
_START = (
    *(b"H", b"T", b"T", b"P", b"/", b"1", b".", b"01", b" "),
    *(b"123456789", _DIGITS, _DIGITS, b" \r\n"),
)

# First words of those who speak first, or answer what they do not understand.
_FIRST_WORDS = (
    (b"SSH-", "an SSH server"),
    (b"220", "an SMTP or FTP server"),
    (b"* OK", "an IMAP server"),
    (b"+OK", "a POP3 server"),
    (b"-ERR", "a Redis server"),
    (b"-NOAUTH", "a Redis server"),
    (b"-DENIED", "a Redis server"),
    (b"RFB ", "a VNC server"),
    (b"ICY ", "an Icecast server"),
    (b"PRI * HTTP/2", "HTTP/2, and we speak HTTP/1.1"),
    (b"HTTP/", "HTTP, but not 1.1 with a status of three digits"),
    (b"GET ", "our own request, sent back"),
    (b"<", "a page without a head, as in HTTP/0.9"),
)


def may_be_response(data: bytes | bytearray) -> bool:
    """Return whether what came may begin an HTTP/1 response."""
    return all(byte in allowed for byte, allowed in zip(data, _START, strict=False))


def describe_banner(data: bytes, secure: bool, ended: bool) -> str | None:
    """Return in one line what came instead of a response, and what it looks like.

    Control characters are escaped, and no more than `LONGEST` bytes are shown.

    Args:
        data: What came so far.
        secure: Whether it came through TLS.
        ended: Whether no more will come.

    Returns:
        None if more may come that says it better.
    """
    looks = _recognise_binary(data, secure)
    if looks or not _is_text(data):
        if not (looks or ended) and _may_be_recognised(data):
            return None
        shown = show(data, 16)
    else:
        start = len(data) - len(data.lstrip(b"\r\n"))
        end = data.find(b"\n", start)
        if end < 0 and len(data) <= LONGEST and not ended:
            return None
        line = data[: len(data) if end < 0 else end].rstrip(b"\r\n")
        shown = show(line, LONGEST)
        words = data[start:]
        looks = next((who for word, who in _FIRST_WORDS if words.startswith(word)), "")
    hint = f": it looks like {looks}" if looks else ""
    return f"server sent {shown}, which is no HTTP response{hint}"


def _recognise_binary(data: bytes, secure: bool) -> str:
    # RFC 8446 5.1: a record begins with its type, and a version of 3.something
    if len(data) > 2 and 20 <= data[0] <= 23 and data[1] == 3 and data[2] <= 4:
        return "TLS within TLS" if secure else "TLS; use wss://"
    # RFC 9113 3.4: the server's preface is a SETTINGS frame, of stream 0; or it says
    # goodbye at once
    if len(data) >= _FRAME_HEADER and data[0] == 0 and data[3] in (4, 7):
        return "HTTP/2, and we speak HTTP/1.1" if not any(data[5:9]) else ""
    # its greeting: three bytes of length, number 0, version 10 of the protocol
    if data[3:5] == b"\0\n":
        return "a MySQL server"
    return "an AMQP server" if data.startswith(b"AMQP\0") else ""


def _may_be_recognised(data: bytes) -> bool:
    if data[0] == 0:
        return len(data) < _FRAME_HEADER
    return 20 <= data[0] <= 23 and data[1:] in (b"", b"\3")


def _is_text(data: bytes) -> bool:
    # As far as it may be shown.
    return all(byte >= 0x20 or byte in b"\t\r\n" for byte in data[:LONGEST])


def show(data: bytes, most: int = LONGEST) -> str:
    """Return the first ``most`` bytes as text or, if they are none, as bytes."""
    more = "..." if len(data) > most else ""
    data = data[:most]
    try:
        return f"{data.decode()!r}{more}"
    except UnicodeDecodeError:
        return f"{data!r}{more}"
