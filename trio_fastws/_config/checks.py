"""Checks of single values: they raise, name the value and say what it may be.

A wrong type is a TypeError, a value out of its range a ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

# No machine holds more bytes, and two of them can be added in a C integer.
MOST = 2**62
# 317 years. Counted in ticks of the timer wheel it is far from the end of C's integers,
# and it is more than `threading.TIMEOUT_MAX`, which some take for "never".
MOST_SECONDS = 1e10


def check_size(name: str, value: object, low: int) -> None:
    """Raise unless that is a number from ``low`` on, or None for no limit."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if value < low:
        raise ValueError(f"{name} is {value}; it must be {low} or more")
    if value > MOST:
        raise ValueError(f"{name} is {value}; it must be {low} to 2**62 ({MOST})")


def check_seconds(name: str, value: object, zero: bool = False) -> None:
    """Raise unless that is a number of seconds, or None for never.

    Args:
        name: Of the option.
        value: Of the option. Over 0, and at most `MOST_SECONDS`.
        zero: Whether 0 will do as well.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if zero and value == 0:
        return
    least = "0 or more" if zero else "over 0"
    most = MOST_SECONDS
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}; it must be {least} and finite")
    if value > most:
        raise ValueError(
            f"{name} is {value}; it must be {least} and at most {most:g} seconds"
        )


def check_range(name: str, value: object, low: int, high: int, when: str = "") -> None:
    """Raise unless that is a number from ``low`` to ``high``.

    Args:
        name: Of the option.
        value: Of the option.
        low: Smallest value.
        high: Largest value.
        when: Appended to the error: what the range depends on.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; it must be {low} to {high}{when}")


def check_bool(name: str, value: object) -> None:
    """Raise unless that is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise unless that is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")


def make_tuple(name: str, value: object, what: str) -> tuple[Any, ...]:
    """Return a list as a tuple; raise TypeError if that is none.

    Args:
        name: Of the argument.
        value: Of the argument. A string is a list of its letters, which nobody means.
        what: Of which that is a list.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list of {what}, not {value!r}")
    return tuple(cast("Iterable[object]", value))


def check_required(name: str, value: object) -> None:
    """Raise if that is None."""
    if value is None:
        raise TypeError(f"{name} cannot be None: there is always a limit here")
