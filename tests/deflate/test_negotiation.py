"""Agreeing on compression: what stands in the heads, and what `deflate` says."""

from __future__ import annotations

import random
import re
import zlib
from functools import partial

import pytest
import trio
from trio.testing import memory_stream_pair

from tests.handlers import echo
from tests.wire import (
    BINARY,
    TEXT,
    WEBSOCKET_KEY,
    Frame,
    Peer,
    close,
    dial,
    upgrade_request,
)
from trio_fastws import (
    EventHandler,
    HandshakeError,
    HandshakeRefused,
    PerMessageDeflate,
    Request,
    Response,
    WebSocket,
    open_websocket,
    upgrade,
)
from trio_fastws._config.compression import MOST_AGREEMENTS, Negotiator
from trio_fastws._protocol.codes import Role

PMD = "permessage-deflate"
FRESH = PerMessageDeflate(server_context_takeover=False, client_context_takeover=False)
WIDE = PerMessageDeflate(server_window_bits=15, client_window_bits=15)
# What the defaults give to a browser.
USUAL = (False, False, 12, 12)


def line(value: str) -> str:
    return f"Sec-WebSocket-Extensions: {value}"


def extensions(data: bytes) -> list[str]:
    """Return the values of Sec-WebSocket-Extensions in a head."""
    found = re.findall(rb"(?i)\r\nSec-WebSocket-Extensions:[ ]*([^\r]*)", data)
    return [value.decode() for value in found]


# --- servers -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "lines", "answered", "agreed"),
    [
        (
            PerMessageDeflate(),
            [PMD],
            PMD,
            (0, 0, 12, 15),
        ),
        (
            PerMessageDeflate(),
            [f"{PMD}; client_max_window_bits"],
            f"{PMD}; client_max_window_bits=12",
            USUAL,
        ),
        # what it does with its own window it says to those who ask
        (
            PerMessageDeflate(),
            [f"{PMD}; server_max_window_bits=15; client_max_window_bits"],
            f"{PMD}; server_max_window_bits=12; client_max_window_bits=12",
            USUAL,
        ),
        (WIDE, [f"{PMD}; client_max_window_bits"], PMD, (0, 0, 15, 15)),
        (
            FRESH,
            [f"{PMD}; client_max_window_bits=9"],
            f"{PMD}; server_no_context_takeover; client_no_context_takeover; "
            "client_max_window_bits=9",
            (1, 1, 12, 9),
        ),
        (
            WIDE,
            [f'{PMD}; server_max_window_bits="10"; server_no_context_takeover'],
            f"{PMD}; server_no_context_takeover; server_max_window_bits=10",
            (1, 0, 10, 15),
        ),
        # the first that can be kept, of all lines
        (WIDE, [f"{PMD}; server_max_window_bits=8, {PMD}"], PMD, (0, 0, 15, 15)),
        (WIDE, ["x; y=1", f"{PMD}; mode=fast", f"a, {PMD}"], PMD, (0, 0, 15, 15)),
        # none
        (WIDE, [], None, None),
        (WIDE, ["x-webkit-deflate-frame"], None, None),
        (WIDE, [f"{PMD}; server_max_window_bits=8"], None, None),
        (WIDE, [f"{PMD}; client_max_window_bits=16"], None, None),
        (None, [f"{PMD}; client_max_window_bits"], None, None),
        (None, [], None, None),
    ],
)
async def test_a_server_answers_offers(
    transport, connect, options, lines, answered, agreed, serve
) -> None:
    seen: list[object] = []

    async def handler(ws: WebSocket) -> None:
        seen.append(ws.deflate)
        await echo(ws)

    server = await serve(handler, deflate=options)
    async with await dial(server.port) as peer:
        data = await peer.shake(*map(line, lines), early=Frame(TEXT, b"hi"))
        assert data.startswith(b"HTTP/1.1 101 ")
        assert extensions(data) == ([] if answered is None else [answered])
        # A message that is not compressed may always be sent; so short a one is not.
        assert await peer.read_frame() == Frame(TEXT, b"hi")
        assert seen == [agreed]


