"""Compressed messages and a strict peer of our own, which compresses as others do."""

from dataclasses import replace

import pytest

from tests.interop.deflating import (
    COMBINATIONS,
    NAMES,
    UNASKED,
    check_compression,
    dialed,
    echo_all,
    served,
)
from tests.interop.material import make_messages
from trio_fastws import PerMessageDeflate

pytestmark = pytest.mark.slow

NO_TAKEOVER = {
    "server_no_context_takeover": True,
    "client_no_context_takeover": True,
}


def write(parameters):
    words = [
        name if value is True else f"{name}={value}"
        for name, value in parameters.items()
    ]
    return "; ".join(["permessage-deflate", *words])


def is_encodable(message, threshold):
    """Return whether we must compress a message, if takeover is persistent."""
    if message.how == "pieces":
        return message.compress
    data = message.data
    size = len(data.encode() if isinstance(data, str) else data)
    return message.compress and size >= max(threshold, 1)


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
@pytest.mark.parametrize("style", ["any", "final"])
@pytest.mark.parametrize("role", ["serve", "dial"])
async def test_every_message_comes_back(deflate_peer, role, style, combination):
    peer = deflate_peer("raw")
    wanted = dict(zip(NAMES, combination.wanted, strict=True))
    free = dict(zip(NAMES, UNASKED, strict=True))
    ours = combination.ours()
    messages = combination.messages()
    told = dict(wanted)
    if role == "serve":
        # It grants what we ask for, and asks for what we have left open.
        agreed = {name: want for name, want in wanted.items() if want != free[name]}
        connection = dialed(peer, ours, style=style, extension=write(agreed))
    else:
        # RFC 7692 7.1.2.2: with or without a value, it lets us limit its window.
        offer = write(combination.theirs())
        if "server_max_window_bits" not in offer:
            # Who did not ask for our window is not told of it.
            told["server_max_window_bits"] = 15
        if "client_max_window_bits" not in offer:
            offer += "; client_max_window_bits"

        async def dial(port):
            await peer.tell(dial=port, style=style, extension=offer)

        connection = served(ours, dial)
    async with connection as ws:
        assert ws.deflate == combination.wanted
        await echo_all(ws, messages, f"{combination.number}")
        check_compression(ws)
        taken_over = not (ws.deflate[0] if role == "dial" else ws.deflate[1])
    result = await peer.ended()
    assert result["code"] == 1000
    assert result["agreed"] == told
    most = sum(is_encodable(message, ours.threshold) for message in messages)
    if taken_over and combination.context == "persistent":
        assert result["compressed"] == most
    else:
        # Some are no smaller, and then they go as they are.
        assert most / 2 < result["compressed"] < most
    assert result["compressed"] + result["plain"] == len(messages)


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
async def test_client_in_go_gets_every_message_back(deflate_peer, combination):
    peer = deflate_peer("raw")

    async def dial(port):
        offer = write(NO_TAKEOVER)
        await peer.tell(dial=port, style="go", extension=offer)

    async with served(combination.ours(()), dial) as ws:
        # It does not let its own window be limited.
        assert ws.deflate == (True, True, combination.wanted[2], 15)
        await echo_all(ws, combination.messages(), f"{combination.number}")
        check_compression(ws)
    result = await peer.ended()
    assert result["code"] == 1000
    assert result["compressed"] > 100


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
async def test_server_in_go_gets_every_message_back(deflate_peer, combination):
    peer = deflate_peer("raw")
    # It answers the same whatever it is asked for: to ask for a window is in vain.
    ours = replace(combination.ours(()), server_window_bits=15)
    async with dialed(peer, ours, style="go", extension=write(NO_TAKEOVER)) as ws:
        assert ws.deflate == (True, True, 15, combination.wanted[3])
        await echo_all(ws, combination.messages(), f"{combination.number}")
        check_compression(ws)
    result = await peer.ended()
    assert result["code"] == 1000
    assert result["compressed"] > 100


async def test_defaults_are_good_for_a_server_in_go(deflate_peer):
    # So they ask for no window of the server's: it would grant that without a word,
    # and RFC 7692 7.1.2.1 does not let us take silence for a yes.
    peer = deflate_peer("raw")
    order = {"style": "go", "extension": write(NO_TAKEOVER)}
    async with dialed(peer, PerMessageDeflate(), **order) as ws:
        assert ws.deflate == (True, True, 15, 12)
        await echo_all(ws, make_messages(0, 100, large=True), "0")
    assert (await peer.ended())["code"] == 1000
