"""Header fields: grammar, injection, and the map users read."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from trio_fastws._protocol.handshake.accept_key import generate_key
from trio_fastws._protocol.handshake.client import build_request
from trio_fastws._protocol.handshake.headers import (
    Headers,
)
from trio_fastws._protocol.handshake.request import Request
from trio_fastws._protocol.handshake.response import Response
from trio_fastws._protocol.handshake.server import build_accept, has_token
from trio_fastws._protocol.tokens import (
    is_extension_list,
    is_token_list,
    split_list,
)

PAIRS = (("Host", "a"), ("Set-Cookie", "x=1"), ("set-cookie", "y=2"))


def test_names_compare_without_case_and_the_first_value_wins() -> None:
    headers = Headers(PAIRS)
    assert headers["HOST"] == headers.get("host") == "a"
    assert headers["Set-Cookie"] == "x=1"
    assert headers.get_all("SET-COOKIE") == ("x=1", "y=2")
    assert "hOsT" in headers
    assert "Cookie" not in headers
    assert 1 not in headers


def test_what_is_missing() -> None:
    headers = Headers()
    assert headers.get("Host") is None
    assert headers.get("Host", "b") == "b"
    assert headers.get_all("Host") == ()
    assert not headers
    with pytest.raises(KeyError, match="Host"):
        headers["Host"]


def test_order_case_and_repetition_are_kept() -> None:
    headers = Headers(PAIRS)
    assert headers.items() == PAIRS
    assert list(headers) == ["Host", "Set-Cookie", "set-cookie"]
    assert len(headers) == 3
    assert repr(headers) == f"Headers({PAIRS!r})"


def test_sources() -> None:
    pairs = Headers([("A", "b"), ("C", "d")])
    assert Headers({"A": "b", "C": "d"}) == pairs == Headers(pairs)


def test_pairs_may_be_lists() -> None:
    # As JSON and some frameworks give them; what is kept cannot be changed.
    assert Headers([["A", "b"]]).items() == (("A", "b"),)  # type: ignore[list-item]


def test_equality_folds_names_but_not_values() -> None:
    headers = Headers({"A": "b"})
    assert headers == Headers({"a": "b"})
    assert hash(headers) == hash(Headers({"a": "b"}))
    assert headers != Headers({"A": "B"})
    assert headers != {"A": "b"}


@pytest.mark.parametrize(
    ("lines", "elements"),
    [
        (["keep-alive, Upgrade"], ("keep-alive", "Upgrade")),
        (["keep-alive", "Upgrade"], ("keep-alive", "Upgrade")),
        ([" a ,\tb\t,, ,c"], ("a", "b", "c")),
        ([""], ()),
        ([], ()),
    ],
)
def test_lists_may_be_spread_and_spaced_oddly(
    lines: list[str], elements: tuple[str, ...]
) -> None:
    headers = Headers([("Connection", line) for line in lines])
    assert headers.get_list("connection") == elements
    joined = ",".join(lines)
    assert split_list(joined) == list(elements)
    raw = joined.encode()
    assert is_token_list(raw) == bool(elements)
    assert has_token(raw, b"upgrade") == ("Upgrade" in elements)


@pytest.mark.parametrize(
    "value", ["a b", "a;b", "a,b c", '"a"', "a/b", "\xe9", "", ","]
)
def test_no_token_lists(value: str) -> None:
    assert not is_token_list(value.encode("latin-1"))


@pytest.mark.parametrize(
    "value",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate;server_max_window_bits=10;client_max_window_bits",
        'permessage-deflate; server_max_window_bits="10"',
        r'foo; bar="b\az"',
        "foo ; bar = baz , permessage-deflate",
        ", foo,, bar,",
    ],
)
def test_extension_lists(value: str) -> None:
    assert is_extension_list(value.encode())


@pytest.mark.parametrize(
    "value",
    [
        "",
        " , ",
        ";",
        "foo;",
        "foo; bar=",
        "foo; =bar",
        "foo bar",
        'foo; bar=""',
        'foo; bar="a b"',
        'foo; bar="a',
        "foo; bar=a=b",
        "foo; b@r",
    ],
)
def test_no_extension_lists(value: str) -> None:
    assert not is_extension_list(value.encode())


INJECTIONS = st.tuples(
    st.text(), st.sampled_from(["\r", "\n", "\0", "\r\n", "\x7f", "\x0b"]), st.text()
).map("".join)


@given(INJECTIONS)
def test_no_value_ends_its_line(value: str) -> None:
    fields = [("X-Field", value)]
    with pytest.raises(ValueError, match="X-Field"):
        Response(200, fields)
    with pytest.raises(ValueError, match="X-Field"):
        Request("GET", "/", fields)
    with pytest.raises(ValueError, match="X-Field"):
        build_request("a", "/", generate_key(), headers=fields)
    with pytest.raises(ValueError, match="X-Field"):
        build_accept(
            Request("GET", "/", {"Sec-WebSocket-Key": generate_key()}), headers=fields
        )
    for argument in ("origin", "extensions"):
        with pytest.raises(ValueError, match="holds"):
            build_request("a", "/", generate_key(), **{argument: value})
    with pytest.raises(ValueError, match="Host"):
        build_request(value, "/", generate_key())
    with pytest.raises(ValueError, match="target"):
        build_request("a", "/" + value, generate_key())
    with pytest.raises(ValueError, match="token"):
        build_request("a", "/", generate_key(), subprotocols=[value])
    with pytest.raises(ValueError, match="reason"):
        Response(200, reason=value)


@given(st.text().filter(lambda text: not text.isascii() or not text.isalnum()))
def test_no_name_holds_more_than_a_token(name: str) -> None:
    allowed = set("!#$%&'*+-.^_`|~")
    if name and all(c in allowed or (c.isascii() and c.isalnum()) for c in name):
        Response(200, [(name, "value")])
        return
    with pytest.raises(ValueError, match="is not a token"):
        Response(200, [(name, "value")])


def test_text_outside_latin_1_has_no_encoding() -> None:
    with pytest.raises(ValueError, match=r"'X' holds '€' at index 2"):
        Response(200, {"X": "1 €"})
