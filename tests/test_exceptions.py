"""Our exceptions travel: to other processes, and through copies, with what they say."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from trio_fastws import (
    ConnectionBroken,
    HandshakeError,
    HandshakeRefused,
    Headers,
    InvalidURL,
    Response,
)
from trio_fastws._protocol.errors import ProtocolError


def through_pickle(protocol: int, value: Any) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))


WAYS: list[Callable[[Any], Any]] = [
    *(partial(through_pickle, number) for number in range(pickle.HIGHEST_PROTOCOL + 1)),
    copy.copy,
    copy.deepcopy,
]
RESPONSE = Response(
    403, [("X-Why", "you"), ("x-why", "me")], "token expired", "Go Away"
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "error",
    [
        ConnectionBroken(1006, "the connection was lost"),
        HandshakeError(426, "it rains", (("Upgrade", "websocket"),)),
        HandshakeRefused("server answered 403 Go Away", RESPONSE),
        HandshakeRefused("server closed the connection without an answer", None),
        InvalidURL("URL 'x' is not of the form"),
        ProtocolError(1002, "not masked"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_travels_with_its_attributes(way, error):
    error.add_note("from a worker")
    got = way(error)
    assert type(got) is type(error)
    assert str(got) == str(error)
    assert got.args == error.args
    assert vars(got) == vars(error)


@pytest.mark.parametrize("way", WAYS)
def test_what_it_carries_travels_too(way):
    RESPONSE.headers.get("x-why")  # builds its index, which need not travel
    got = way(RESPONSE)
    assert got == RESPONSE
    assert got.headers.items() == RESPONSE.headers.items()
    assert got.headers.get_all("X-WHY") == ("you", "me")
    assert way(Headers()) == Headers()


@pytest.mark.parametrize("way", WAYS)
def test_an_exception_of_a_subclass_travels(way):
    got = way(Unlucky("no", RESPONSE))
    assert type(got) is Unlucky
    assert got.response == RESPONSE


class Unlucky(HandshakeRefused):
    """What a user may make of it."""
