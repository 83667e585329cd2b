"""The programs that count run: what they tell has its fields, and names are checked."""

import importlib
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.measuring import BENCHMARKS, MARKS, run

pytestmark = MARKS


def need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("TRIO_FASTWS_REQUIRE_PEERS") != "1":
        pytest.skip(f"no {', '.join(missing)}")


def count(cache: Path, passes: str, servers: str, *options: str) -> list[dict]:
    json_file, markdown = cache / "counts.json", cache / "counts.md"
    files = ["--json", str(json_file), "--markdown", str(markdown)]
    options = ("--quick", "--passes", passes, "--servers", servers, *options, *files)
    done = run(cache, *options, program="counts.py")
    assert done.returncode == 0, done.stderr
    rows = json.loads(json_file.read_text())["rows"]
    for row in rows:
        assert row["messages"] > 0
        assert f"| {row['cell']}, {row['server']} |" in markdown.read_text()
    return rows


def test_system_calls_are_counted_by_name(cache: Path) -> None:
    need("strace")
    floor, ours = count(cache, "syscalls", "floor,ours-callback")
    # One read and one write for a message alone; other ones where nothing is compiled.
    assert 0.9 < floor["each"]["recvfrom"] <= 1.1
    assert 0.9 < floor["each"]["sendto"] <= 1.1
    for row in (floor, ours):
        assert row["total"] == pytest.approx(sum(row["each"].values()))
        assert row["total"] >= 2


def test_turns_and_switches_are_counted(cache: Path) -> None:
    rows = count(cache, "switches,turns", "floor,ours-callback,ours-async")
    found = {(row["pass"], row["server"]): row["each"] for row in rows}
    assert ("turns", "floor") not in found  # it has no trio
    assert set(found["switches", "floor"]) == {
        "voluntary",
        "involuntary",
        "page faults",
    }
    hooks, tasks = (found["turns", f"ours-{how}"] for how in ("callback", "async"))
    assert set(hooks) == set(tasks) == {"turns", "scheduled", "steps"}
    # A message wakes its task, once at least; hooks have no task to be woken.
    assert hooks["steps"] < 2 < 1 + tasks["steps"]


def test_instructions_are_counted_and_shared_out(cache: Path) -> None:
    need("valgrind", "callgrind_control")
    (row,) = count(cache, "instructions", "floor")
    assert row["total"] > 0
    assert sum(row["shares"].values()) == pytest.approx(1)
    assert row["shares"]["floor"] > row["shares"]["libc"] > 0
    assert row["functions"]["floor:ws_xor"] > 0


def test_allocations_and_bytes_are_counted(cache: Path) -> None:
    cells = ["5x128x2", "2x70000x1", "5x128x1:deflate", "handshake:4"]
    rows = count(cache, "memory", "floor,ours-callback", "--cells", ",".join(cells))
    assert len(rows) == 8
    for row in rows:
        moved = row["each payload byte"]
        if "deflate" in row["cell"]:
            assert 0 < moved["sent"] < 1
        elif row["cell"] != "handshake:4":
            # Payload and header, in and out; the header in has a mask.
            assert 1 < moved["sent"] < moved["received"] < 1.2
        if row["server"] == "ours-callback":
            assert row["each"]["allocations"] > 0
            assert row["each"]["bytes allocated"] > 0
            # A large payload is received where it stays: of that, nothing is copied.
            assert moved["copied"] > 0 or "70000" in row["cell"]


PROFILE = """\
# callgrind format
version: 1
events: Ir

ob=(1) /usr/lib/libpython3.11.so.1.0
fl=(1) ???
fn=(1) call
16 20
+3 5
cob=(2) /w/trio_fastws/_output.cpython-311-x86_64-linux-gnu.so
cfi=(2) a.c
cfn=(2) __pyx_f_11trio_fastws_7_output_6Output__enqueue
calls=7 0
* 1000
-2 1

ob=(2)
fn=(2)
0 30
fn=(3) __pyx_pw_11trio_fastws_4main
0 4

ob=(3) /lib/x86_64-linux-gnu/libz.so.1.2.13
fn=(4) deflate
0 8

ob=(1)
fn=(1)
9 2

totals: 70
"""


def test_a_profile_is_read_without_what_called_functions_spent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    callgrind = importlib.import_module("callgrind")
    path = tmp_path / "profile"
    path.write_text(PROFILE)
    found = callgrind.read_profile(path)
    assert sum(found.values()) == 70
    read = {
        (callgrind.group(name), callgrind.readable(name)): value
        for name, value in found.items()
    }
    assert read == {
        ("python", "libpython3.11.so.1.0:call"): 28,
        ("ours", "_output:Output._enqueue"): 30,
        ("ours", "_output:main."): 4,
        ("zlib", "libz.so.1.2.13:deflate"): 8,
    }


@pytest.mark.parametrize(
    ("passes", "program", "package"),
    [
        ("syscalls", "strace", "strace"),
        ("instructions", "valgrind", "valgrind"),
    ],
)
def test_what_is_missing_is_named(
    cache: Path, passes: str, program: str, package: str
) -> None:
    done = run(cache, "--passes", passes, program="counts.py", PATH="/nonexistent")
    assert done.returncode == 1
    assert f"with {program}: install {package}" in done.stderr


@pytest.mark.parametrize(
    ("program", "option", "name", "words"),
    [
        ("counts.py", "--passes", "guesses", "syscalls, switches, turns"),
        ("counts.py", "--cells", "1x1", "CONNECTIONSxPAYLOADxDEPTH"),
        ("counts.py", "--cells", "memory", "only echoes and handshakes"),
        ("counts.py", "--servers", "nobody", "no server 'nobody'"),
        ("counts.py", "--servers", "aiohttp_uvloop", "only floor and ours"),
        ("idle.py", "--servers", "floor", "ours-callback, ours-async"),
    ],
)
def test_an_unknown_name_is_refused_with_the_words(
    cache: Path, program: str, option: str, name: str, words: str
) -> None:
    done = run(cache, option, name, program=program)
    assert done.returncode == 2
    assert words in done.stderr


def test_idle_connections_are_accounted_for(cache: Path) -> None:
    json_file, markdown = cache / "idle.json", cache / "idle.md"
    options = ["--quick", "--servers", "ours-callback"]
    files = ["--json", str(json_file), "--markdown", str(markdown)]
    done = run(cache, *options, *files, program="idle.py")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(json_file.read_text())["servers"]
    kinds = {part["name"].rpartition(".")[2]: part for part in found["objects"]}
    for kind in ("WebSocket", "Endpoint", "SocketLink"):
        assert kinds[kind]["count"] == pytest.approx(1, abs=0.1)
        assert 0 < kinds[kind]["size"] <= kinds[kind]["allocated"]
    assert found["accounted"] >= sum(part["size"] for part in found["objects"])
    assert any("_transport/" in line["name"] for line in found["lines"])
    moments = ["open", "echoed", "closed", "collected", "trimmed", "open again"]
    assert list(found["resident"]) == moments
    # Of four messages of 1 MiB, nothing is held when they have gone back.
    assert found["large_traced"]["1 MiB each"] < 1024 * 1024
    assert found["large_traced"]["closed"] < 64 * 1024
    assert "| accounted |" in markdown.read_text()
