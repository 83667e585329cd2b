"""What a person reads when a server says no: one line, whatever the server wrote.

Owns which parts of an answer are worth a line of an exception, or of a log. Refuses to
know why an answer is no good; it is told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .response import Response

# Of each part so much is shown: enough for a URL or a sentence.
LONGEST = 200
# A first line is looked for in so much of a body.
SEARCHED = 4096


def explain_refusal(response: Response, flaw: str = "") -> str:
    """Return what a server answered: its status, where to, or why.

    Control characters are escaped, and every part is bounded.

    Args:
        response: Any.
        flaw: What is wrong with it besides.
    """
    reason = _shorten(response.reason)
    words = f"server answered {response.status} {reason}".rstrip()
    location = response.headers.get("Location")
    # RFC 9110 15.4: the target of a redirect stands in Location
    if 300 <= response.status <= 399 and location:
        words += f" to {_shorten(location)}"
    else:
        line = _first_line(response)
        if line:
            words += f": {line}"
    return f"{words}; {flaw}" if flaw else words


def _first_line(response: Response) -> str:
    """Return the first line of a body that is short text, "" if it is not."""
    headers = response.headers
    kind = (headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    plain = kind in ("", "text/plain", "application/json") or kind.endswith("+json")
    if not plain or "Content-Encoding" in headers:
        return ""
    text = response.body[:SEARCHED].decode("utf-8", "replace")
    if not kind and (text.lstrip().startswith("<") or not _is_text(text)):
        return ""
    lines = (_without_status(line, response) for line in text.splitlines())
    # Of what is laid out over several lines, the first may be a bracket.
    line = next((line for line in lines if any(map(str.isalnum, line))), "")
    return _shorten(line)


def _is_text(text: str) -> bool:
    # Where nobody says what it is. The last character may have been cut in two.
    whole = text[:-1]
    return "\ufffd" not in whole and all(c.isprintable() or c.isspace() for c in whole)


def _without_status(line: str, response: Response) -> str:
    # "403 Forbidden: token expired" need not say all that twice.
    words = [re.escape(w) for w in (str(response.status), response.reason) if w]
    either = rf"(?:{'|'.join(words)})(?!\w)"
    said = rf"(?i:{either}(?:\s*{either})*\s*(?:[:-]\s*|\.?\Z))"
    return re.sub(rf"\A(?:{said})+", "", line.strip(), count=1)


def _shorten(text: str) -> str:
    text = text.strip()
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}..."
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )
