"""Compressed messages and other libraries: in both roles, all parameters, any order.

We send 10,000 random messages to each peer in each of its roles, and they echo. So
what either compresses, the other inflates.
"""

import pytest

from tests.interop.deflating import (
    COMBINATIONS,
    NAMES,
    check_compression,
    dialed,
    echo_all,
    served,
)
from tests.interop.material import make_messages
from trio_fastws import PerMessageDeflate

pytestmark = pytest.mark.slow

# What each can ask for: nothing of it keeps it from doing what it is asked for.
ABLE = {
    ("websockets", "serve"): NAMES,
    ("websockets", "dial"): NAMES,
    ("websockets.trio", "serve"): NAMES,
    ("websockets.trio", "dial"): NAMES,
    ("aiohttp", "serve"): (),
    ("aiohttp", "dial"): ("server_max_window_bits",),
    ("node-ws", "serve"): NAMES,
    ("node-ws", "dial"): NAMES,
    ("undici", "dial"): (),
}


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
@pytest.mark.parametrize(("name", "role"), ABLE)
async def test_every_message_comes_back(deflate_peer, name, role, combination):
    peer = deflate_peer(name)
    able = ABLE[name, role]
    ours, theirs = combination.ours(able), combination.theirs(able)
    if role == "serve":
        connection = dialed(peer, ours, **theirs)
    else:
        connection = served(ours, lambda port: peer.tell(dial=port, **theirs))
    async with connection as ws:
        assert ws.deflate == combination.wanted
        await echo_all(ws, combination.messages(), f"{combination.number}")
        # undici inflates, and has no compressor.
        check_compression(ws, echoes_compressed=name != "undici")
    assert (await peer.ended())["code"] == 1000


@pytest.mark.parametrize("bits", [9, 12, 13, 14, 15])
@pytest.mark.parametrize("name", ["node-ws", "websockets"])
async def test_our_defaults_and_a_server_with_a_window_of_its_own(
    deflate_peer, name, bits
):
    # Asked for 12, some refuse that and others answer theirs; we ask for none.
    peer = deflate_peer(name)
    async with dialed(peer, PerMessageDeflate(), client_max_window_bits=bits) as ws:
        assert ws.deflate == (False, False, 15, min(bits, 12))
        await echo_all(ws, make_messages(bits, 50, large=True), f"{bits}")
        check_compression(ws)
    assert (await peer.ended())["code"] == 1000