async def test_hooks_know_what_was_agreed_on(transport, serve) -> None:
    seen: list[object] = []

    class Handler(EventHandler):
        def on_open(self, ws: WebSocket) -> None:
            seen.append(ws.deflate)

        def on_close(self, ws: WebSocket) -> None:
            seen.append(ws.deflate)

    server = await serve(Handler(), deflate=PerMessageDeflate())
    async with await dial(server.port) as peer:
        await peer.shake(line(f"{PMD}; client_max_window_bits"))
        await peer.send(close(1000))
        assert await peer.read_close() == (1000, "")
        await peer.read_rest()
    assert seen == [USUAL, USUAL]


async def test_connections_of_one_server_agree_on_different_things(serve) -> None:
    server = await serve(echo, deflate=PerMessageDeflate())
    offers = ([], [line(PMD)], [line(f"{PMD}; client_max_window_bits=10")])
    peers = [await dial(server.port) for _ in offers]
    for peer, lines in zip(peers, offers, strict=True):
        await peer.shake(*lines)
    agreed = {ws.deflate for ws in server.connections}
    assert agreed == {None, (False, False, 12, 15), (False, False, 12, 10)}
    for peer in peers:
        await trio.aclose_forcefully(peer.stream)


async def test_a_subprotocol_and_compression(transport, serve) -> None:
    server = await serve(echo, deflate=WIDE, subprotocols=["b"])
    async with await dial(server.port) as peer:
        data = await peer.shake("Sec-WebSocket-Protocol: a, b", line(PMD))
        assert b"\r\nSec-WebSocket-Protocol: b\r\n" in data
        assert extensions(data) == [PMD]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_on_request_decides_before_anything_is_agreed_on(
    transport, serve, asynchronous
) -> None:
    def decide(request: Request) -> Response | None:
        assert request.extensions == (f"{PMD}; client_max_window_bits",)
        return None if request.path == "/yes" else Response(403, body="no")

    async def decide_later(request: Request) -> Response | None:
        await trio.lowlevel.checkpoint()
        return decide(request)

    on_request = decide_later if asynchronous else decide
    server = await serve(echo, deflate=PerMessageDeflate(), on_request=on_request)
    offer = line(f"{PMD}; client_max_window_bits")
    async with await dial(server.port) as peer:
        await peer.send(upgrade_request(offer, target="/no"))
        data = await peer.read_rest()
        assert data.startswith(b"HTTP/1.1 403 ")
        assert extensions(data) == []
    async with await dial(server.port) as peer:
        await peer.send(upgrade_request(offer, target="/yes"))
        data = await peer.read_head()
        assert data.startswith(b"HTTP/1.1 101 ")
        assert len(extensions(data)) == 1


@pytest.mark.parametrize("deflate", [None, PerMessageDeflate()])
@pytest.mark.parametrize("value", ["", ";", f"{PMD};", f"{PMD}; a=", f'{PMD}; a="b c"'])
async def test_what_is_no_list_of_extensions_is_refused(serve, deflate, value) -> None:
    server = await serve(echo, deflate=deflate)
    async with await dial(server.port) as peer:
        await peer.send(upgrade_request(line(value)))
        data = await peer.read_rest()
    assert data.startswith(b"HTTP/1.1 400 ")
    assert b"Sec-WebSocket-Extensions does not follow RFC 6455 9.1" in data


# --- upgrade -----------------------------------------------------------------


