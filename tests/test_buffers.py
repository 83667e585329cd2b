"""Anything bytes-like can be sent: whatever `memoryview` takes."""

from __future__ import annotations

import array
import ctypes
import mmap
import struct

import pytest

from tests.serving import pair
from tests.wire import (
    BINARY,
    binary,
)
from trio_fastws import PreparedMessage, Response, Sending

pytestmark = pytest.mark.usefixtures("transport")


class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_uint16), ("y", ctypes.c_uint32))


def mapped() -> mmap.mmap:
    memory = mmap.mmap(-1, 4)
    memory[:] = b"mmap"
    return memory


def numpy_array():
    numpy = pytest.importorskip("numpy")
    return numpy.arange(6, dtype="<u2").reshape(2, 3)


# Each with its bytes: in memory, as many as `nbytes` says.
BUFFERS = {
    "array": lambda: (array.array("i", [1, -2]), struct.pack("ii", 1, -2)),
    "array of doubles": lambda: (array.array("d", [0.5]), struct.pack("d", 0.5)),
    "empty array": lambda: (array.array("I"), b""),
    "ctypes array": lambda: ((ctypes.c_int16 * 3)(1, 2, 3), struct.pack("3h", 1, 2, 3)),
    "ctypes structure": lambda: (Point(1, 2), struct.pack("@HI", 1, 2)),
    "mmap": lambda: (mapped(), b"mmap"),
    "memoryview of ints": lambda: (
        memoryview(array.array("i", [7])),
        struct.pack("i", 7),
    ),
    "matrix": lambda: (memoryview(b"abcdef").cast("B", (2, 3)), b"abcdef"),
    # Its elements, in order.
    "every other": lambda: (memoryview(b"abcdef")[::2], b"ace"),
    "backwards": lambda: (memoryview(b"abc")[::-1], b"cba"),
    "numpy": lambda: (numpy_array(), struct.pack("<6H", *range(6))),
    "numpy, a column": lambda: (numpy_array()[:, 1], struct.pack("<2H", 1, 4)),
    "numpy, transposed": lambda: (
        numpy_array().T,
        struct.pack("<6H", 0, 3, 1, 4, 2, 5),
    ),
}


@pytest.fixture(params=BUFFERS)
def buffer(request: pytest.FixtureRequest):
    return BUFFERS[request.param]()


async def test_it_is_sent_as_binary(buffer):
    value, expected = buffer
    async with pair() as (ws, peer):
        await ws.send(value)
        ws.send_nowait(value)
        await ws.send(PreparedMessage(value))
        assert await peer.read_frames(3) == [binary(expected)] * 3
        async with ws.open_message() as message:
            await message.write(value)
            await message.write(value)
        frames = await peer.read_frames(3)
        assert frames[0].opcode == BINARY
        assert b"".join(frame.payload for frame in frames) == expected * 2


def test_it_is_the_body_of_a_response(buffer):
    value, expected = buffer
    assert Response(200, body=value).body == expected
    assert "Content-Type" not in Response(200, body=value).headers


async def test_it_is_copied():
    value = array.array("B", bytes(100_000))
    sending = Sending(high_water=2**20)
    async with pair(small=True, sending=sending) as (ws, peer):
        ws.send_nowait(value)
        ws.send_nowait(value)
        for index in range(len(value)):
            value[index] = 1
        # Nor is it held: this could not be done to an array that is exported.
        value.append(1)
        assert await peer.read_frames(2) == [binary(bytes(100_000))] * 2


@pytest.mark.parametrize("value", [3, 2.5, None, [1], {"a"}, object(), (1, 2)])
async def test_what_is_no_buffer_is_refused(value):
    async with pair() as (ws, peer):
        for send in (ws.send_nowait, PreparedMessage):
            with pytest.raises(TypeError, match="message must be str or bytes-like, "):
                send(value)
        with pytest.raises(TypeError, match="message must be str or bytes-like, not"):
            await ws.send(value)
        ws.send_nowait(b"after")
        assert await peer.read_frame() == binary(b"after")
