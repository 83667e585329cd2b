"""``--deflate`` and ``--deflate-options``: what is agreed, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
import trio

from tests.programs import PROGRAM, ROOT, dial, serving
from trio_fastws import PerMessageDeflate, WebSocket, open_websocket
from trio_fastws._cli.deflate import parse_deflate
from trio_fastws._cli.main import main

TEXT = "the same words " * 40
SAY = ("--send", TEXT, "--send", TEXT, "--expect", "2")


@pytest.fixture(scope="module")
def deflating():
    with serving("echo", "--deflate") as server:
        yield server.url


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("--deflate",), "server 15 bits, client 12 bits, takeover"),
        (
            ("--deflate-options", "server_window_bits=10,client_window_bits=9"),
            "server 10 bits, client 9 bits, takeover",
        ),
        (
            ("--deflate-options", "server_context_takeover=no"),
            "server 15 bits, client 12 bits, takeover by the client only",
        ),
        (
            ("--deflate", "--deflate-options", "client_context_takeover=no"),
            "server 15 bits, client 12 bits, takeover by the server only",
        ),
        (
            (
                "--deflate-options",
                "client_context_takeover=no, server_context_takeover=no",
                "--deflate",
            ),
            "server 15 bits, client 12 bits, no takeover",
        ),
    ],
)
def test_dial_says_what_was_agreed(deflating, args, line) -> None:
    done = dial(deflating, *SAY, *args)
    assert (done.returncode, done.stdout) == (0, f"{TEXT}\n{TEXT}\n")
    assert done.stderr == f"deflate: {line}\n"


def test_the_options_of_the_server_count_too() -> None:
    options = "server_context_takeover=no,server_window_bits=9,context=window,level=9"
    with serving("echo", "--deflate-options", options) as server:
        done = dial(server.url, *SAY, "--deflate")
    assert (done.returncode, done.stdout) == (0, f"{TEXT}\n{TEXT}\n")
    assert done.stderr == (
        "deflate: server 15 bits, client 12 bits, takeover by the client only\n"
    )


def test_dial_says_that_the_server_did_not_grant_it() -> None:
    with serving("echo") as server:
        done = dial(server.url, *SAY, "--deflate")
    assert (done.returncode, done.stdout) == (0, f"{TEXT}\n{TEXT}\n")
    assert done.stderr == "deflate: not granted by the server\n"


def test_who_does_not_ask_gets_nothing(deflating) -> None:
    done = dial(deflating, *SAY)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{TEXT}\n{TEXT}\n", "")


async def test_serve_compresses(deflating) -> None:
    async with open_websocket(deflating, deflate=PerMessageDeflate()) as ws:
        await ws.send(TEXT)
        assert await ws.receive() == TEXT
        counted = ws.statistics()
    assert counted.bytes_received == len(TEXT)
    assert 0 < counted.encoded_received < len(TEXT)


async def test_dial_compresses(serve) -> None:
    counted = []

    async def handler(ws: WebSocket) -> None:
        await ws.receive()
        counted.append(ws.statistics())

    server = await serve(handler, deflate=PerMessageDeflate())
    url = f"ws://127.0.0.1:{server.port}/"
    done: subprocess.CompletedProcess[bytes] = await trio.run_process(
        [*PROGRAM, "dial", url, "--send", TEXT, "--deflate"],
        cwd=ROOT,
        capture_stdout=True,
        capture_stderr=True,
    )
    assert done.stderr == b"deflate: server 15 bits, client 12 bits, takeover\n"
    assert counted[0].bytes_received == len(TEXT)
    assert 0 < counted[0].encoded_received < len(TEXT)


# --- the words of the options ------------------------------------------------


def test_every_option_can_be_written() -> None:
    text = (
        "server_context_takeover=no,client_context_takeover=yes,"
        "server_window_bits=15,client_window_bits=9,context=window,level=6,"
        "memory_level=9,threshold=0,library=zlib"
    )
    assert parse_deflate(text) == PerMessageDeflate(
        server_context_takeover=False,
        client_context_takeover=True,
        server_window_bits=15,
        client_window_bits=9,
        context="window",
        level=6,
        memory_level=9,
        threshold=0,
        library="zlib",
    )


@pytest.mark.parametrize("command", [("serve", "echo"), ("dial", "ws://h")])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is not one of server_context_takeover, "),
        ("window=9", "'window' is not one of server_context_takeover, "),
        ("level", "'level' is not of the form NAME=VALUE"),
        ("level=1,level=2", "level is given twice"),
        ("level=0", "level is 0; it must be "),
        ("level=ten", "level is 'ten'; it must be 1 to 9"),
        ("memory_level=10", "memory_level is 10; it must be "),
        ("server_window_bits=8", "server_window_bits is 8; it must be "),
        ("client_window_bits=16", "client_window_bits is 16; it must be "),
        ("threshold=-1", "threshold is -1; it must be "),
        ("server_context_takeover=0", "server_context_takeover is '0'; it must be yes"),
        ("context=none", "context is 'none'; it must be one of persistent, window"),
        ("library=brotli", "library is 'brotli'; it must be one of zlib, "),
    ],
)
def test_a_wrong_option_names_value_and_range(command, text, words, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--deflate-options", text])
    assert caught.value.code == 2
    assert f"argument --deflate-options: {words}" in capsys.readouterr().err


def test_a_library_that_is_missing_is_named(monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    with pytest.raises(SystemExit) as caught:
        main(["serve", "echo", "--deflate-options", "library=isal"])
    assert caught.value.code == 2
    assert "trio-fastws[deflate]" in capsys.readouterr().err