def request(*fields: tuple[str, str]) -> Request:
    return Request(
        "GET",
        "/",
        [
            ("Host", "example.com"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", WEBSOCKET_KEY),
            ("Sec-WebSocket-Version", "13"),
            *fields,
        ],
    )


@pytest.mark.parametrize(
    ("options", "offers", "answered", "agreed"),
    [
        (
            PerMessageDeflate(),
            [f"{PMD}; client_max_window_bits"],
            [f"{PMD}; client_max_window_bits=12"],
            USUAL,
        ),
        (WIDE, ["x", PMD], [PMD], (False, False, 15, 15)),
        (WIDE, [f"{PMD}; x"], [], None),
        (WIDE, [], [], None),
        (None, [PMD], [], None),
    ],
)
async def test_a_connection_taken_over(
    transport, options, offers, answered, agreed
) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    fields = [("Sec-WebSocket-Extensions", offer) for offer in offers]
    async with upgrade(ours, request(*fields), deflate=options) as ws:
        assert ws.deflate == agreed
        assert extensions(await peer.read_head()) == answered
        await peer.send(Frame(TEXT, b"hi"))
        assert await ws.receive() == "hi"
        await peer.send(close(1000))
        await theirs.send_eof()


async def test_a_bad_request_is_not_taken_over(transport) -> None:
    ours, theirs = memory_stream_pair()
    fields = ("Sec-WebSocket-Extensions", f"{PMD};")
    with pytest.raises(HandshakeError, match="does not follow RFC 6455"):
        async with upgrade(ours, request(fields), deflate=WIDE):
            pytest.fail("entered")
    assert (await Peer(theirs).read_rest()).startswith(b"HTTP/1.1 400 ")


# --- clients -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        (None, []),
        (WIDE, [f"{PMD}; client_max_window_bits"]),
        (
            PerMessageDeflate(server_window_bits=12),
            [f"{PMD}; server_max_window_bits=12; client_max_window_bits"],
        ),
        # Nothing that a server would have to grant, unless it was asked for.
        (PerMessageDeflate(), [f"{PMD}; client_max_window_bits"]),
        (
            FRESH,
            [
                f"{PMD}; server_no_context_takeover; client_no_context_takeover; "
                "client_max_window_bits"
            ],
        ),
    ],
)
async def test_a_client_offers(transport, nursery, options, offered) -> None:
    ours, theirs = memory_stream_pair()
    heads: list[bytes] = []

    async def server() -> None:
        peer = Peer(theirs)
        heads.append(await peer.welcome())
        await peer.send(Frame(TEXT, b"plain"))
        assert await peer.read_close() == (1000, "")
        await peer.send(close(1000))
        await theirs.send_eof()

    nursery.start_soon(server)
    async with open_websocket("ws://a/", stream=ours, deflate=options) as ws:
        # A server that does not compress is no error.
        assert ws.deflate is None
        assert await ws.receive() == "plain"
    assert [extensions(data) for data in heads] == [offered]


@pytest.mark.parametrize(
    ("options", "answered", "agreed"),
    [
        (WIDE, PMD, (False, False, 15, 15)),
        (PerMessageDeflate(), PMD, (False, False, 15, 12)),
        (
            WIDE,
            f'{PMD};client_max_window_bits="9"; server_max_window_bits =10',
            (0, 0, 10, 9),
        ),
        (WIDE, f"{PMD}; client_no_context_takeover", (False, True, 15, 15)),
        (WIDE, f"{PMD}; client_max_window_bits=8", (False, False, 15, 8)),
        (PerMessageDeflate(), f"{PMD}; server_max_window_bits=8", (0, 0, 8, 12)),
        # What it may use is not what it must.
        *(
            (
                PerMessageDeflate(),
                f"{PMD}; client_max_window_bits={bits}",
                (0, 0, 15, min(bits, 12)),
            )
            for bits in range(8, 16)
        ),
        (
            FRESH,
            f"{PMD}; server_no_context_takeover; server_max_window_bits=12",
            (True, True, 12, 12),
        ),
    ],
)
async def test_a_client_takes_what_it_offered_or_less(
    transport, nursery, options, answered, agreed
) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    nursery.start_soon(peer.welcome, line(answered))
    async with open_websocket("ws://a/", stream=ours, deflate=options) as ws:
        assert ws.deflate == agreed
        assert ws.response is not None
        assert ws.response.headers["Sec-WebSocket-Extensions"] == answered
        await peer.send(close(1000))
        await theirs.send_eof()


