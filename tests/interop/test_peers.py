"""Other libraries, both ways round: we drive, they echo and obey."""

from contextlib import asynccontextmanager

import pytest
import trio

from tests.interop.peers import common
from trio_fastws import ConnectionBroken, Limits, open_websocket, serve_websocket

LIMITS = Limits(message_size=16 * 2**20)

MESSAGES = {
    "text": "grüße ✓ 終わり 🚀",
    "binary": bytes(range(256)),
    "empty text": "",
    "empty binary": b"",
    "125 bytes": b"x" * 125,
    "126 bytes": b"x" * 126,
    "65535 bytes": b"x" * 65535,
    "65536 bytes": b"x" * 65536,
    "1 MiB of text": "0123456789abcdeß" * 61681 + "0123456789abcde",
    "1 MiB": bytes(range(256)) * 4096,
    "16 MiB": bytes(range(256)) * 65536,
}


@asynccontextmanager
async def connection_with(peer):
    """Give our side of a connection: we dial what serves, serve what dials."""
    with trio.fail_after(30):
        if peer.mode == "serve":
            url = f"ws://127.0.0.1:{peer.port}/"
            async with open_websocket(url, limits=LIMITS) as ws:
                yield ws
            return
        async with trio.open_nursery() as nursery:
            send, receive = trio.open_memory_channel(0)

            done = trio.Event()

            async def handler(ws):
                await send.send(ws)
                await done.wait()

            def serve(task_status):
                return serve_websocket(
                    handler,
                    0,
                    host="127.0.0.1",
                    limits=LIMITS,
                    task_status=task_status,
                )

            server = await nursery.start(serve)
            peer.dial(server.port)
            ws = await receive.receive()
            yield ws
            await ws.aclose()
            done.set()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("message", MESSAGES.values(), ids=list(MESSAGES))
async def test_message_comes_back_as_it_was_sent(peer, message):
    async with connection_with(peer) as ws:
        await ws.send(message)
        echo = await ws.receive()
        assert type(echo) is type(message)
        assert echo == message
    assert await peer.ended() == (1000, "")


async def test_messages_in_flight_keep_their_order(peer):
    async with connection_with(peer) as ws:
        for number in range(1000):
            await ws.send(f"{number}")
        assert [await ws.receive() for _ in range(1000)] == [
            f"{number}" for number in range(1000)
        ]
    assert await peer.ended() == (1000, "")


async def test_our_fragments_with_pings_between_become_one_message(peer):
    async with connection_with(peer) as ws:
        async with ws.open_message(text=True) as message:
            for piece in ("grü", "ße", "", " ✓"):
                await message.write(piece)
                assert await ws.ping() > 0
        assert await ws.receive() == "grüße ✓"
    assert await peer.ended() == (1000, "")


async def test_their_fragments_with_pings_between_become_one_message(peer):
    if peer.name == "aiohttp":
        pytest.skip("aiohttp cannot send fragments")
    async with connection_with(peer) as ws:
        await ws.send(common.FRAGMENTS)
        assert await ws.receive() == "".join(common.PIECES)
        assert await ws.receive() == common.PONGED
    assert await peer.ended() == (1000, "")


async def test_they_learn_our_close_code_and_reason(peer):
    async with connection_with(peer) as ws:
        # One message first: websockets.trio 17.4 often drops TCP without a word
        # when a Close comes right behind the opening handshake, whoever sent it.
        await ws.send("here")
        assert await ws.receive() == "here"
        await ws.aclose(common.CODE, common.REASON)
        # The code that came back, so it was a whole closing handshake; aiohttp
        # answers with one of its own.
        assert ws.close_code == (1000 if peer.name == "aiohttp" else common.CODE)
    assert await peer.ended() == (common.CODE, common.REASON)


async def test_we_learn_their_close_code_and_reason(peer):
    async with connection_with(peer) as ws:
        await ws.send(common.CLOSE)
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        assert caught.value.close_code == common.CODE
        assert caught.value.close_reason == common.REASON
        await ws.wait_closed()
    code, _ = await peer.ended()
    assert code == common.CODE  # RFC 6455 5.5.1: we have echoed it
