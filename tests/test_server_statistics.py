"""What a server counts: openings refused, by reason, and ends, by close code."""

from __future__ import annotations

import pickle
from dataclasses import asdict

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.handlers import Echo, Keeper, echo
from tests.serving import running
from tests.wire import Frame, Peer, close, dial, plain_request, text, upgrade_request
from trio_fastws import (
    Accept,
    EventHandler,
    Limits,
    Response,
    Sending,
    ServerStatistics,
    Timeouts,
)

pytestmark = pytest.mark.usefixtures("transport")


async def ask(memory, request: bytes) -> bytes:
    """Send a request; return the head of the answer, when it was counted."""
    async with Peer(memory.connect()) as peer:
        await peer.send(request)
        head = await peer.read_head()
        await peer.read_rest()
        return head


# --- refused -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_head", "options", "reason"),
    [
        (
            upgrade_request("Origin: https://evil.example"),
            {"origins": ["https://example.com"]},
            "403 Origin is not allowed",
        ),
        (
            upgrade_request(),
            {"origins": ["https://a.example"]},
            "403 Origin is missing",
        ),
        (plain_request("/secret/path"), {}, "426 Upgrade header is missing"),
        (
            upgrade_request(without=("Upgrade",)),
            {},
            "426 Upgrade header is missing or is not 'websocket'",
        ),
        (upgrade_request(without=("Host",)), {}, "400 Host header is missing"),
        (b"BREW / HTTP/1.1\r\n\r\n", {}, "501 request method is not known"),
        (b"\x16\x03\x01\x02\x00", {}, "400 this is not an HTTP request but TLS"),
        (
            upgrade_request(f"Cookie: {'c' * 70_000}"),
            {},
            "431 head of N bytes is over the limit of 65536",
        ),
        (
            upgrade_request(*(f"X-{n}: 1" for n in range(140))),
            {},
            "431 N header fields are over the limit of 128",
        ),
        (
            upgrade_request(f"Sec-WebSocket-Protocol: {'a' * 9000}"),
            {},
            "431 Sec-WebSocket-Protocol has N bytes, which is over the limit of 8192",
        ),
        (
            upgrade_request(),
            {"on_request": lambda _: Response(401, body="who are you?")},
            "401 Unauthorized",
        ),
        (
            upgrade_request(),
            {"on_request": lambda _: Response(429, reason="slow down")},
            "429 slow down",
        ),
        (upgrade_request(), {"on_request": len}, "500 the server failed to decide"),
        (
            upgrade_request(),
            {"on_request": lambda _: Accept(subprotocol="not-offered")},
            "500 the server failed to decide",
        ),
    ],
)
async def test_an_answer_is_counted_by_its_status_and_words(
    memory, request_head, options, reason
) -> None:
    async with running(echo, listeners=[memory], **options) as run:
        for count in (1, 2):
            await ask(memory, request_head)
            assert run.server.statistics().refused == {reason: count}


async def test_what_is_no_refusal_is_not_counted(memory) -> None:
    def on_request(request) -> Response | None:
        return Response(200) if request.path == "/health" else None

    options = {"listeners": [memory], "on_request": on_request}
    async with running(echo, **options) as run:
        await ask(memory, plain_request("/health"))
        async with Peer(memory.connect()) as peer:
            await peer.shake()
            await peer.send(text("hello"))
            assert await peer.read_frame() == text("hello")
            await peer.finish()
        await wait_all_tasks_blocked()
        assert run.server.statistics().refused == {}


async def test_one_connection_too_many(memory) -> None:
    options = {"listeners": [memory], "limits": Limits(connections=1)}
    async with running(echo, **options) as run, Peer(memory.connect()) as peer:
        await peer.shake()
        await ask(memory, upgrade_request())
        counted = run.server.statistics().refused
        assert counted == {"503 connection limit (1) reached": 1}


async def test_those_at_the_end_of_a_server(memory) -> None:
    async with running(echo, listeners=[memory]) as run:
        async with Peer(memory.connect()) as peer:
            await peer.send(upgrade_request()[:-2])
            await wait_all_tasks_blocked()
            run.stop()
            await peer.read_rest()
        await run.ended.wait()
        counted = run.server.statistics().refused
        assert counted == {"503 the server is shutting down": 1}


