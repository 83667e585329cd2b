"""The benchmarks run: the C programs build, and a tiny cell yields believable rows."""

import base64
import hashlib
import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="epoll and /proc are Linux's"
    ),
    pytest.mark.skipif(
        shutil.which("cc") is None and shutil.which("gcc") is None,
        reason="no C compiler",
    ),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or "gcc"
    included = subprocess.run(
        [compiler, "-E", "-include", "zlib.h", "-xc", "/dev/null"],
        capture_output=True,
        check=False,
    )
    if included.returncode and os.environ.get("TRIO_FASTWS_REQUIRE_PEERS") != "1":
        pytest.skip("no zlib.h")
    return tmp_path_factory.mktemp("cache")


def run(
    cache: Path, *options: str, program: str = "run.py"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / program), *options],
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def measure(cache: Path, cells: str) -> dict[str, dict[str, object]]:
    report = cache / "report.json"
    options = ["--servers", "floor", "--rounds", "1", "--seconds", "0.1"]
    done = run(cache, "--cells", cells, *options, "--json", str(report))
    assert "Traceback" not in done.stderr, done.stderr
    found = json.loads(report.read_text())
    return {cell["cell"]: cell["rows"][0] for cell in found["cells"]}


def test_every_answer_of_the_floor_is_verified(cache: Path) -> None:
    cells = ["1x32x1", "5x128x3-text", "2x70000x2", "3x5x2", "broadcast:5"]
    rows = measure(cache, ",".join(cells))
    assert list(rows) == cells
    for row in rows.values():
        (sample,) = row["rounds"]
        assert sample["messages"] > 0
        # On a busy machine a figure may be refused, but never for an error.
        assert "errors" not in sample["refused"]
        assert sample["compressed"] == 0


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
    for cell, row in rows.items():
        (sample,) = row["rounds"]
        assert sample["messages"] > 0
        assert "errors" not in sample["refused"]
        assert sample["compressed"] == 1
        payload = int(cell.split("x")[1]) if "x" in cell else 128
        assert 0 < sample["answer_bytes"] < payload
    alone, together = (rows[cells[i]]["rounds"][0]["answer_bytes"] for i in (0, 3))
    assert together < alone


def test_handshakes_and_memory_are_measured(cache: Path) -> None:
    rows = measure(cache, "handshake:4,memory:50,memory:50:deflate-takeover")
    (sample,) = rows["handshake:4"]["rounds"]
    assert sample["messages"] > 0
    assert "errors" not in sample["refused"]
    moments = ["open", "echoed", "closed", "open again", "echoed again", "closed again"]
    assert list(rows["memory:50"]["memory_kib"]) == moments
    deflated = rows["memory:50:deflate-takeover"]["memory_kib"]
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
    measure(cache, "1x32x1")  # builds
    (loadgen,) = cache.glob("*/*/loadgen")
    (floor,) = cache.glob("*/*/floor")
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
    measure(cache, "1x32x1")  # builds
    (loadgen,) = cache.glob("*/*/loadgen")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        command = [loadgen, "--port", port, "--deflate", "alone", "--count", "1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            listener.settimeout(30)
            peer, _ = listener.accept()
            with peer:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += peer.recv(4096)
                key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
                guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                accept = base64.b64encode(hashlib.sha1(key + guid).digest())
                peer.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n"
                    b"Sec-WebSocket-Extensions: permessage-deflate; "
                    b"server_no_context_takeover; client_no_context_takeover\r\n\r\n"
                )
                assert peer.recv(4096)[0] == 0xC2  # FIN, RSV1, binary
                peer.sendall(bytes([0xC2, len(answer)]) + answer)
                assert process.stdout is not None
                report = json.loads(process.stdout.readline())
    assert report["event"] == "failed"
    assert noticed in report["first_error"]


@pytest.mark.parametrize(
    ("server", "generator", "believed"),
    [
        (0.99, 0.99, True),  # both full: the server was
        (0.60, 0.99, False),  # the generator was the limit
        (0.85, 0.96, True),
        (0.40, 0.35, True),  # one message in flight: the trip is the limit
        (0.00, 0.10, False),  # nothing was measured
    ],
)
def test_a_round_the_generator_limited_is_refused(
    monkeypatch: pytest.MonkeyPatch, server: float, generator: float, believed: bool
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
    assert (measure.verdict(outcome) == "") is believed


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
    "cell", ["0x1x1", "1x1", "memory:0", "nonsense", "1x1x1:deflate", "memory:inflate"]
)
def test_an_unknown_cell_is_refused_with_the_grammar(cache: Path, cell: str) -> None:
    done = run(cache, "--cells", cell)
    assert done.returncode == 2
    assert "CONNECTIONSxPAYLOADxDEPTH" in done.stderr
