"""What `send` and `send_nowait` put on the wire, and when."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, assert_no_checkpoints

from tests.raw import BINARY, CLOSE, Frame, binary, masked_close, pair, text
from trio_fastws import ConnectionBroken


@pytest.mark.parametrize(
    ("value", "frame"),
    [
        ("grüße", Frame(1, "grüße".encode())),
        (b"\0\xff", Frame(2, b"\0\xff")),
        (bytearray(b"ab"), Frame(2, b"ab")),
        (memoryview(b"abc")[1:], Frame(2, b"bc")),
        ("", Frame(1, b"")),
        (b"", Frame(2, b"")),
        (b"x" * 125, Frame(2, b"x" * 125)),
        (b"x" * 126, Frame(2, b"x" * 126)),
        (b"x" * 65536, Frame(2, b"x" * 65536)),
    ],
)
async def test_a_message_is_one_frame(value, frame):
    async with pair() as (ws, peer):
        with assert_checkpoints():
            await ws.send(value)
        assert await peer.read() == frame
        with assert_no_checkpoints():
            ws.send_nowait(value)
        assert await peer.read() == frame
