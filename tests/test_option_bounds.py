"""Each numeric option at the end of its range, with a connection that uses it."""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields
from functools import partial

import pytest
import trio

from tests.handlers import Echo, echo
from tests.wire import (
    TEXT,
    Frame,
    dial,
)
from trio_fastws import (
    Limits,
    PerMessageDeflate,
    Sending,
    Timeouts,
    open_websocket,
    serve_websocket,
)

MOST = 2**62
MOST_SECONDS = 1e10
GROUPS = {
    "limits": Limits,
    "timeouts": Timeouts,
    "sending": Sending,
    "deflate": PerMessageDeflate,
}
# What goes by other names, or by bits and levels with ranges of their own.
OTHERS = {
    "keep_request",
    "policy",
    "on_disconnect",
    "server_window_bits",
    "client_window_bits",
    "memory_level",
    "level",
    "library",
    "context",
    "server_context_takeover",
    "client_context_takeover",
}
# What must not be less than another.
WITH = {"high_water": ("hard_limit",), "low_water": ("high_water", "hard_limit")}
# Held back for so long, nothing would come.
WAITING = {"delay"}


def numbers():
    for group, kind in GROUPS.items():
        for field in fields(kind):
            if field.name in OTHERS:
                continue
            assert field.default is not MISSING
            yield group, field.name


def most(group: str, name: str) -> float:
    seconds = group == "timeouts" or name == "delay"
    return MOST_SECONDS if seconds else MOST


def make(group: str, name: str, value: float):
    options = dict.fromkeys((name, *WITH.get(name, ())), value)
    return GROUPS[group](**options)


@pytest.mark.parametrize(("group", "name"), list(numbers()))
@pytest.mark.parametrize("value", [sys.maxsize, 2**63, 2**64, 10**400])
def test_what_is_meant_as_never_is_refused_where_it_is_written(
    group, name, value
) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be .* "):
        GROUPS[group](**{name: value})


@pytest.mark.parametrize(("group", "name"), list(numbers()))
def test_one_more_than_the_most_is_refused(group, name) -> None:
    value = most(group, name)
    make(group, name, value)
    more = value * (1 + 1e-15) if type(value) is float else value + 1
    with pytest.raises(ValueError, match=f"{name} is "):
        GROUPS[group](**{name: more})


@pytest.mark.parametrize("handler", [echo, Echo()], ids=["async", "hooks"])
@pytest.mark.parametrize(
    ("group", "name"), [pair for pair in numbers() if pair[1] not in WAITING]
)
async def test_the_most_means_no_limit(
    transport, no_errors_logged, handler, group, name
) -> None:
    options = {
        "deflate": PerMessageDeflate(),
        group: make(group, name, most(group, name)),
    }
    message = "abc" * 10_000
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(serve_websocket, handler, 0, host="127.0.0.1", **options)
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, **options) as ws:
            for text in ("", "a", message):
                await ws.send(text)
                assert await ws.receive() == text
            await ws.ping()
            async with ws.open_message(text=True) as piecewise:
                await piecewise.write(message)
                await piecewise.write(message)
            assert await ws.receive() == message * 2
        async with await dial(server.port) as peer:
            await peer.shake()
            await peer.send(Frame(TEXT, b"a", fin=False), Frame(0, b"b"))
            assert await peer.read_frame() == Frame(TEXT, b"ab")
            # A length as large as can be written, at whatever limit.
            await peer.send(b"\x82\xff" + (2**63 - 1).to_bytes(8) + bytes(4) + b"x")
            assert (await peer.read_close())[0] == 1009
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("code", [2**31, 2**63, 2**64, -1, 10**50])
async def test_numbers_that_functions_are_given(transport, connect, code) -> None:
    ws, _ = await connect()
    with pytest.raises(ValueError, match="close code"):
        ws.close_nowait(code)
    with pytest.raises(ValueError, match="close code"):
        await ws.aclose(code)
    assert ws.state == "open"
