# cython: annotation_typing=False
"""Header fields: the grammar of names and values, and the map users read.

Owns what RFC 9110 5 says about one field. Refuses to know which fields a handshake
needs, and never sees the bytes of a whole head.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import cast, overload

from trio_fastws._protocol.tokens import is_token, split_list

# RFC 9110 5.5: "Field values containing CR, LF, or NUL characters are invalid and
# dangerous". The other controls are refused with them, as llhttp refuses them when
# it reads; only HTAB may stand in a value.
_BAD_TEXT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")

# Fields that the handshake itself writes, and those that would announce a body
_OWNED = frozenset(
    {
        "connection",
        "content-length",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "transfer-encoding",
        "upgrade",
    }
)


def check_field(name: str, value: str) -> None:
    """Refuse a field that could not be written, or that would write more than itself.

    Args:
        name: Field name, as a caller of the library gave it.
        value: Field value; text outside Latin-1 has no encoding in HTTP.

    Raises:
        ValueError: The name is not a token, or the value holds a character that
            could end the field. The message names the field.
        TypeError: They are not strings.
    """
    check_str("header name", name)
    check_str(f"value of header {name!r}", value)
    if not is_token(name):
        msg = f"header name {name!r} is not a token (RFC 9110 5.6.2)"
        raise ValueError(msg)
    check_text(f"value of header {name!r}", value)


def check_str(what: str, value: object) -> None:
    """Refuse what is not a string; ``what`` is its name.

    Raises:
        TypeError: It is not.
    """
    if not isinstance(value, str):
        msg = f"{what} must be a str, not {value!r}"
        raise TypeError(msg)


def check_text(what: str, text: str) -> None:
    """Refuse text that could end its line early; ``what`` is its name.

    Raises:
        ValueError: There is a control character, or one outside Latin-1.
    """
    bad = _BAD_TEXT.search(text)
    if bad is not None:
        msg = (
            f"{what} holds {bad[0]!r} at index {bad.start()}; control characters "
            "and text outside Latin-1 are not allowed (RFC 9110 5.5)"
        )
        raise ValueError(msg)


class Headers:
    """Immutable fields of a request or response; names compare without case.

    Reads like a mapping from name to the first value of that name, and keeps
    what a mapping would lose: order, case as written, and repeated fields.

    Args:
        fields: Pairs of name and value, a mapping, or another `Headers`.

    Raises:
        TypeError: It is none of these. What the names and values are is checked
            where they are written.
    """

    __slots__ = ("_fields", "_index")

    _fields: tuple[tuple[str, str], ...]
    _index: dict[str, tuple[str, ...]] | None

    def __init__(self, fields: HeaderSource = ()) -> None:
        if isinstance(fields, Headers):
            self._fields = fields._fields
        else:
            self._fields = _make_pairs(fields)
        self._index = None

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...

    @overload
    def get(self, name: str, default: str) -> str: ...

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of ``name``, or ``default``."""
        values = self.get_all(name)
        return values[0] if values else default

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return every value of ``name``, in order; empty if there is none."""
        # Built at the first question: most requests are never asked one.
        index = self._index
        if index is None:
            index = self._index = {}
            for field, value in self._fields:
                key = field.lower()
                index[key] = (*index.get(key, ()), value)
        return index.get(name.lower(), ())

    def get_list(self, name: str) -> tuple[str, ...]:
        """Return the elements of a comma-separated field, over all its lines.

        Elements keep their case; empty ones are left out.
        """
        # RFC 9110 5.3: repeated lines mean the same as one line joined by commas
        return tuple(split_list(",".join(self.get_all(name))))

    def items(self) -> tuple[tuple[str, str], ...]:
        """Return every field as written, repeated ones included."""
        return self._fields

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return values[0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names as written, once for each field."""
        return (name for name, _ in self._fields)

    def __len__(self) -> int:
        """Return the number of fields, repeated ones included."""
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self._folded() == other._folded()

    def __hash__(self) -> int:
        return hash(self._folded())

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"

    def __reduce__(self) -> tuple[type[Headers], tuple[object]]:
        # The index need not travel.
        return Headers, (self._fields,)

    def _folded(self) -> tuple[tuple[str, str], ...]:
        return tuple((name.lower(), value) for name, value in self._fields)


# What every function takes that writes fields
HeaderSource = Headers | Mapping[str, str] | Iterable[tuple[str, str]]


def _make_pairs(fields: object) -> tuple[tuple[str, str], ...]:
    if isinstance(fields, Mapping):
        return tuple(cast("Mapping[str, str]", fields).items())
    if isinstance(fields, str | bytes) or not isinstance(fields, Iterable):
        msg = f"headers must be pairs of name and value, or a mapping, not {fields!r}"
        raise TypeError(msg)
    return tuple(map(_make_pair, cast("Iterable[object]", fields)))


def _make_pair(pair: object) -> tuple[str, str]:
    # Not any iterable: a string of two characters is none.
    if isinstance(pair, tuple | list):
        made = tuple(cast("Iterable[str]", pair))
        if len(made) == 2:
            return made
    msg = f"headers holds {pair!r}, which is not a pair of name and value"
    raise TypeError(msg)


def write_handshake_fields(headers: HeaderSource) -> list[str]:
    """Return the lines of fields that a caller adds to a handshake.

    Raises:
        ValueError: A field is malformed, or one that the handshake writes itself.
    """
    lines: list[str] = []
    for name, value in Headers(headers).items():
        check_field(name, value)
        if name.lower() in _OWNED:
            msg = f"header {name!r} is written by the library; leave it out"
            raise ValueError(msg)
        lines.append(f"{name}: {value}")
    return lines