async def test_an_end_without_an_answer_has_its_own_words(
    memory, autojump_clock
) -> None:
    options = {
        "listeners": [memory],
        "limits": Limits(pending_handshakes=1),
        "timeouts": Timeouts(handshake=5),
    }
    async with running(echo, **options) as run:
        # A port scan, and one that breaks off.
        await Peer(memory.connect()).aclose()
        await wait_all_tasks_blocked()
        async with Peer(memory.connect()) as peer:
            await peer.send(upgrade_request()[:20])
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        counted = run.server.statistics().refused
        assert counted == {"connection lost": 2}
        silent = memory.connect()
        await wait_all_tasks_blocked()
        late = memory.connect()
        await wait_all_tasks_blocked()
        counted = run.server.statistics().refused
        assert counted == {"connection lost": 2, "room for another": 1}
        await trio.sleep(6)
        assert run.server.statistics().refused == {
            "connection lost": 2,
            "room for another": 1,
            "timeout": 1,
        }
        assert run.server.statistics().handshakes_dropped == 1
        await silent.aclose()
        await late.aclose()


async def test_one_that_had_its_answer_is_not_counted_when_it_makes_room(
    memory, autojump_clock
) -> None:
    options = {"listeners": [memory], "limits": Limits(pending_handshakes=1)}
    async with running(echo, **options) as run:
        first = Peer(memory.connect())
        await first.send(plain_request())
        await first.read_head()
        second = Peer(memory.connect())
        await wait_all_tasks_blocked()
        counted = run.server.statistics()
        assert counted.refused == {"426 Upgrade header is missing": 1}
        assert counted.handshakes_dropped == 1
        await first.aclose()
        await second.aclose()


async def test_an_on_request_that_takes_too_long(memory, autojump_clock) -> None:
    async def on_request(request) -> None:
        await trio.sleep_forever()

    options = {
        "listeners": [memory],
        "on_request": on_request,
        "timeouts": Timeouts(handshake=5),
    }
    async with running(echo, **options) as run, Peer(memory.connect()) as peer:
        await peer.send(upgrade_request())
        await peer.read_rest()
        assert run.server.statistics().refused == {"timeout": 1}


async def test_tls_that_fails_and_tls_that_does_not_come(
    memory, autojump_clock, server_tls
) -> None:
    options = {
        "listeners": [memory],
        "ssl_context": server_tls,
        "timeouts": Timeouts(handshake=5),
    }
    async with running(echo, **options) as run:
        async with Peer(memory.connect()) as peer:
            await peer.send(upgrade_request())
            await peer.read_rest()
        await wait_all_tasks_blocked()
        assert run.server.statistics().refused == {"TLS handshake failed": 1}
        async with Peer(memory.connect()):
            await trio.sleep(6)
        assert run.server.statistics().refused == {
            "TLS handshake failed": 1,
            "timeout": 1,
        }


async def test_a_client_that_has_gone_is_counted_once(memory) -> None:
    decide = trio.Event()

    async def on_request(request) -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()
        with trio.CancelScope(shield=True):
            await decide.wait()
        raise ValueError("too late")

    options = {"listeners": [memory], "on_request": on_request}
    async with running(echo, **options) as run:
        async with Peer(memory.connect()) as peer:
            await peer.send(upgrade_request())
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        decide.set()
        await wait_all_tasks_blocked()
        assert run.server.statistics().refused == {"connection lost": 1}


async def test_no_client_makes_it_grow(memory) -> None:
    """Whatever it sends: sizes, paths, names and methods of its own are not shown."""
    heads = [plain_request(f"/{number}") for number in range(20)]
    for number in range(20):
        secret = f"secret{number}"
        heads += [
            upgrade_request(f"Cookie: {'c' * (70_000 + number)}"),
            upgrade_request(f"Origin: https://{secret}.example"),
            upgrade_request(f"Sec-WebSocket-Protocol: {secret}, {secret}"),
            upgrade_request(f"Sec-WebSocket-Protocol: {'a' * (9000 + number)}"),
            upgrade_request(*(f"{secret}-{n}: 1" for n in range(130 + number))),
            upgrade_request().replace(b"GET", b"BREW%d" % number),
            upgrade_request(f"Host: {secret}"),
            upgrade_request(f"{secret} : 1"),
            b"%d\r\n\r\n" % number,
        ]
    async with running(echo, listeners=[memory], origins=["https://a.example"]) as run:
        for head in heads:
            await ask(memory, head)
        counted = run.server.statistics().refused
    assert sum(counted.values()) == len(heads)
    assert len(counted) <= 12, counted
    assert "secret" not in repr(counted)


