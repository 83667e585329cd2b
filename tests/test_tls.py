"""TLS on both sides: handshakes, failures, closing."""

from __future__ import annotations

import logging
import re
import ssl

import pytest
import trio
import trustme
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.handlers import echo
from tests.wire import (
    TEXT,
    WEBSOCKET_KEY,
    Frame,
    Peer,
    close,
    dial,
    masked,
    socket_pair,
    upgrade_request,
)
from trio_fastws import (
    ConnectionBroken,
    PerMessageDeflate,
    Request,
    Timeouts,
    WebSocket,
    open_websocket,
    upgrade,
)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_echoes(
    transport, serve, server_tls, client_tls, no_errors_logged, host
) -> None:
    server = await serve(echo, ssl_context=server_tls)
    url = f"wss://{host}:{server.port}/"
    async with open_websocket(url, ssl_context=client_tls) as ws:
        for message in ("hi", bytes(1_000_000)):
            await ws.send(message)
            assert await ws.receive() == message
        assert ws.remote_address == ("127.0.0.1", server.port)
    assert ws.close_code == 1000


@pytest.mark.parametrize("context", ["persistent", "window"])
async def test_echoes_compressed(
    transport, serve, server_tls, client_tls, no_errors_logged, context
) -> None:
    deflate = PerMessageDeflate(context=context)
    server = await serve(echo, ssl_context=server_tls, deflate=deflate)
    url = f"wss://127.0.0.1:{server.port}/"
    large = "".join(f"{number * 7919 % 10007} " for number in range(150_000))
    async with open_websocket(url, ssl_context=client_tls, deflate=deflate) as ws:
        for message in (large[:200], large, large[:900], large[:300]):
            await ws.send(message)
            assert await ws.receive() == message
        assert ws.deflate is not None
        counted = ws.statistics()
        assert counted.bytes_received == counted.bytes_sent == len(large) + 1400
        assert counted.encoded_received < counted.bytes_received
        assert counted.encoded_sent < counted.bytes_sent


async def test_close_of_the_server_reaches_the_client(
    transport, serve, server_tls, client_tls, no_errors_logged
) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.send("last")
        await ws.aclose(4001, "tschüß")

    server = await serve(handler, ssl_context=server_tls)
    url = f"wss://127.0.0.1:{server.port}/"
    async with open_websocket(url, ssl_context=client_tls) as ws:
        assert await ws.receive() == "last"
        with pytest.raises(ConnectionBroken, match="tschüß"):
            await ws.receive()
    assert (ws.close_code, ws.close_reason) == (4001, "tschüß")


async def test_failing_client_reads_why_although_data_are_unread(
    transport, serve, server_tls, client_tls
) -> None:
    server = await serve(echo, ssl_context=server_tls)
    tcp = await trio.open_tcp_stream("127.0.0.1", server.port)
    stream = trio.SSLStream(
        tcp, client_tls, server_hostname="127.0.0.1", https_compatible=True
    )
    async with Peer(stream) as peer:
        await peer.shake()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                peer.send, masked(Frame(TEXT, b"\xff")) + bytes(3_000_000)
            )
            assert (await peer.read_close())[0] == 1007
            assert await peer.read_rest() == b""


