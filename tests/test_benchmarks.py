"""The benchmarks run: the C programs build, and a tiny cell yields believable rows."""

import importlib
import json
import select
import socket
import subprocess
import threading
import zlib
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.measuring import BENCHMARKS, MARKS, built, measure, run, shake
from tests.wire import xor

pytestmark = MARKS


def test_every_answer_of_the_floor_is_verified(cache: Path) -> None:
    cells = ["1x32x1", "5x128x3-text", "2x70000x2", "3x5x2", "broadcast:5"]
    rows = measure(cache, ",".join(cells))
    assert list(rows) == cells
    for cell, (row,) in rows.items():
        (sample,) = row["rounds"]
        assert sample["messages"] > 0
        # On a busy machine a figure may be refused, but never for an error.
        assert "errors" not in sample["refused"]
        assert sample["compressed"] == 0
        if cell != "broadcast:5":
            assert 0 <= sample["least_share"] <= 1 <= sample["worst_mean"]


def test_compressed_answers_are_inflated_and_verified(cache: Path) -> None:
    cells = [
        "5x128x3:deflate",
        "3x16x2:deflate",
        "2x60000x3-text:deflate",  # longer than one read, shorter than 64 KiB packed
        "5x128x80:deflate-takeover",  # more than the window holds
        "broadcast:5:deflate",
    ]
    rows = measure(cache, ",".join(cells))
    assert list(rows) == cells
    for cell, (row,) in rows.items():
        (sample,) = row["rounds"]
        assert sample["messages"] > 0
        assert "errors" not in sample["refused"]
        assert sample["compressed"] == 1
        payload = int(cell.split("x")[1]) if "x" in cell else 128
        assert 0 < sample["answer_bytes"] < payload
    alone, together = (rows[cells[i]][0]["rounds"][0]["answer_bytes"] for i in (0, 3))
    assert together < alone


def test_handshakes_and_memory_are_measured(cache: Path) -> None:
    rows = measure(cache, "handshake:4,memory:50,memory:50:deflate-takeover")
    (sample,) = rows["handshake:4"][0]["rounds"]
    assert sample["messages"] > 0
    assert "errors" not in sample["refused"]
    moments = ["open", "echoed", "closed", "open again", "echoed again", "closed again"]
    assert list(rows["memory:50"][0]["memory_kib"]) == moments
    deflated = rows["memory:50:deflate-takeover"][0]["memory_kib"]
    assert {*moments, "window full"} <= deflated.keys()