async def test_reasons_of_ones_own_are_bounded_in_number_and_length(memory) -> None:
    answers = [Response(403, reason=f"{n} {'x' * 200}") for n in range(200)]
    options = {"listeners": [memory], "on_request": lambda _: answers.pop()}
    async with running(echo, **options) as run:
        for _ in range(200):
            await ask(memory, upgrade_request())
        counted = run.server.statistics().refused
    assert len(counted) == 129
    assert counted["others"] == 200 - 128
    assert max(map(len, counted)) == 100


# --- closed ------------------------------------------------------------------


async def test_ends_are_counted_by_close_code(memory) -> None:
    keeper = Keeper()
    async with running(keeper, listeners=[memory]) as run:

        async def open_one() -> tuple[Peer, object]:
            peer = Peer(memory.connect())
            await peer.shake()
            return peer, await keeper.next()

        async def end(peer: Peer) -> None:
            await peer.aclose()
            await wait_all_tasks_blocked()

        assert run.server.statistics().closed == {}
        for code in (1000, 1000, 4000):
            peer, _ = await open_one()
            await peer.finish(code)
            await end(peer)
        assert run.server.statistics().closed == {1000: 2, 4000: 1}
        # Without a Close, with one that has no code, against the protocol.
        peer, _ = await open_one()
        await end(peer)
        peer, _ = await open_one()
        await peer.send(Frame(8, b""))
        await peer.read_rest()
        await end(peer)
        peer, _ = await open_one()
        await peer.send(b"\xff\xff")
        await peer.read_rest()
        await end(peer)
        counted = run.server.statistics().closed
        assert counted == {1000: 2, 4000: 1, 1006: 1, 1005: 1, 1002: 1}
        # As `close_code` shows it: what the peer says counts, if it says anything.
        peer, ws = await open_one()
        ws.close_nowait(4001)
        await peer.send(close(4002))
        await peer.read_rest()
        await end(peer)
        assert ws.close_code == 4002
        counted = run.server.statistics()
        assert counted.closed[4002] == 1
        assert sum(counted.closed.values()) == counted.accepted


async def test_when_on_close_is_called_it_is_counted_already(memory) -> None:
    seen = []

    class Hooks(EventHandler):
        def on_close(self, ws) -> None:
            seen.append((len(run.server.connections), run.server.statistics().closed))

    async with running(Hooks(), listeners=[memory]) as run:
        async with Peer(memory.connect()) as peer:
            await peer.shake()
            await peer.finish()
        await wait_all_tasks_blocked()
        assert seen == [(0, {1000: 1})]


async def test_connections_with_options_of_their_own_are_counted_with_the_others(
    memory,
) -> None:
    def on_request(request) -> Accept:
        return Accept(handler=Echo(), sending=Sending(high_water=100_000))

    options = {"listeners": [memory], "on_request": on_request}
    async with running(echo, **options) as run:
        async with Peer(memory.connect()) as peer:
            await peer.shake()
            await peer.finish()
        await wait_all_tasks_blocked()
        assert run.server.statistics().closed == {1000: 1}


async def test_no_peer_makes_it_grow(memory) -> None:
    async with running(Echo(), listeners=[memory]) as run:
        for code in (*range(3000, 3200), 1000, 1001, 4999):
            async with Peer(memory.connect()) as peer:
                await peer.shake()
                await peer.finish(code)
        await wait_all_tasks_blocked()
        counted = run.server.statistics().closed
    assert sum(counted.values()) == 203
    assert [code for code in counted if code >= 3000] == list(range(3000, 3064))
    assert (counted[1000], counted[1001]) == (1, 1)
    assert counted[0] == 200 - 64 + 1


# --- both --------------------------------------------------------------------


async def test_they_are_values_to_keep(memory) -> None:
    async with running(echo, listeners=[memory]) as run:
        await ask(memory, plain_request())
        before = run.server.statistics()
        await ask(memory, plain_request())
        assert before.refused == {"426 Upgrade header is missing": 1}
        assert before != run.server.statistics()
        assert pickle.loads(pickle.dumps(before)) == before
        assert asdict(before)["refused"] == before.refused
        assert hash(before) == hash(pickle.loads(pickle.dumps(before)))
        assert isinstance(before, ServerStatistics)


async def test_over_tcp_as_well(no_errors_logged) -> None:
    async with running(echo) as run:
        async with await dial(run.server.port) as peer:
            await peer.send(plain_request())
            await peer.read_rest()
        async with await dial(run.server.port) as peer:
            await peer.shake()
            await peer.finish(4000)
        while run.server.connections:
            await trio.lowlevel.checkpoint()
        counted = run.server.statistics()
        assert counted.refused == {"426 Upgrade header is missing": 1}
        assert counted.closed == {4000: 1}