@pytest.mark.parametrize("why", ["untrusted", "other name"])
async def test_bad_certificate_is_named(
    transport, serve, authority, client_tls, no_errors_logged, why
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if why == "untrusted":
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    else:
        authority.issue_cert("other.example").configure_cert(context)
    server = await serve(echo, ssl_context=context)
    with pytest.raises(trio.BrokenResourceError) as caught:
        async with open_websocket(
            f"wss://127.0.0.1:{server.port}/", ssl_context=client_tls
        ):
            pytest.fail("entered")
    cause = caught.value.__cause__
    assert isinstance(cause, ssl.SSLCertVerificationError)
    words = "self-signed|issuer" if why == "untrusted" else "127.0.0.1"
    assert re.search(words, str(cause))
    await wait_all_tasks_blocked()


async def test_default_context_does_not_trust_us(transport, serve, server_tls) -> None:
    server = await serve(echo, ssl_context=server_tls)
    with pytest.raises(trio.BrokenResourceError) as caught:
        async with open_websocket(f"wss://127.0.0.1:{server.port}/"):
            pytest.fail("entered")
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.parametrize("noise", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03"])
async def test_noise_on_a_tls_port_is_one_debug_line(
    transport, serve, server_tls, no_errors_logged, noise
) -> None:
    server = await serve(echo, ssl_context=server_tls)
    async with await dial(server.port) as peer:
        if noise:
            await peer.send(noise)
    while server.statistics().handshakes or not no_errors_logged.records:
        await trio.lowlevel.checkpoint()
    await wait_all_tasks_blocked()
    assert [r.levelno for r in no_errors_logged.records] == [logging.DEBUG]


@pytest.mark.parametrize("step", ["tls", "head"])
async def test_handshake_timeout_includes_tls(
    transport, serve, memory, server_tls, client_tls, autojump_clock, step
) -> None:
    timeouts = Timeouts(handshake=6)
    server = await serve(
        echo, listeners=[memory], ssl_context=server_tls, timeouts=timeouts
    )
    tcp = memory.connect()
    if step == "head":
        await wait_all_tasks_blocked()
        await trio.sleep(4)
        stream = trio.SSLStream(tcp, client_tls, server_hostname="localhost")
        await stream.do_handshake()
    while await tcp.receive_some(65536):
        pass
    assert 6 <= trio.current_time() < 6.1
    assert server.statistics().handshakes == 0


async def test_wss_over_a_given_stream(transport, server_tls, client_tls) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(trio.SSLStream(theirs, server_tls, server_side=True))
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            await peer.welcome(behind=Frame(TEXT, b"hi"))
            assert await peer.read_close() == (1000, "")
            await peer.send(close(1000))
            await peer.stream.aclose()

        nursery.start_soon(server)
        url = "wss://localhost/"
        async with open_websocket(url, stream=ours, ssl_context=client_tls) as ws:
            assert await ws.receive() == "hi"


async def test_client_gives_a_server_up_that_does_not_speak_tls(
    transport, autojump_clock, client_tls
) -> None:
    ours, theirs = memory_stream_pair()
    words = r"no TLS handshake within 10 s \(Timeouts\.handshake\)"
    with pytest.raises(trio.TooSlowError, match=words):
        async with open_websocket(
            "wss://localhost/", stream=ours, ssl_context=client_tls
        ):
            pytest.fail("entered")
    assert 10 <= trio.current_time() < 10.1
    await Peer(theirs).read_rest()


async def test_ssl_listener_serves_as_well(
    transport, serve, server_tls, client_tls
) -> None:
    (tcp,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = tcp.socket.getsockname()[1]
    listener = trio.SSLListener(tcp, server_tls, https_compatible=True)
    await serve(echo, listeners=[listener])
    async with open_websocket(f"wss://127.0.0.1:{port}/", ssl_context=client_tls) as ws:
        await ws.send("hi")
        assert await ws.receive() == "hi"


# --- close_notify (RFC 8446 6.1) ---------------------------------------------


def secured(stream: trio.abc.Stream, context: ssl.SSLContext) -> trio.SSLStream:
    """Return TLS that takes an end without a close_notify for an error."""
    if context.protocol is ssl.PROTOCOL_TLS_SERVER:
        return trio.SSLStream(stream, context, server_side=True)
    return trio.SSLStream(stream, context, server_hostname="localhost")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("first", ["server", "client"])
async def test_a_server_sends_close_notify_as_well(
    transport, serve, server_tls, authority, no_errors_logged, first, version
) -> None:
    async def handler(ws: WebSocket) -> None:
        if first == "client":
            await ws.wait_closed()
        await ws.aclose(1000, "done")

    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.maximum_version = getattr(ssl.TLSVersion, version)
    server = await serve(handler, ssl_context=server_tls)
    tcp = await trio.open_tcp_stream("127.0.0.1", server.port)
    async with Peer(secured(tcp, context)) as peer:
        await peer.shake()
        if first == "client":
            await peer.send(close(1000, "done"))
        assert await peer.read_close() == (1000, "done")
        if first == "server":
            await peer.send(close(1000, "done"))
        assert await peer.read_rest() == b""
        # And TCP ends without a reset, after our own close_notify.
        stream, trailing = await peer.stream.unwrap()
        assert (trailing, await stream.receive_some(1)) == (b"", b"")
        await stream.aclose()


@pytest.mark.parametrize("first", ["server", "client"])
async def test_a_client_sends_close_notify_as_well(
    transport, server_tls, client_tls, no_errors_logged, first
) -> None:
    ours, theirs = socket_pair(True)
    peer = Peer(secured(theirs, server_tls))

    async def serve_once() -> None:
        await peer.welcome()
        if first == "server":
            await peer.send(close(1000, "done"))
        assert (await peer.read_close())[0] == 1000
        if first == "client":
            await peer.send(close(1000))
        assert await peer.read_rest() == b""
        stream, trailing = await peer.stream.unwrap()
        assert (trailing, await stream.receive_some(1)) == (b"", b"")
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_once)
        url = "wss://localhost/"
        async with open_websocket(url, stream=ours, ssl_context=client_tls) as ws:
            if first == "server":
                await ws.wait_closed()
    assert ws.close_code == 1000


async def test_a_client_sends_close_notify_to_a_server_that_does_not(
    transport, autojump_clock, server_tls, client_tls
) -> None:
    ours, theirs = memory_stream_pair()
    peer = Peer(secured(theirs, server_tls))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.welcome)
        url = "wss://localhost/"
        async with open_websocket(url, stream=ours, ssl_context=client_tls) as ws:
            await peer.send(close(1000))
            await ws.wait_closed()
        assert 1 <= trio.current_time() < 1.1
    assert await peer.read_close() == (1000, "")
    assert await peer.read_rest() == b""


class Memory:
    """TLS of a client without a stream: what it writes leaves when it is taken."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost"
        )

    async def run(self, stream: trio.abc.Stream, step) -> bytes:
        """Run a step, exchanging with the stream what it needs and makes."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self.flush(stream)
                self.incoming.write(await stream.receive_some(65536))
            else:
                await self.flush(stream)
                return result

    async def flush(self, stream: trio.abc.Stream) -> None:
        data = self.outgoing.read()
        if data:
            await stream.send_all(data)


@pytest.mark.parametrize("ends_tcp", [False, True])
async def test_a_peer_that_sends_close_and_close_notify_at_once_is_answered_in_full(
    transport, serve, server_tls, client_tls, no_errors_logged, ends_tcp
) -> None:
    server = await serve(echo, ssl_context=server_tls)
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        memory = Memory(client_tls)
        await memory.run(stream, memory.tls.do_handshake)
        await memory.run(stream, lambda: memory.tls.write(upgrade_request()))
        answer = await memory.run(stream, lambda: memory.tls.read(65536))
        assert answer.startswith(b"HTTP/1.1 101")
        # Its Close and its close_notify leave together, in one write.
        memory.tls.write(masked(close(1000, "done")))
        with pytest.raises(ssl.SSLWantReadError):
            memory.tls.unwrap()
        await memory.flush(stream)
        if ends_tcp:
            await stream.send_eof()
        while data := await stream.receive_some(65536):  # a reset would raise
            memory.incoming.write(data)
        # Who unwraps does not read any more: the Close is in front of close_notify.
        with pytest.raises(ssl.SSLError, match="APPLICATION_DATA_AFTER_CLOSE_NOTIFY"):
            memory.tls.unwrap()


async def test_plain_answers_over_tls_end_with_close_notify_too(
    transport, serve, server_tls, client_tls
) -> None:
    server = await serve(echo, ssl_context=server_tls)
    tcp = await trio.open_tcp_stream("127.0.0.1", server.port)
    async with Peer(secured(tcp, client_tls)) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await peer.read_head()).startswith(b"HTTP/1.1 426 ")
        await peer.read_rest()


async def test_upgrade_sends_close_notify(transport, server_tls, client_tls) -> None:
    ours, theirs = socket_pair(True)
    stream = trio.SSLStream(ours, server_tls, server_side=True, https_compatible=True)
    async with trio.open_nursery() as nursery:

        async def serve_once() -> None:
            await Peer(stream).read_head()
            fields = [
                ("Host", "localhost"),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Key", WEBSOCKET_KEY),
                ("Sec-WebSocket-Version", "13"),
            ]
            async with upgrade(stream, Request("GET", "/", fields)) as ws:
                await ws.send("hi")

        nursery.start_soon(serve_once)
        async with Peer(secured(theirs, client_tls)) as peer:
            await peer.shake()
            assert await peer.read_frame() == Frame(TEXT, b"hi")
            assert await peer.read_close() == (1000, "")
            await peer.send(close(1000))
            assert await peer.read_rest() == b""
