"""Text as bytes: what is sent as text without having been a ``str``."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.serving import pair
from tests.wire import BINARY, CONTINUATION, TEXT, Frame, close, text
from trio_fastws import PreparedMessage

pytestmark = pytest.mark.usefixtures("transport")

GREETING = '{"grüße": "你好 😀"}'
# What is no UTF-8, and where it is wrong.
WRONG = [
    (b"\xff", 0),
    (b"ok \x80", 3),
    (b"\xc0\xaf", 0),
    (b"\xed\xa0\x80", 0),
    (b"\xf4\x90\x80\x80", 0),
    (b"a" * 100 + "é".encode()[:1], 100),
    (b"a" * 100 + b"\xe0\x80\x80" + b"b" * 100, 100),
]


async def test_bytes_are_sent_as_text_and_text_as_bytes():
    payload = GREETING.encode()
    async with pair() as (ws, peer):
        for data in (payload, bytearray(payload), memoryview(payload), GREETING):
            for is_text, opcode in ((True, TEXT), (False, BINARY)):
                with assert_checkpoints():
                    await ws.send(data, text=is_text)
                ws.send_nowait(data, text=is_text)
                await ws.send(PreparedMessage(data, text=is_text))
                ws.send_nowait(PreparedMessage(data, text=is_text))
                assert await peer.read_frames(4) == [Frame(opcode, payload)] * 4


async def test_what_a_prepared_message_is():
    payload = GREETING.encode()
    for data in (GREETING, payload):
        assert PreparedMessage(data, text=True).message == GREETING
        assert PreparedMessage(data, text=False).message == payload
        assert PreparedMessage(data, text=True).payload == payload


@pytest.mark.parametrize(("data", "at"), WRONG)
async def test_bytes_that_are_no_utf_8_are_refused_before_anything_is_queued(data, at):
    async with pair() as (ws, peer):
        with pytest.raises(UnicodeDecodeError) as caught:
            await ws.send(data, text=True)
        assert (caught.value.object, caught.value.start) == (data, at)
        with pytest.raises(UnicodeDecodeError):
            ws.send_nowait(bytearray(data), text=True)
        with pytest.raises(UnicodeDecodeError):
            PreparedMessage(data, text=True)
        assert ws.statistics().messages_sent == 0
        await ws.send(data, text=False)
        assert await peer.read_frame() == Frame(BINARY, data)


@pytest.mark.parametrize("wrong", [1, 0, "text", b""])
async def test_text_is_true_false_or_none(wrong):
    async with pair() as (ws, peer):
        with pytest.raises(TypeError, match=r"text must be True, False or None, not "):
            await ws.send(b"a", text=wrong)
        with pytest.raises(TypeError, match=r"text must be True, False or None, not "):
            ws.send_nowait(b"a", text=wrong)
        with pytest.raises(TypeError, match=r"text must be True, False or None, not "):
            PreparedMessage(b"a", text=wrong)
        await ws.send("after")
        assert await peer.read_frame() == text("after")


@pytest.mark.parametrize("is_text", [True, False])
async def test_a_prepared_message_was_told_before(is_text):
    async with pair() as (ws, peer):
        prepared = PreparedMessage(b"a", text=True)
        with pytest.raises(TypeError, match="PreparedMessage"):
            await ws.send(prepared, text=is_text)
        with pytest.raises(TypeError, match="PreparedMessage"):
            ws.send_nowait(prepared, text=is_text)
        with pytest.raises(TypeError, match="PreparedMessage"):
            PreparedMessage(prepared, text=is_text)  # type: ignore[arg-type]
        await ws.send(prepared)
        assert await peer.read_frame() == text("a")


@pytest.mark.parametrize("is_text", [True, False])
async def test_other_types_are_refused_whatever_they_are_called(is_text):
    async with pair() as (ws, _peer):
        for wrong in (3, None, ["a"]):
            with pytest.raises(TypeError, match="message must be str or bytes-like"):
                await ws.send(wrong, text=is_text)
        with pytest.raises(UnicodeEncodeError):
            ws.send_nowait("\ud800", text=is_text)


# --- in pieces ---------------------------------------------------------------


async def test_pieces_of_a_text_message_may_be_bytes_cut_anywhere():
    payload = GREETING.encode()
    async with pair() as (ws, peer):
        for cut in range(len(payload) + 1):
            async with ws.open_message(text=True) as message:
                await message.write(payload[:cut])
                await message.write(memoryview(payload)[cut:])
                await message.write("é")
            frames = await peer.read_frames(4)
            assert [frame.opcode for frame in frames] == [TEXT] + [CONTINUATION] * 3
            assert frames[0].payload == payload[:cut]
            assert b"".join(frame.payload for frame in frames) == payload + "é".encode()


async def test_a_message_that_ends_in_a_character_fails_as_by_an_exception():
    async with pair() as (ws, peer):
        with pytest.raises(UnicodeDecodeError, match="unexpected end of data"):
            async with ws.open_message(text=True) as message:
                await message.write("é".encode()[:1])
        assert await peer.read_frames(2) == [
            Frame(TEXT, b"\xc3", fin=False),
            close(1011, "message broken off"),
        ]


async def test_a_wrong_piece_is_refused_and_changes_nothing():
    async with pair() as (ws, peer):
        async with ws.open_message(text=True) as message:
            await message.write(b"a\xe2")
            for wrong in (b"b", b"\x82\xff", "é", b"\x82\xac\xed\xa0"):
                with pytest.raises(UnicodeDecodeError), assert_checkpoints():
                    await message.write(wrong)
            await message.write(b"\x82\xac")
        frames = await peer.read_frames(3)
        assert [frame.payload for frame in frames] == [b"a\xe2", b"\x82\xac", b""]


async def test_a_piece_that_was_cancelled_counts_for_nothing():
    async with pair() as (ws, peer):
        async with ws.open_message(text=True) as message:
            await message.write(b"\xe2")
            with trio.CancelScope() as scope:
                scope.cancel()
                await message.write(b"\x82")
            await message.write(b"\x82\xac")
        frames = await peer.read_frames(3)
        assert b"".join(frame.payload for frame in frames).decode() == "€"


async def test_pieces_of_two_tasks_are_checked_in_the_order_of_the_wire():
    async with pair() as (ws, peer):
        async with (
            ws.open_message(text=True) as message,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(message.write, b"\xe2\x82")
            await wait_all_tasks_blocked()
            nursery.start_soon(message.write, b"\xac")
        frames = await peer.read_frames(3)
        assert b"".join(frame.payload for frame in frames).decode() == "€"
