"""Our exceptions travel: to other processes, and through copies, with what they say."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair

from tests.wire import Peer
from trio_fastws import (
    ConnectionBroken,
    HandshakeError,
    HandshakeRefused,
    Headers,
    InvalidURL,
    Request,
    Response,
    Timeouts,
    open_websocket,
    upgrade,
)
from trio_fastws._exceptions import (
    OpeningTimeoutError,
    TLSHandshakeError,
    UnreachableError,
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
        UnreachableError("connection refused", 111),
        UnreachableError("all attempts to connect failed", None),
        TLSHandshakeError(0, "TLS handshake failed: no"),
        OpeningTimeoutError(0, "no answer within 1 s (Timeouts.handshake)"),
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
    assert getattr(got, "errno", None) == getattr(error, "errno", None)


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


# --- one `except` for every opening that fails -------------------------------


async def refuse(stream: trio.SocketStream) -> None:
    async with stream:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


async def stay_silent(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


FAILURES: dict[str, tuple[str, type[Exception], int, str]] = {
    "refused": ("ws", HandshakeRefused, 403, "server answered 403 Forbidden"),
    "no TLS there": ("wss", trio.BrokenResourceError, 0, "TLS handshake failed: "),
    "silent": ("ws", trio.TooSlowError, 0, "no answer within 1 s"),
    "nobody listens": ("ws", OSError, 0, "all attempts to connect"),
    "no such host": ("ws", OSError, 0, "cannot find host no.such.host.invalid: "),
}


@pytest.mark.parametrize("what", FAILURES)
async def test_one_except_catches_every_opening_that_fails(
    nursery, autojump_clock, what: str
) -> None:
    scheme, kind, status, words = FAILURES[what]
    handler = stay_silent if what == "silent" else refuse
    if what == "nobody listens":
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        host, port = listener.socket.getsockname()
        await listener.aclose()
    else:
        serve = partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        host, port = listener.socket.getsockname()
    if what == "no such host":
        host = "no.such.host.invalid"
    with pytest.raises(HandshakeError) as caught:
        async with open_websocket(
            f"{scheme}://{host}:{port}", timeouts=Timeouts(handshake=1)
        ):
            pass
    assert isinstance(caught.value, kind)
    assert caught.value.status == status
    assert words in str(caught.value)
    nursery.cancel_scope.cancel()


async def test_of_an_upgrade_it_is_what_the_client_got() -> None:
    ours, theirs = memory_stream_pair()
    with pytest.raises(HandshakeError) as caught:
        async with Peer(theirs), upgrade(ours, Request("GET", "/", {"Host": "a"})):
            pass
    assert str(caught.value) == f"426 {caught.value.reason}"