@pytest.mark.parametrize(
    ("serving", "deflate", "noticed"),
    [
        # What one echoes, a server that broadcasts sends to the others too.
        (["broadcast"], "none", ["tagged", "an answer"]),
        (["broadcast", "alone"], "alone", ["wrong bytes", "tagged", "an answer"]),
        # One that keeps a context where none was agreed on, or does not compress.
        (["echo", "takeover"], "alone", ["not granted"]),
        (["echo"], "alone", ["not granted"]),
        (["echo", "alone"], "none", ["not offered"]),
    ],
)
def test_wrong_answers_are_noticed(
    cache: Path, serving: list[str], deflate: str, noticed: list[str]
) -> None:
    loadgen, floor = built(cache, "loadgen"), built(cache, "floor")
    load = ["--connections", "3", "--seconds", "0.1", "--deflate", deflate]
    with subprocess.Popen([floor, *serving], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split()[1].decode()
        try:
            done = subprocess.run(
                [loadgen, "--port", port, *load],
                capture_output=True,
                check=False,
                timeout=60,
            )
        finally:
            server.kill()
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["event"] == "failed"
    assert any(word in report["first_error"] for word in noticed)


def answer_unfairly(peers: list[socket.socket], count: int) -> None:
    """Echo so many messages of 16 bytes: to the last peer one after 49 to the others.

    Then everybody gets an answer to what they still wait for.
    """
    *others, starved = peers
    for number in range(count):
        last = number % 50 == 49
        echo_one(starved if last else others[number % len(others)])
    while peers:
        for peer in select.select(peers, [], [])[0]:
            if not echo_one(peer):
                peers.remove(peer)


def echo_one(peer: socket.socket) -> bool:
    frame = b""
    while len(frame) < 22:
        if not (more := peer.recv(22 - len(frame))):
            return False
        frame += more
    key, payload = frame[2:6], frame[6:]
    peer.sendall(b"\x82\x10" + xor(payload, key))
    return True


def test_a_connection_that_starves_is_noticed(cache: Path) -> None:
    loadgen = built(cache, "loadgen")
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        port = str(listener.getsockname()[1])
        load = ["--connections", "3", "--payload", "16", "--count", "500"]
        # It ends by the count, however long that takes.
        times = ["--warmup", "0", "--seconds", "20"]
        process = stack.enter_context(
            subprocess.Popen([loadgen, "--port", port, *load, *times], stdout=PIPE)
        )
        listener.settimeout(30)
        peers = [stack.enter_context(listener.accept()[0]) for _ in range(3)]
        for peer in peers:
            peer.settimeout(30)
            shake(peer)
        answering = threading.Thread(target=answer_unfairly, args=[peers, 500])
        answering.start()
        assert process.stdout is not None
        report = json.loads(process.stdout.readline())
        process.kill()  # so it does not wait for closing handshakes
        answering.join()
    assert report["errors"] == 0
    assert report["least_share"] < 0.1
    assert report["worst_mean"] > 5


def test_a_sleeper_in_the_server_says_how_late_it_was(cache: Path) -> None:
    servers = ["trio_websocket", "websockets_trio", "ours-callback", "ours-async"]
    cells = ["sleeper:idle", "sleeper:3x128x2+1x128x2-slow"]
    # The floor has no loop for one.
    rows = measure(cache, ",".join(cells), ",".join(["floor", *servers]))
    for cell in cells:
        assert [row["server"] for row in rows[cell]] == servers
        for row in rows[cell]:
            assert not row["failed"], row["note"]
            (sample,) = row["rounds"]
            late = sample["late_ms"]
            assert 0 <= late["p50"] <= late["p99"] <= late["most"]
            assert (sample["messages"] > 0) is (cell != "sleeper:idle")


def deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    ("answer", "noticed"),
    [
        (deflate(b"another text of the same length".ljust(128)), "wrong bytes"),
        (deflate(b"short"), "inflates to 5 bytes"),
        (deflate(bytes(129)), "inflates to -1 bytes"),
        (b"\x06 reserved block type", "inflates to -1 bytes"),
    ],
)
def test_wrong_compressed_answers_are_noticed(
    cache: Path, answer: bytes, noticed: str
) -> None:
    loadgen = built(cache, "loadgen")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        command = [loadgen, "--port", port, "--deflate", "alone", "--count", "1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            listener.settimeout(30)
            peer, _ = listener.accept()
            with peer:
                shake(
                    peer,
                    "Sec-WebSocket-Extensions: permessage-deflate; "
                    "server_no_context_takeover; client_no_context_takeover",
                )
                assert peer.recv(4096)[0] == 0xC2  # FIN, RSV1, binary
                peer.sendall(bytes([0xC2, len(answer)]) + answer)
                assert process.stdout is not None
                report = json.loads(process.stdout.readline())
    assert report["event"] == "failed"
    assert noticed in report["first_error"]


@pytest.mark.parametrize(
    ("server", "generator", "payload", "believed"),
    [
        (0.99, 0.99, 128, True),  # both full: the server was
        (0.60, 0.99, 128, False),  # the generator was the limit
        (0.60, 0.99, 2**20, True),  # but here there are no batches to miss
        (0.85, 0.96, 128, True),
        (0.40, 0.35, 128, True),  # one message in flight: the trip is the limit
        (0.00, 0.10, 128, False),  # nothing was measured
    ],
)
def test_a_round_the_generator_limited_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    server: float,
    generator: float,
    payload: int,
    believed: bool,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    measure = importlib.import_module("measure")
    outcome = importlib.import_module("rig").Outcome(
        event="done",
        seconds=1.0,
        messages=1000,
        errors=0,
        first_error="",
        p50_us=1.0,
        p99_us=2.0,
        server_cpu=server,
        own_cpu=generator,
        compressed=0.0,
        answer_bytes=128.0,
        worst_mean=1.0,
        least_share=1.0,
    )
    assert (measure.verdict(outcome, payload) == "") is believed


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("nobody", "no server 'nobody'"),
        ("floor+window", "one of ours may be followed by"),
        ("ours-callback+lzma", "+zlib-ng, +isal, +window"),
    ],
)
def test_an_unknown_server_is_refused_with_the_words(
    cache: Path, server: str, words: str
) -> None:
    done = run(cache, "--servers", server)
    assert done.returncode == 2
    assert words in done.stderr


def test_every_way_to_compress_is_measured_with_every_library(cache: Path) -> None:
    json_file, markdown = cache / "deflate.json", cache / "deflate.md"
    options = ["--quick", "--json", str(json_file), "--markdown", str(markdown)]
    done = run(cache, *options, program="deflate.py")
    assert done.returncode == 0, done.stderr
    found = json.loads(json_file.read_text())
    ways = {(x["setting"]["codec"], x["setting"]["way"]) for x in found["sizes"]}
    libraries = {"zlib", "zlib-ng", "isal"}
    assert ways == {
        (library, way)
        for library in libraries
        for way in ("none", "window", "persistent")
    }
    for figure in found["sizes"]:
        assert 0 < figure["share"] < 1
        assert figure["deflate_us"] > 0
        assert figure["inflate_us"] > 0
        if figure["setting"]["codec"] == "zlib":
            assert figure["deflate_ratio"] == figure["inflate_ratio"] == 1
    assert {cost["codec"] for cost in found["memory"]} == libraries
    weights = {x["what"]: x["value"] for x in found["memory"] if x["codec"] == "zlib"}
    both = "sent and received, "
    assert weights[f"{both}window"] < weights[f"{both}persistent"]
    assert "| none, zlib |" in markdown.read_text()


@pytest.mark.parametrize(
    "cell",
    [
        "0x1x1",
        "1x1",
        "memory:0",
        "nonsense",
        "1x1x1:deflate",
        "memory:inflate",
        "1x128x1-slow",  # only beside a sleeper
        "sleeper:",
        "sleeper:memory",
        "sleeper:1x128x1+",
        "sleeper:1x128x1:deflate",
    ],
)
def test_an_unknown_cell_is_refused_with_the_grammar(cache: Path, cell: str) -> None:
    done = run(cache, "--cells", cell)
    assert done.returncode == 2
    assert "CONNECTIONSxPAYLOADxDEPTH" in done.stderr
