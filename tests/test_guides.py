"""The code in the guides does what the guides say."""

import os
import re
import signal
import ssl
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import trio
import trustme
from trio.testing import (
    lockstep_stream_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from tests.programs import ROOT, TIMEOUT
from tests.wire import (
    PING,
    PONG,
    Frame,
    MemoryListener,
    Peer,
    close,
    dial,
    masked,
    text,
    upgrade_request,
)
from trio_fastws import (
    ConnectionBroken,
    HandshakeRefused,
    Limits,
    Listen,
    PerMessageDeflate,
    Response,
    Sending,
    Timeouts,
    WebSocket,
    open_websocket,
    serve_websocket,
)

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[str]:
    return BLOCK.findall((ROOT / "docs" / page).read_text())


def block_with(page: str, words: str) -> str:
    """Return the one block in which these words are."""
    (found,) = (text for text in blocks(page) if words in text)
    return found


def run_block(text: str, monkeypatch) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Execute a block; return its names, and what it gave to `trio.run`."""
    given: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(trio, "run", lambda *args: given.extend(args))
        names: dict[str, Any] = {}
        exec(compile(text, "guide", "exec"), names)
    return names, tuple(given)


def test_every_block_is_run_here() -> None:
    pages = (
        "server.md",
        "client.md",
        "deflate.md",
        "performance.md",
        "troubleshooting.md",
        "testing.md",
    )
    assert [len(blocks(page)) for page in pages] == [18, 4, 5, 1, 4, 5]


@pytest.mark.parametrize(
    ("page", "number"), [("server.md", 0), ("server.md", 1), ("performance.md", 0)]
)
async def test_every_kind_of_handler_echoes(serve, monkeypatch, page, number) -> None:
    _, (_, handler, port) = run_block(blocks(page)[number], monkeypatch)
    assert port == 8765
    server = await serve(handler)
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        await ws.send("here")
        assert await ws.receive() == "here"


def test_where_it_listens_can_be_said_like_that(monkeypatch) -> None:
    names, _ = run_block(block_with("server.md", "import Listen"), monkeypatch)
    assert names["behind_nginx"].unix == "/run/chat.socket"
    assert names["one_of_many"].reuse_port


async def test_on_error_says_more_than_a_log_line(serve, monkeypatch, caplog) -> None:
    names, _ = run_block(block_with("server.md", "def on_error"), monkeypatch)

    class Numbers(names["Careful"]):
        def on_message(self, ws, message) -> None:
            ws.send_nowait(str(1 / int(message)))

    server = await serve(Numbers())
    url = f"ws://127.0.0.1:{server.port}"
    for message, code in [("two", 4000), ("0", 1011)]:
        async with open_websocket(url) as ws:
            await ws.send(message)
            with pytest.raises(ConnectionBroken):
                await ws.receive()
            assert ws.close_code == code
    assert [record.exc_info[0] for record in caplog.records] == [
        ValueError,
        ZeroDivisionError,
    ]


async def test_a_server_makes_way_for_the_next(
    monkeypatch, capsys, autojump_clock, nursery
) -> None:
    names, _ = run_block(block_with("server.md", "server.drain"), monkeypatch)
    _, (_, echo, _) = run_block(blocks("server.md")[1], monkeypatch)
    terminate, signals = trio.open_memory_channel(1)

    async def serve(handler, port, *, task_status):
        assert port == Listen(8765, reuse_port=True)
        listen = Listen(listeners=[memory])
        await serve_websocket(handler, listen, task_status=task_status)

    memory = MemoryListener()
    monkeypatch.setattr(trio, "open_signal_receiver", lambda _: nullcontext(signals))
    names["serve_websocket"] = serve
    nursery.start_soon(names["serve"], echo)
    peer = Peer(memory.connect())
    await peer.shake()
    started = trio.current_time()
    terminate.send_nowait(signal.SIGTERM)
    nursery.start_soon(peer.send, text("hello"))
    assert await peer.read_frame() == text("hello")
    # The Ping of the keepalive, answered.
    while (frame := await peer.read_frame()).opcode == PING:
        await peer.send(Frame(PONG, frame.payload))
    assert frame == close(1012, "restarting")
    assert 30 <= trio.current_time() - started < 31
    await peer.aclose()


async def test_several_paths(serve, monkeypatch) -> None:
    names, _ = run_block(block_with("server.md", "ROUTES"), monkeypatch)
    server = await serve(names["upload"], on_request=names["route"])
    url = f"ws://127.0.0.1:{server.port}"
    async with open_websocket(url + "/feed") as ws:
        assert await ws.receive() == "welcome"
    async with open_websocket(url + "/upload") as ws:
        await ws.send(bytes(3 * 2**20))  # a server's own limit is 1 MiB
        assert await ws.receive() == f"{3 * 2**20} bytes"
    with pytest.raises(HandshakeRefused, match="no such path"):
        async with open_websocket(url + "/other"):
            pytest.fail("accepted")


def put(patience: list[str]) -> Any:
    """Return a `look_up` that takes as many seconds as the question says."""

    async def look_up(question: str) -> str:
        patience.append(question)
        await trio.sleep(float(question))
        if question == "0.5":
            raise ZeroDivisionError
        return question

    return look_up


@pytest.mark.parametrize(
    ("words", "order"),
    [("class Lookup", ["1", "2", "3"]), ("def reply_in_order", ["3", "1", "2"])],
)
async def test_messages_in_parallel(
    serve, monkeypatch, memory, autojump_clock, words, order
) -> None:
    names, _ = run_block(block_with("server.md", words), monkeypatch)
    assert "about 'x'" in await names["look_up"]("x")
    asked: list[str] = []
    names["look_up"] = put(asked)
    handler = names["Lookup"]() if "Lookup" in names else names["reply_in_order"]
    await serve(handler, listeners=[memory], limits=Limits(tasks=3))
    async with open_websocket("ws://localhost/", stream=memory.connect()) as ws:
        start = trio.current_time()
        for question in ["3", "1", "2"]:
            await ws.send(question)
        assert [await ws.receive() for _ in range(3)] == order
        assert trio.current_time() - start == pytest.approx(3, abs=0.1)
        for question in ["9", *["1"] * 10]:
            await ws.send(question)
        await trio.sleep(0.5)
        # Three run, and the others are not even taken.
        assert len(asked) == 6


async def test_an_answer_that_fails_lets_none_overtake(
    serve, monkeypatch, memory, autojump_clock
) -> None:
    names, _ = run_block(block_with("server.md", "def reply_in_order"), monkeypatch)
    names["look_up"] = put([])
    await serve(names["reply_in_order"], listeners=[memory])
    async with open_websocket("ws://localhost/", stream=memory.connect()) as ws:
        for question in ["0.2", "0.5", "0.1"]:
            await ws.send(question)
        assert await ws.receive() == "0.2"
        with pytest.raises(ConnectionBroken, match="1011"):
            await ws.receive()


async def test_work_that_must_be_finished(
    serve, monkeypatch, capsys, memory, autojump_clock
) -> None:
    names, _ = run_block(block_with("server.md", "def receive_all"), monkeypatch)
    await serve(names["talk"], listeners=[memory])
    async with open_websocket("ws://localhost/", stream=memory.connect()) as ws:
        assert await ws.receive() == "ready"
        for number in range(50):
            await ws.send(str(number))
    await trio.sleep(6)
    done = capsys.readouterr().out.splitlines()
    assert done == [f"done: {number}" for number in range(50)]


async def test_receiving_and_sending_at_once(serve, monkeypatch, capsys) -> None:
    names, _ = run_block(block_with("client.md", "def show"), monkeypatch)

    async def handler(ws: WebSocket) -> None:
        assert await ws.receive() == "first"
        for number in range(100):
            await ws.send(str(number))
        assert await ws.receive() == "second"

    server = await serve(handler)
    await names["talk"](f"ws://127.0.0.1:{server.port}/", ["first", "second"])
    assert capsys.readouterr().out.splitlines() == [str(n) for n in range(100)]


async def test_on_request_decides(serve, monkeypatch) -> None:
    names, _ = run_block(block_with("server.md", "def check(request"), monkeypatch)
    _, (_, echo, _) = run_block(blocks("server.md")[0], monkeypatch)
    server = await serve(echo, on_request=names["check"])
    url = f"ws://127.0.0.1:{server.port}"
    for path, status, body in [
        ("/health", 200, b"ok\n"),
        ("/", 401, b"who are you?\n"),
    ]:
        with pytest.raises(HandshakeRefused) as caught:
            async with open_websocket(url + path):
                pytest.fail("accepted")
        assert caught.value.response is not None
        assert (caught.value.response.status, caught.value.response.body) == (
            status,
            body,
        )
    allowed = [("Authorization", "Bearer secret")]
    async with open_websocket(url, headers=allowed) as ws:
        await ws.send("in")
        assert await ws.receive() == "in"


async def test_on_request_tells_who_it_is(serve, monkeypatch) -> None:
    names, _ = run_block(block_with("server.md", "def log_in"), monkeypatch)
    server = await serve(names["greet"], on_request=names["log_in"])
    url = f"ws://127.0.0.1:{server.port}"
    with pytest.raises(HandshakeRefused, match="401"):
        async with open_websocket(url):
            pytest.fail("accepted")
    token = [("Authorization", "Bearer secret")]
    async with open_websocket(url, headers=token) as ws:
        assert await ws.receive() == "hello Ada"
        assert ws.response is not None
        cookie = ws.response.headers["Set-Cookie"].partition(";")[0]
    async with open_websocket(url, headers=[("Cookie", cookie)]) as ws:
        assert await ws.receive() == "hello Ada"
        assert "Set-Cookie" not in ws.response.headers


@pytest.mark.parametrize("forwarded", [True, False])
async def test_limits_per_address(serve, nursery, monkeypatch, forwarded) -> None:
    names, _ = run_block(block_with("server.md", "class Fair"), monkeypatch)
    if not forwarded:
        names["PROXIES"].remove("127.0.0.1")
    left = trio.Event()

    class Telling(names["Fair"]):
        def on_close(self, ws) -> None:
            super().on_close(ws)
            left.set()

    fair = Telling()
    server = await serve(fair, on_request=fair.check)
    # All at once: whoever is let in counts before the next is asked about.
    peers = [await dial(server.port) for _ in range(12)]
    for number, peer in enumerate(peers):
        # The first two are what clients say: none of our proxy's business.
        field = f"X-Forwarded-For: 192.0.2.{number}, ::{number}, 203.0.113.7"
        await peer.send(upgrade_request(field))
    heads = [await peer.read_head() for peer in peers]
    assert [head[:12] for head in heads].count(b"HTTP/1.1 101") == 10
    assert sum(b" 429 " in head and b"Retry-After: 10" in head for head in heads) == 2
    assert list(fair.open) == ["203.0.113.7" if forwarded else "127.0.0.1"]
    if forwarded:  # another client of the proxy
        fields = [("X-Forwarded-For", "203.0.113.7, 203.0.113.8")]
        async with open_websocket(f"ws://127.0.0.1:{server.port}/", headers=fields):
            pass
        left = trio.Event()
    for peer, head in zip(peers, heads, strict=True):
        if b" 101 " in head and not left.is_set():
            await peer.aclose()
            await left.wait()
    fields = [("X-Forwarded-For", "203.0.113.7")]
    async with open_websocket(f"ws://127.0.0.1:{server.port}/", headers=fields):
        pass
    for peer in peers:
        await peer.aclose()
    while server.connections:
        await wait_all_tasks_blocked(0.01)
    assert not fair.open


async def test_who_has_no_address_is_not_limited(
    serve, memory, monkeypatch, tmp_path
) -> None:
    names, _ = run_block(block_with("server.md", "class Fair"), monkeypatch)
    fair = names["Fair"]()
    await serve(fair, on_request=fair.check, listeners=[memory])
    path = tmp_path / "chat.socket"
    await serve(fair, on_request=fair.check, port=Listen(unix=path))
    peers = [Peer(memory.connect()) for _ in range(11)]
    peers += [Peer(await trio.open_unix_socket(path)) for _ in range(11)]
    for peer in peers:
        assert (await peer.shake()).startswith(b"HTTP/1.1 101 ")
    assert fair.open == {"": 22}
    behind_nginx = Peer(await trio.open_unix_socket(path))
    assert (await behind_nginx.shake("X-Forwarded-For: 203.0.113.7"))[9:12] == b"101"
    assert fair.open == {"": 22, "203.0.113.7": 1}
    for peer in [*peers, behind_nginx]:
        await peer.aclose()


async def test_a_member_that_is_closed_has_left_at_once(
    serve, monkeypatch, capsys, memory, autojump_clock
) -> None:
    names, _ = run_block(block_with("server.md", "class Room"), monkeypatch)
    ended: list[float] = []

    class Telling(names["Room"]):
        def on_close(self, ws) -> None:
            super().on_close(ws)
            ended.append(trio.current_time())

    room = Telling()
    server = await serve(room, listeners=[memory], sending=Sending(policy="close"))
    slow = Peer(memory.connect(lockstep_stream_pair))
    await slow.shake()
    (member,) = server.connections
    async with open_websocket("ws://localhost/", stream=memory.connect()) as ws:
        while member.state == "open":
            await ws.send(bytes(50_000))
            await ws.receive()
        closing = trio.current_time()
        assert member not in room.members
        assert capsys.readouterr().out == f"{member.id} has left\n"
        assert member in server.connections
        assert member.state == "closing"
        await member.wait_closed()
        # Timeouts.close
        assert [time - closing for time in ended] == [pytest.approx(10, abs=0.5)]
        assert capsys.readouterr().out == ""
    await slow.aclose()


async def test_clients_with_certificates(serve, monkeypatch, tmp_path) -> None:
    names, _ = run_block(block_with("server.md", "def make_context"), monkeypatch)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "clients.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    monkeypatch.chdir(tmp_path)

    async def greet(ws: WebSocket) -> None:
        await ws.send(f"hello {ws.session}")

    server = await serve(
        greet, ssl_context=names["make_context"](), on_request=names["who"]
    )
    url = f"wss://localhost:{server.port}/"
    context = ssl.create_default_context(cafile="clients.pem")
    with pytest.raises(HandshakeRefused, match="a certificate, please"):
        async with open_websocket(url, ssl_context=context):
            pytest.fail("accepted")
    authority.issue_cert("ada@example.org").configure_cert(context)
    async with open_websocket(url, ssl_context=context) as ws:
        assert await ws.receive() == "hello ada@example.org"


async def test_within_another_http_server(nursery, monkeypatch) -> None:
    names, _ = run_block(block_with("server.md", "def take_over"), monkeypatch)
    ours, theirs = memory_stream_pair()
    early = masked(text("early"))
    nursery.start_soon(names["take_over"], ours, upgrade_request(), early)
    peer = Peer(theirs)
    assert (await peer.read_head()).startswith(b"HTTP/1.1 101 ")
    assert await peer.read_frame() == text("early")
    await peer.send(text("later"))
    assert await peer.read_frame() == text("later")
    await peer.send(close(1000))
    assert await peer.read_close() == (1000, "")
    await peer.aclose()


async def test_one_way_heartbeats(serve, monkeypatch, memory, autojump_clock) -> None:
    names, _ = run_block(block_with("server.md", "def beat"), monkeypatch)
    await serve(
        names["Feed"](), listeners=[memory], timeouts=Timeouts(ping_interval=None)
    )
    peer = Peer(memory.connect())
    await peer.shake()
    started = trio.current_time()
    for _ in range(2):
        assert await peer.read_frame() == Frame(PONG, b"")
    assert trio.current_time() - started == pytest.approx(30)
    await peer.aclose()


async def test_json_as_bytes(serve, monkeypatch) -> None:
    answering, _ = run_block(block_with("server.md", "async def answer"), monkeypatch)
    asking, _ = run_block(block_with("client.md", "async def ask"), monkeypatch)
    server = await serve(answering["answer"])
    question = {"grüße": ["你好", 1]}
    reply = await asking["ask"](f"ws://127.0.0.1:{server.port}/", question)
    assert reply == {"you said": question}


async def test_messages_in_pieces(serve, monkeypatch, capsys) -> None:
    names, _ = run_block(block_with("server.md", "def store"), monkeypatch)
    server = await serve(names["store"], limits=Limits(message_size=None))
    async with open_websocket(f"ws://127.0.0.1:{server.port}/") as ws:
        await ws.send(bytes(3_000_000))
        assert await ws.receive() == "got it"
    sizes = [int(size) for size in re.findall(r"(\d+) more", capsys.readouterr().out)]
    assert sum(sizes) == 3_000_000
    assert len(sizes) > 1


async def test_dialling(serve, monkeypatch, capsys) -> None:
    _, (_, echo, _) = run_block(blocks("server.md")[0], monkeypatch)
    server = await serve(echo)
    text = blocks("client.md")[0].replace("localhost:8765", f"127.0.0.1:{server.port}")
    _, (main,) = run_block(text, monkeypatch)
    await main()
    assert capsys.readouterr().out == "hello\n"


async def test_a_client_that_reconnects(
    serve, monkeypatch, capsys, autojump_clock
) -> None:
    names, _ = run_block(block_with("client.md", "def follow"), monkeypatch)
    answers = [Response(503), None, None, Response(404)]
    closes = [(1001, "restarting"), (1011, "failed")]

    async def handler(ws: WebSocket) -> None:
        await ws.send("news")
        ws.close_nowait(*closes.pop(0))

    server = await serve(handler, on_request=lambda request: answers.pop(0))
    started = trio.current_time()
    with pytest.raises(HandshakeRefused, match="404"):
        await names["follow"](f"ws://127.0.0.1:{server.port}/")
    assert capsys.readouterr().out.splitlines() == [
        "server answered 503 Service Unavailable",
        "news",
        "news",
        "connection closed with code 1011: failed",
    ]
    # Three pauses of half a second at least: a connection resets what they grow by.
    assert 1.5 <= trio.current_time() - started < 4


def test_the_tests_of_a_reader_pass(tmp_path) -> None:
    text = "\n\n".join(blocks("testing.md"))
    (tmp_path / "test_page.py").write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\n")
    # Without the options of the run that this one is a part of.
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA"],
        cwd=tmp_path,
        env={**variables, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    passed = re.findall(r"^PASSED test_page\.py::(\w+)$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(passed) == sorted(re.findall(r"async def (test_\w+)", text))


# --- compression -------------------------------------------------------------


async def test_compression_is_turned_on_with_one_argument(
    serve, monkeypatch, capsys
) -> None:
    _, (program,) = run_block(blocks("deflate.md")[0], monkeypatch)
    assert isinstance(program, partial)
    _, echo, port = (program.func, *program.args)
    assert port == 8765
    server = await serve(echo, **program.keywords)
    text = blocks("deflate.md")[1].replace("localhost:8765", f"127.0.0.1:{server.port}")
    _, (main,) = run_block(text, monkeypatch)
    await main()
    characters, sizes = capsys.readouterr().out.splitlines()
    assert characters == "600 characters"
    received, encoded = map(int, re.findall(r"\d+", sizes))
    assert received == 600
    assert 0 < encoded < received


async def test_options_are_agreed_on(serve, monkeypatch) -> None:
    names, _ = run_block(blocks("deflate.md")[2], monkeypatch)
    server = await serve(WebSocket.receive, deflate=names["FEED"])
    url = f"ws://127.0.0.1:{server.port}/"
    async with open_websocket(url, deflate=PerMessageDeflate()) as ws:
        agreed = ws.deflate
    assert agreed is not None
    assert agreed.server_no_context_takeover


async def test_messages_choose(serve, monkeypatch) -> None:
    names, _ = run_block(blocks("deflate.md")[3], monkeypatch)
    picture, token = bytes(1000), "secret" * 100
    report = "a report, in as many pieces as there are"

    async def handler(ws: WebSocket) -> None:
        await names["answer"](ws, picture, token)

    server = await serve(handler, deflate=PerMessageDeflate())
    url = f"ws://127.0.0.1:{server.port}/"
    async with open_websocket(url, deflate=PerMessageDeflate()) as ws:
        assert [message async for message in ws] == [picture, token, report]
        encoded = ws.statistics().encoded_received - len(picture) - len(token)
    # The first two went as they are, the third did not.
    assert encoded > 0
    assert encoded != len(report)


async def test_a_broadcast_reaches_everybody(serve, nursery, monkeypatch) -> None:
    names, _ = run_block(blocks("deflate.md")[4], monkeypatch)
    text = "the same for all " * 20
    server = await serve(WebSocket.wait_closed, deflate=PerMessageDeflate())
    url = f"ws://127.0.0.1:{server.port}/"
    async with (
        open_websocket(url, deflate=PerMessageDeflate()) as one,
        open_websocket(url, deflate=PerMessageDeflate()) as other,
        open_websocket(url) as plain,
    ):
        for _ in range(2):
            names["tell_all"](server, text)
            for ws in (one, other, plain):
                assert await ws.receive() == text
        assert one.statistics().encoded_received < len(text)
        assert other.statistics().encoded_received < len(text)
        assert plain.statistics().encoded_received == 2 * len(text)
