"""The last frame arrives: a socket with unread input is not closed under it.

Closing a socket that holds unread input makes the kernel answer with a reset,
which may destroy what the peer has not read. So whoever has failed a connection
shuts its sending side down and reads on until the peer has closed too.
"""

import pytest
import trio
import trio.testing

from tests.wire import (
    CLOSE,
    HEADERS,
    Frame,
    Peer,
    binary,
    close,
    port_of,
    tcp_listener,
    text,
)
from trio_fastws import ConnectionBroken, Request, open_websocket, upgrade

from .script import NO_PINGS, SUBJECTS, accepted

BAD = Frame(3)


class Client:
    """Our client, which is failed by what the server sends."""

    def __init__(self, cancelled=False):
        self.left = trio.Event()
        self.cancel = trio.CancelScope()

    async def run(self, port):
        with self.cancel:
            url = f"ws://127.0.0.1:{port}/"
            async with open_websocket(url, timeouts=NO_PINGS) as ws:
                with pytest.raises(ConnectionBroken) as caught:
                    await ws.receive()
                assert caught.value.close_code == 1002
        self.left.set()


@pytest.fixture
async def failed(nursery, transport):
    """A client that has failed the connection, and its server."""
    client = Client()
    async with tcp_listener() as listener:
        nursery.start_soon(client.run, port_of(listener))
        async with accepted(listener, octets=False) as play:
            await play.say(BAD)
            await trio.testing.wait_all_tasks_blocked()
            yield client, play.tester


async def test_a_client_that_fails_waits_for_the_server_to_close(failed):
    client, tester = failed
    await tester.send(binary(b"x" * 100_000))
    await trio.testing.wait_all_tasks_blocked()
    assert not client.left.is_set()
    frame = await tester.read_frame()
    assert frame.opcode == CLOSE
    assert frame.payload[:2] == b"\x03\xea"
    assert await tester.read_frame() is None  # no reset
    await tester.stream.aclose()
    await client.left.wait()


async def test_cancelled_it_does_not_wait(failed):
    client, _tester = failed
    client.cancel.cancel()
    await client.left.wait()


async def test_an_upgraded_stream_gets_its_last_frame(nursery):
    ours, theirs = trio.testing.memory_stream_pair()
    tester = Peer(theirs)

    async def run():
        async with upgrade(ours, Request("GET", "/", HEADERS)) as ws:
            with pytest.raises(ConnectionBroken) as caught:
                await ws.receive()
            assert caught.value.close_code == 4000
            assert caught.value.close_reason == ""

    nursery.start_soon(run)
    assert (await tester.read_response()).startswith(b"HTTP/1.1 101 ")
    await tester.send(close(4000))
    await trio.testing.wait_all_tasks_blocked()
    assert await tester.read_frame() == close(4000)
    assert await tester.read_frame() is None
    await theirs.aclose()


@pytest.mark.parametrize("subject", ["event-handler", "async-handler"])
async def test_a_client_may_say_close_and_fin_at_once(subject, transport):
    async with SUBJECTS[subject]() as connect, connect(False) as play:
        await play.say(text("last words"), close(1000))
        await play.tester.send_eof()
        if subject == "event-handler":
            await play.hears(text("last words"))
        assert (await play.tester.read_frames())[-1].opcode == CLOSE
