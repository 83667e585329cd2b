"""The peer of the tests itself: by the examples of the RFCs, and by what is wrong."""

from __future__ import annotations

import pytest
import trio
from trio.testing import memory_stream_pair

from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASKING_KEY,
    PING,
    PONG,
    RSV1,
    STYLES,
    TEXT,
    WEBSOCKET_ACCEPT,
    WEBSOCKET_KEY,
    Deflater,
    Frame,
    FrameReader,
    Inflater,
    MemoryListener,
    MessageReader,
    Peer,
    TornError,
    Way,
    WireError,
    accept,
    accept_value,
    binary,
    close,
    continuation,
    dial,
    dial_unix,
    field,
    fragments,
    masked,
    parse,
    ping,
    pong,
    port_of,
    stored,
    tcp_listener,
    text,
    three_ways,
    unmasked,
    upgrade_request,
    xor,
)

# RFC 6455 5.7
EXAMPLES = [
    (text("Hello"), None, "81 05 48 65 6c 6c 6f"),
    (text("Hello"), MASKING_KEY, "81 85 37 fa 21 3d 7f 9f 4d 51 58"),
    (text("Hel", fin=False), None, "01 03 48 65 6c"),
    (continuation("lo"), None, "80 02 6c 6f"),
    (ping(b"Hello"), None, "89 05 48 65 6c 6c 6f"),
    (pong(b"Hello"), MASKING_KEY, "8a 85 37 fa 21 3d 7f 9f 4d 51 58"),
    (binary(bytes(256)), None, "82 7E 01 00" + " 00" * 256),
    (binary(bytes(65536)), None, "82 7F 00 00 00 00 00 01 00 00" + " 00" * 65536),
]
# RFC 7692 7.2.3: what each of the examples inflates to is "Hello".
HELLO = [
    ["f2 48 cd c9 c9 07 00"],
    ["f2 48 cd c9 c9 07 00", "f2 00 11 00 00"],
    ["00 05 00 fa ff 48 65 6c 6c 6f 00"],
    ["f3 48 cd c9 c9 07 00 00"],
    ["f2 48 05 00 00 00 ff ff ca c9 c9 07 00"],
]


@pytest.mark.parametrize(("frame", "key", "data"), EXAMPLES)
def test_frames_are_those_of_the_rfc(frame, key, data):
    assert frame.encode(key) == bytes.fromhex(data)
    reader = FrameReader(masked=key is not None)
    if frame.opcode == CONTINUATION:
        reader.feed(text("", fin=False).encode(key))
        reader.next_frame()
    for chunk in three_ways(bytes.fromhex(data))["byte by byte"]:
        assert reader.next_frame() is None
        reader.feed(chunk)
    found = reader.next_frame()
    assert (found, found.key) == (frame, key)
    reader.end()


def test_masking_may_begin_within_the_key():
    data = bytes(range(50))
    assert xor(data, bytes(4)) == data
    assert xor(xor(data, MASKING_KEY), MASKING_KEY) == data
    for at in range(10):
        whole = xor(data, MASKING_KEY)
        assert xor(data[at:], MASKING_KEY, at) == whole[at:]


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        ([Frame(3)], "opcode"),
        ([Frame(11)], "opcode"),
        ([Frame(TEXT, rsv=RSV1)], "reserved"),
        ([Frame(PING, rsv=RSV1)], "reserved"),
        ([Frame(PING, fin=False)], "FIN"),
        ([Frame(PONG, bytes(126))], "125"),
        ([Frame(CLOSE, b"\3")], "half"),
        ([Frame(CONTINUATION)], "mixed"),
        ([text("a", fin=False), text("b")], "mixed"),
        ([close(1000), text("a")], "behind"),
        ([Frame(TEXT, bytes(125), length_bits=16)], "shortest"),
        ([Frame(TEXT, bytes(125), length_bits=64)], "shortest"),
        ([Frame(TEXT, bytes(65535), length_bits=64)], "shortest"),
        ([Frame(TEXT, length=2**63)], "shortest"),
    ],
)
def test_a_frame_that_breaks_the_rfc_is_none(frames, problem):
    for client in (False, True):
        data = masked(*frames) if client else unmasked(*frames)
        with pytest.raises(WireError, match=problem):
            parse(data, masked=client, rsv=0)


def test_only_a_client_masks_and_the_last_frame_must_be_whole():
    for data, right in ((masked(ping()), True), (unmasked(ping()), False)):
        assert parse(data, masked=right) == parse(data) == [ping()]
        with pytest.raises(WireError, match="wrong side"):
            parse(data, masked=not right)
        with pytest.raises(TornError):
            parse(data[:-1])