@pytest.mark.parametrize(
    ("options", "lines", "reason"),
    [
        (
            PerMessageDeflate(server_window_bits=12),
            [PMD],
            "was accepted without server_max_window_bits, which we asked for",
        ),
        (
            PerMessageDeflate(server_window_bits=12),
            [f"{PMD}; server_max_window_bits=15"],
            "was accepted with server_max_window_bits=15; we offered 12",
        ),
        (
            FRESH,
            [f"{PMD}; server_max_window_bits=12"],
            "was accepted without server_no_context_takeover, which we asked for",
        ),
        (WIDE, [f"{PMD}; x=1"], "was accepted with the unknown parameter 'x'"),
        (WIDE, [PMD, PMD], "was accepted more than once"),
        (WIDE, ["x"], "extension 'x' was not offered"),
        (WIDE, [f"{PMD}, x"], "extension 'x' was not offered"),
        (None, [PMD], "extension 'permessage-deflate' was not offered"),
        (WIDE, [f"{PMD};"], "does not follow RFC 6455 9.1"),
    ],
)
async def test_a_client_refuses_an_answer_that_does_not_fit(
    transport, nursery, options, lines, reason
) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    nursery.start_soon(peer.welcome, *map(line, lines))
    with pytest.raises(HandshakeRefused, match=re.escape(reason)) as caught:
        async with open_websocket("ws://a/", stream=ours, deflate=options):
            pytest.fail("entered")
    assert caught.value.response is not None
    assert caught.value.response.status == 101
    # RFC 7692 7.1: the client fails the connection, without a frame.
    assert await peer.read_rest() == b""


async def test_the_offer_is_the_librarys_business(transport) -> None:
    headers = [("Sec-WebSocket-Extensions", PMD)]
    with pytest.raises(ValueError, match="written by the library"):
        async with open_websocket("ws://127.0.0.1:1/", headers=headers, deflate=WIDE):
            pytest.fail("entered")


# --- both --------------------------------------------------------------------

LONG = "a message that says the same again and again; " * 20
# What the server's connection says, and what the client's: of the other's window each
# knows what it was told, which may be more than is used.
BOTH = [
    (WIDE, WIDE, (0, 0, 15, 15), (0, 0, 15, 15)),
    (PerMessageDeflate(), WIDE, USUAL, (0, 0, 15, 12)),
    (WIDE, PerMessageDeflate(), (0, 0, 15, 15), (0, 0, 15, 12)),
    (WIDE, PerMessageDeflate(server_window_bits=12), (0, 0, 12, 15), USUAL),
    (FRESH, PerMessageDeflate(), (1, 1, 12, 12), (1, 1, 15, 12)),
    (PerMessageDeflate(), FRESH, (1, 1, 12, 12), (1, 1, 15, 12)),
    (
        PerMessageDeflate(server_context_takeover=False, client_window_bits=9),
        PerMessageDeflate(client_context_takeover=False, server_window_bits=10),
        (1, 1, 10, 9),
        (1, 1, 10, 9),
    ),
    (
        PerMessageDeflate(client_window_bits=15, server_window_bits=9),
        PerMessageDeflate(client_window_bits=9),
        (0, 0, 9, 15),
        (0, 0, 15, 9),
    ),
    (None, PerMessageDeflate(), None, None),
    (PerMessageDeflate(), None, None, None),
]


@pytest.mark.parametrize(("of_server", "of_client", "told", "agreed"), BOTH)
async def test_both_sides_of_us(
    transport, serve, of_server, of_client, told, agreed
) -> None:
    server = await serve(echo, deflate=of_server)
    url = f"ws://127.0.0.1:{server.port}/"
    async with open_websocket(url, deflate=of_client) as ws:
        for _ in range(3):
            await ws.send(LONG)
            assert await ws.receive() == LONG
        (other,) = server.connections
        assert (other.deflate, ws.deflate) == (told, agreed)
        statistics = ws.statistics()
        whole = 3 * len(LONG)
        assert statistics.bytes_received == statistics.bytes_sent == whole
        assert (statistics.encoded_sent < whole) == (agreed is not None)
        assert (statistics.encoded_received < whole) == (agreed is not None)


