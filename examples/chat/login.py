"""Who somebody is: a name in a signed cookie, which a browser sends by itself.

Here anybody may have any name. A real login asks for a password, by POST, so in another
web server (this one answers GET), over https, and its cookie is Secure and expires.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote

from trio_fastws import Request, Response

KEY = secrets.token_bytes(32)  # new with each start, which logs everybody out
COOKIE = "chat_user"
FORM = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Log in</title>
<form action="/login"><label>Name: <input name="name" autofocus></label></form>
</html>
"""


@dataclass(frozen=True)
class User:
    """Somebody who has logged in."""

    name: str


def sign(text: str) -> str:
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()


def log_in(request: Request) -> Response:
    """Give a cookie to whoever says a name: ``/login?name=Ada``."""
    name = " ".join(parse_qs(request.query).get("name", [""])[0].split())
    if not (0 < len(name) <= 32 and name.isprintable()):
        return Response(400, body="A name has 1 to 32 letters.\n")
    value = quote(name)
    cookie = f"{COOKIE}={value}.{sign(value)}; Path=/; HttpOnly; SameSite=Lax"
    return Response(303, [("Location", "/"), ("Set-Cookie", cookie)])


def find_user(request: Request) -> User | None:
    """Return who sends this request; None if its cookie is not one of ours."""
    for field in request.headers.get("Cookie", "").split(";"):
        key, _, cookie = field.strip().partition("=")
        value, _, signature = cookie.rpartition(".")
        if key == COOKIE and hmac.compare_digest(
            sign(value).encode(), signature.encode()
        ):
            return User(unquote(value))
    return None
