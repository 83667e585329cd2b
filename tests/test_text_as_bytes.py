"""Text as bytes: sent and received without a ``str`` in between."""

from __future__ import annotations

import pytest
import trio
from trio.testing import (
    assert_checkpoints,
    assert_no_checkpoints,
    wait_all_tasks_blocked,
)

from tests.deflate.cases import linked, offering
from tests.serving import pair, serving
from tests.wire import (
    BINARY,
    CONTINUATION,
    RSV1,
    TEXT,
    Deflater,
    Frame,
    close,
    fragments,
    ping,
    text,
)
from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    PerMessageDeflate,
    PreparedMessage,
    WebSocket,
)

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


# --- received ----------------------------------------------------------------


@pytest.fixture(params=["server", "client"])
def side(request: pytest.FixtureRequest) -> str:
    return request.param


def in_pieces(payload: bytes) -> list[Frame]:
    """Return a text message of which no fragment but the last ends a character."""
    return fragments(TEXT, [payload[:9], payload[9:20], b"", payload[20:]])


async def test_every_way_to_receive_gives_bytes(side):
    payload = GREETING.encode()
    async with linked(side, PerMessageDeflate()) as (ws, peer):
        compressed = Deflater().compress(payload)
        ways = [[text(GREETING)], in_pieces(payload)]
        ways.append(fragments(TEXT, [compressed], RSV1))
        for frames in ways:
            ws.receive_text_as_bytes()
            for _ in range(4):
                await peer.send(*frames)
            await peer.send(Frame(BINARY, b"\xff"))
            await peer.fence()
            assert await ws.receive() == payload
            assert ws.receive_nowait() == payload
            async for message in ws:
                assert message == payload
                break
            async with ws.receive_stream() as stream:
                assert stream.text is None
                pieces = [piece async for piece in stream]
            assert b"".join(pieces) == payload
            assert stream.text is False
            assert await ws.receive() == b"\xff"


async def test_a_stream_gives_pieces_as_they_come():
    payload = GREETING.encode()
    async with pair() as (ws, peer):
        ws.receive_text_as_bytes()
        async with ws.receive_stream() as stream:
            for frame in in_pieces(payload):
                await peer.send(frame)
                if frame.payload:
                    assert await stream.receive() == frame.payload
            with pytest.raises(trio.EndOfChannel):
                await stream.receive()


@pytest.mark.parametrize("compressed", [False, True])
async def test_hooks_get_bytes(compressed):
    got: list[str | bytes] = []

    class Collecting(EventHandler):
        def on_message(self, ws: WebSocket, message: str | bytes) -> None:
            got.append(message)
            ws.receive_text_as_bytes()  # from the next message on

        def on_ping(self, ws: WebSocket, payload: bytes) -> None:
            ws.receive_text_as_bytes()

    payload = GREETING.encode()
    deflater = Deflater()
    async with serving(Collecting(), deflate=PerMessageDeflate()) as site:
        peer = await site.dial(*offering())

        async def say() -> None:
            data, rsv = (
                (deflater.compress(payload), RSV1) if compressed else (payload, 0)
            )
            await peer.send(*fragments(TEXT, [data], rsv))

        for _ in range(3):
            await say()
        await peer.send(*in_pieces(payload))
        await peer.fence()
        assert got == [GREETING, payload, payload, payload]
        got.clear()
        peer = await site.dial(*offering())
        first, *others = in_pieces(payload)
        await peer.send(first, ping(b"now"), *others)  # in the middle of a message
        await peer.fence()
        assert got == [payload]


async def test_what_is_here_already_is_bytes_too():
    payload = GREETING.encode()
    async with pair() as (ws, peer):
        first, *others = in_pieces(payload)
        await peer.send(text(GREETING), Frame(BINARY, b"\xff"), text(""), first)
        await peer.fence()
        assert await ws.receive() == GREETING
        with assert_no_checkpoints():
            ws.receive_text_as_bytes()
        assert ws.statistics().receive_queue == 1 + 2 * 64
        assert [ws.receive_nowait() for _ in range(2)] == [b"\xff", b""]
        await peer.send(*others)
        assert await ws.receive() == payload


async def test_a_stream_that_has_begun_goes_on_as_bytes():
    payload = GREETING.encode()
    async with pair() as (ws, peer):
        async with ws.receive_stream() as stream:
            first, second, *others = in_pieces(payload)
            await peer.send(first, second)
            await peer.fence()
            pieces = [(await stream.receive())]
            assert stream.text is True
            ws.receive_text_as_bytes()
            await peer.send(*others)
            pieces += [piece async for piece in stream]
        assert [type(piece) for piece in pieces] == [str] + [bytes] * len(pieces[1:])
        assert pieces[0].encode() + b"".join(pieces[1:]) == payload


async def test_it_may_be_said_when_the_connection_is_over():
    async with pair() as (ws, peer):
        await peer.send(text(GREETING), close(1000))
        await ws.wait_closed()
        ws.receive_text_as_bytes()
        assert await ws.receive() == GREETING.encode()
        with pytest.raises(trio.EndOfChannel):
            await ws.receive()


async def test_it_is_charged_by_the_byte():
    wide = "y" * 9_000 + "\N{PILE OF POO}"
    async with pair() as (ws, peer):
        await peer.send(text(wide))
        await peer.fence()
        assert ws.statistics().receive_queue == 4 * 9_001 + 64
        ws.receive_text_as_bytes()
        assert ws.statistics().receive_queue == 9_004 + 64
        await peer.send(text(wide))
        await peer.fence()
        assert ws.statistics().receive_queue == 2 * (9_004 + 64)


@pytest.mark.parametrize("wrong", [b"\xff", b"ok \xed\xa0\x80", b"\xc3"])
@pytest.mark.parametrize("way", ["whole", "fragments", "compressed"])
async def test_what_is_no_utf_8_fails_the_connection(side, wrong, way):
    async with linked(side, PerMessageDeflate()) as (ws, peer):
        ws.receive_text_as_bytes()
        frames = {
            "whole": [Frame(TEXT, b"ok " + wrong)],
            "fragments": fragments(TEXT, [b"ok ", wrong[:1], wrong[1:]]),
            "compressed": fragments(TEXT, [Deflater().compress(wrong)], RSV1),
        }[way]
        await peer.send(*frames)
        frame = await peer.read_frame()
        assert frame is not None
        assert frame.payload.startswith(close(1007, "text is not UTF-8: ").payload)
        if side == "client":
            await peer.send_eof()
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        assert caught.value.close_code == 1007