def test_only_the_first_frame_of_a_message_says_that_it_is_compressed():
    first, second = fragments(TEXT, [b"a", b"b"], RSV1)
    assert (first.rsv1, second.rsv1) == (True, False)
    assert parse(unmasked(first, second)) == [first, second]
    with pytest.raises(WireError, match="reserved"):
        parse(unmasked(first, Frame(CONTINUATION, b"b", rsv=RSV1)))


@pytest.mark.parametrize("payloads", HELLO)
def test_what_is_compressed_is_read_as_in_the_rfc(payloads):
    inflater = Inflater(exact=True)
    for payload in payloads:
        assert inflater.inflate(bytes.fromhex(payload)) == b"Hello"


@pytest.mark.parametrize("bits", [8, 9, 15])
@pytest.mark.parametrize("takeover", [True, False])
def test_every_way_to_compress_is_read(bits, takeover):
    way = Way(bits, takeover)
    deflater, inflater = Deflater(way), Inflater(way, exact=True)
    reader = MessageReader(masked=True, inflater=inflater)
    for number, style in enumerate(STYLES * 2):
        message = b"%d: hello, hello " % number * 40
        payload = deflater.compress(message, style)
        cut = fragments(BINARY, [payload[:5], b"", payload[5:]], RSV1)
        found = reader.read_one(masked(cut[0], ping(b"in"), *cut[1:]))
        assert (found.message, found.compressed) == (message, True)
        assert found.sizes == [5, 0, len(payload) - 5]
        assert reader.control.pop() == ping(b"in")


def test_messages_are_judged():
    with pytest.raises(WireError, match="UTF-8"):
        MessageReader().read_one(unmasked(text(b"\xff")))
    with pytest.raises(WireError, match="reserved"):
        MessageReader().read(unmasked(Frame(TEXT, b"a", rsv=RSV1)))
    payload = stored(b"a", final=True)
    assert Inflater().inflate(payload) == b"a"
    with pytest.raises(WireError, match="final"):
        Inflater(final=False).inflate(payload)


def test_handshakes_are_those_of_the_rfc():
    assert accept_value(WEBSOCKET_KEY) == WEBSOCKET_ACCEPT
    head = upgrade_request("Cookie: a=b", without=("Host",))
    assert field(head, "cookie") == "a=b"
    assert field(head, "Host") is None
    assert head.endswith(b"\r\nCookie: a=b\r\n\r\n")


@pytest.mark.parametrize("kind", ["tcp", "tls", "unix", "memory"])
async def test_two_peers_talk_over_any_stream(
    kind, tmp_path, nursery, server_tls, client_tls
):
    if kind == "memory":
        memory = MemoryListener()
        client, server = Peer(memory.connect()), await accept(memory)
    elif kind == "unix":
        sock = trio.socket.socket(trio.socket.AF_UNIX)
        await sock.bind(str(tmp_path / "s"))
        sock.listen()
        async with trio.SocketListener(sock) as listener:
            client = await dial_unix(tmp_path / "s")
            server = await accept(listener)
    else:
        async with tcp_listener() as listener:
            tls = client_tls if kind == "tls" else None
            client = await dial(port_of(listener), tls=tls)
            stream = await listener.accept()
        if kind == "tls":
            stream = trio.SSLStream(stream, server_tls, server_side=True)
        server = Peer(stream)
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    async with client, server:
        async with trio.open_nursery() as both:
            both.start_soon(client.shake, offer)
            both.start_soon(lambda: server.welcome(deflate=True))
        assert client.extensions == server.extensions == "permessage-deflate"
        for one, other in ((client, server), (server, client)):
            await one.send_message(TEXT, b"hello " * 50, 7)
            assert (await other.read_message()).message == "hello " * 50
            await one.send_slowly(text("slow"), close(4000, "bye"))
            assert await other.read_message() == (TEXT, b"slow", False, [b"slow"])
            assert await other.read_close() == (4000, "bye")
        if kind in ("tcp", "unix"):
            await server.send_eof()
            assert await client.read_frames() == []
            client.reset()
            if kind == "tcp":
                with pytest.raises(trio.BrokenResourceError):
                    await server.read_frame()


async def test_a_stream_that_ends_within_a_frame_is_noticed():
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    await ours.send_all(unmasked(text("whole"), text("torn"))[:-1])
    await ours.send_eof()
    assert await peer.read_frame() == text("whole")
    with pytest.raises(TornError):
        await peer.read_frame()