@pytest.mark.parametrize("context", ["persistent", "window"])
@pytest.mark.parametrize("bits", range(8, 16))
async def test_no_message_looks_back_further_than_the_answer_allows(
    transport, nursery, context, bits
) -> None:
    # What the server granted is all the window that it has to read with. zlib has none
    # of 8 bits: with those nothing is compressed, which is always allowed.
    ours, theirs = memory_stream_pair()
    peer = Peer(theirs)
    answer = f"{PMD}; client_max_window_bits={bits}"
    nursery.start_soon(partial(peer.welcome, deflate=answer))
    options = PerMessageDeflate(client_window_bits=15, context=context)
    async with open_websocket("ws://a/", stream=ours, deflate=options) as ws:
        block = random.Random(bits).randbytes(600)
        message = block * 60
        for _ in range(3):
            await ws.send(message)
            found = await peer.read_message()
            assert found[:2] == (BINARY, message)
            assert found.compressed == (bits > 8)
        await peer.send(close(1000))
        await theirs.send_eof()


@pytest.mark.parametrize("library", ["zlib", "zlib-ng", "isal"])
@pytest.mark.parametrize("context", ["persistent", "window"])
@pytest.mark.parametrize("takeover", [True, False])
async def test_every_library_is_read_by_zlib(serve, library, context, takeover) -> None:
    options = PerMessageDeflate(
        library=library,
        context=context,
        server_context_takeover=takeover,
        client_context_takeover=takeover,
        server_window_bits=9,
    )
    server = await serve(echo, deflate=options)
    url = f"ws://127.0.0.1:{server.port}/"
    async with open_websocket(url, deflate=PerMessageDeflate()) as ws:
        for number in range(5):
            message = f"{number} {LONG}{bytes(range(256)).hex() * number}"
            await ws.send(message)
            assert await ws.receive() == message


# --- what connections share --------------------------------------------------


async def test_connections_that_agree_on_the_same_share_it(monkeypatch) -> None:
    # Also those that are taken over one by one: without takeover one compressor is
    # enough for all of them.
    made: list[object] = []
    compressobj = zlib.compressobj

    def counted(*args: object, **options: object) -> object:
        made.append(compressobj(*args, **options))
        return made[-1]

    monkeypatch.setattr(zlib, "compressobj", counted)
    for offer in (PMD, PMD, f"{PMD}; client_max_window_bits", PMD):
        ours, theirs = memory_stream_pair()
        fields = ("Sec-WebSocket-Extensions", offer)
        async with upgrade(ours, request(fields), deflate=FRESH) as ws:
            await ws.send(LONG)
            assert ws.statistics().encoded_sent < len(LONG)
            await Peer(theirs).send(close(1000))
            await theirs.send_eof()
    assert len(made) == 1


def offering(value: str) -> Request:
    return request(("Sec-WebSocket-Extensions", value))


async def test_agreements_are_kept_only_so_many() -> None:
    # A peer chooses what is agreed on; it must not fill our memory so.
    negotiator = Negotiator(Role.SERVER, WIDE)

    def agree(value: str) -> object:
        _, agreement = negotiator.accept(offering(value))
        assert agreement is not None
        return agreement

    usual, other = agree(PMD), agree(f"{PMD}; server_max_window_bits=9")
    assert usual is not other
    rare = [
        f"{PMD}; server_max_window_bits={server}; client_max_window_bits={client}"
        for server in range(10, 15)
        for client in range(8, 15)
    ]
    assert len(rare) > MOST_AGREEMENTS
    for offer in rare:
        agree(offer)
        # What is in use stays, however many others come.
        assert agree(PMD) is usual
    assert agree(f"{PMD}; server_max_window_bits=9") is not other


async def test_other_options_share_nothing() -> None:
    one = Negotiator(Role.SERVER, WIDE).accept(offering(PMD))
    same = Negotiator(Role.SERVER, WIDE).accept(offering(PMD))
    options = PerMessageDeflate(
        server_window_bits=15, client_window_bits=15, level=9, context="window"
    )
    other = Negotiator(Role.SERVER, options).accept(offering(PMD))
    assert one[0] == same[0] == other[0] == PMD
    assert one[1] is same[1]
    assert one[1] is not other[1]
