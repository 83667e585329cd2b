"""``trio-fastws dial``: lines in, messages out, and which status says what."""

from __future__ import annotations

import codecs
import os
import signal
import socket
import subprocess

import pytest
import trio

from tests.programs import PROGRAM, ROOT, dial, running, serving, wait_for
from tests.wire import (
    Peer,
)
from trio_fastws import WebSocket
from trio_fastws._cli.main import main

# --- dial: lines in, messages out --------------------------------------------


@pytest.fixture(scope="module")
def echo():
    with serving("echo") as server:
        yield server.url
        assert server.stop(signal.SIGTERM) == (0, "")


def test_sends_texts_and_shows_answers(echo) -> None:
    done = dial(echo, "--send", "one", "--send", "zwölf 🐙", "--expect", "2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\nzwölf 🐙\n", "")


@pytest.mark.parametrize("stdin", [b"a\nb\n", b"a\r\nb", b"a\nb\r\n"])
def test_sends_the_lines_of_a_pipe(echo, stdin) -> None:
    done = dial(echo, "--expect", "2", stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\nb\n", "")


def test_sends_the_lines_of_a_file(echo, tmp_path) -> None:
    path = tmp_path / "lines"
    lines = "".join(f"line {number}\n" for number in range(20_000))
    path.write_text(lines)
    with path.open() as file:
        done = subprocess.run(
            [*PROGRAM, "dial", echo, "--expect", "20000"],
            cwd=ROOT,
            stdin=file,
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == lines


def test_waits_for_answers_when_the_input_has_ended(echo) -> None:
    done = dial(echo, "--wait", "0.25", stdin=b"a\nb\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\nb\n", "")


def test_expecting_nothing_closes_once_all_is_sent(echo) -> None:
    done = dial(echo, "--send", "a", "--expect", "0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("texts", [("a",), ()])
def test_what_is_expected_is_awaited_for_so_long(echo, texts) -> None:
    send = [word for text in texts for word in ("--send", text)]
    done = dial(echo, *send, "--expect", "2", "--wait", "0.25")
    assert (done.returncode, done.stdout) == (1, "".join(f"{text}\n" for text in texts))
    assert done.stderr == (
        f"trio-fastws: {len(texts)} of 2 messages came, then none for 0.25 s\n"
    )


def test_waiting_may_begin_with_nothing_sent(echo) -> None:
    done = dial(echo, "--wait", "0.25")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_says_how_long_a_ping_took(echo) -> None:
    done = dial(echo, "--ping", "--expect", "0")
    assert (done.returncode, done.stdout) == (0, "")
    words = done.stderr.split()
    assert (words[:2], words[3:]) == (["round", "trip"], ["ms"])
    assert 0 < float(words[2]) < 20_000


def test_input_that_is_not_utf8_is_one_line(echo) -> None:
    done = dial(echo, "--expect", "3", stdin=b"a\n\xff\nb\n")
    assert done.returncode == 1
    assert done.stderr == "trio-fastws: line 2 of stdin is not UTF-8\n"


def test_a_server_that_ends_before_what_is_expected_is_an_error() -> None:
    args = ("--send", "x", "--expect", "2")
    with (
        serving("echo") as server,
        running(*PROGRAM, "dial", server.url, *args) as dialing,
    ):
        assert dialing.url == "x"  # the echo, so it is connected
        assert server.stop(signal.SIGTERM) == (0, "")
        status, out, errors = wait_for(dialing.process)
    assert (status, out) == (1, "")
    assert errors == (
        "trio-fastws: connection closed with code 1001 after 1 of 2 messages\n"
    )


def test_a_server_that_ends_is_no_error() -> None:
    args = ("--send", "x", "--wait", "inf")
    with (
        serving("echo") as server,
        running(*PROGRAM, "dial", server.url, *args) as dialing,
    ):
        assert dialing.url == "x"
        assert server.stop(signal.SIGTERM) == (0, "")
        assert wait_for(dialing.process) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_cleanly(echo, number) -> None:
    args = ("--send", "x", "--wait", "inf")
    with running(*PROGRAM, "dial", echo, *args) as dialing:
        assert dialing.url == "x"
        assert dialing.stop(number) == (0, "")


def test_a_signal_ends_the_opening_handshake() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}/"
        with subprocess.Popen(
            [*PROGRAM, "dial", url],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(4096).startswith(b"GET / HTTP/1.1\r\n")
                process.send_signal(signal.SIGINT)
                assert wait_for(process) == (1, "", "trio-fastws: interrupted\n")


def dial_without(closing: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `dial` with something closed by a shell's redirection."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {closing}', *PROGRAM, "dial", *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )


def test_stdin_may_be_closed(echo) -> None:
    done = dial_without("<&-", echo, "--expect", "0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("texts", [("a",), ()])
def test_stdout_may_be_closed(echo, texts) -> None:
    send = [word for text in texts for word in ("--send", text)]
    done = dial_without(">&-", echo, *send, "--expect", str(len(texts)))
    line = "trio-fastws: cannot write to stdout: Bad file descriptor\n"
    assert (done.returncode, done.stderr) == ((1, line) if texts else (0, ""))


def test_stderr_may_be_closed(echo) -> None:
    words = ("--ping", "--send", "a", "--expect", "1")
    done = dial_without("2>&-", echo, *words)
    # What belongs on stderr does not go to stdout instead.
    assert (done.returncode, done.stdout) == (0, "a\n")


def test_nobody_reading_stdout_is_one_line(echo) -> None:
    with subprocess.Popen(
        [*PROGRAM, "dial", echo, "--expect", "1000"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        process.stdin.write(b"x\n")
        process.stdin.flush()
        assert process.stderr.read() == (
            b"trio-fastws: cannot write to stdout: Broken pipe\n"
        )
    assert process.returncode == 1


# --- dial: servers of all kinds ----------------------------------------------


async def run_dial(port: int, *args: str) -> subprocess.CompletedProcess[bytes]:
    return await trio.run_process(
        [*PROGRAM, "dial", f"ws://127.0.0.1:{port}/feed?x=1", *args],
        cwd=ROOT,
        stdin=b"",
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )


async def test_sends_headers_and_subprotocols(serve) -> None:
    seen = []

    async def handler(ws: WebSocket) -> None:
        request = ws.request
        seen.append((request.target, request.headers.get("X-A"), request.subprotocols))
        seen.append((request.headers.get("X-B"), ws.subprotocol))
        await ws.send(b"\x00\xffend")
        await ws.send("a\x1b[31mb")

    server = await serve(handler, subprotocols=["v1"])
    header = ("--header", "X-A: a:b", "--header", "X-B:")
    done = await run_dial(
        server.port, *header, "--subprotocol", "v2", "--subprotocol", "v1"
    )
    assert seen == [("/feed?x=1", "a:b", ("v2", "v1")), ("", "v1")]
    # In a pipe, text goes out as it is.
    assert done.stdout == b"0x00ff656e64\na\x1b[31mb\n"
    assert (done.returncode, done.stderr) == (0, b"")


async def test_says_that_no_subprotocol_was_agreed_on(serve) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.send("hello")

    server = await serve(handler, subprotocols=["v3"])
    offer = ("--subprotocol", "v2", "--subprotocol", "v1")
    done = await run_dial(server.port, *offer)
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    assert done.stderr == b"subprotocol: not granted by the server: v2, v1\n"


async def test_shows_no_more_than_expected(serve) -> None:
    async def handler(ws: WebSocket) -> None:
        for number in range(1000):
            await ws.send(str(number))
        await ws.wait_closed()

    server = await serve(handler)
    done = await run_dial(server.port, "--expect", "3")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"0\n1\n2\n", b"")


async def test_another_close_code_is_an_error(serve) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.send("last words")
        await ws.aclose(4000, "enough\nof this")

    server = await serve(handler)
    done = await run_dial(server.port)
    assert (done.returncode, done.stdout) == (1, b"last words\n")
    assert done.stderr == (
        b"trio-fastws: connection closed with code 4000: enough of this\n"
    )


async def test_a_lost_connection_is_an_error(serve) -> None:
    async def handler(ws: WebSocket) -> None:
        ws._abort("on purpose")

    server = await serve(handler)
    done = await run_dial(server.port)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"trio-fastws: connection closed with code 1006")


async def test_a_server_that_hangs_is_not_waited_for_any_longer(nursery) -> None:
    async def hang(stream: trio.SocketStream) -> None:
        await Peer(stream).welcome()
        await trio.sleep_forever()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, hang, listeners)
    port = listeners[0].socket.getsockname()[1]
    # Less than `Timeouts.close`, after which this test would have failed.
    done = await run_dial(port, "--send", "x", "--expect", "1", "--wait", "0.25")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"trio-fastws: 0 of 1 messages came, then none for 0.25 s\n"
    nursery.cancel_scope.cancel()


async def test_what_is_not_http_is_one_line(nursery) -> None:
    async def gibberish(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"SSH-2.0-OpenSSH_9\r\n\r\n")
        await stream.aclose()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, gibberish, listeners)
    done = await run_dial(listeners[0].socket.getsockname()[1])
    assert done.returncode == 1
    assert done.stderr.startswith(b"trio-fastws: bad handshake: ")
    assert done.stderr.count(b"\n") == 1
    nursery.cancel_scope.cancel()


def test_a_refusal_shows_status_and_body() -> None:
    with serving("chat") as server:
        done = dial(f"{server.url}/nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "trio-fastws: server answered 404 Not Found: Not found. The chat is at /.\n"
    )


@pytest.mark.parametrize("form", ["unix:{}", "unix:{}:/", "ws+unix://{}:/?a=1"])
def test_dials_a_unix_socket(form, tmp_path) -> None:
    path = tmp_path / "a:b"
    say = ("--send", "x", "--expect", "1")
    with serving("echo", "--unix", path) as server:
        done = dial(form.format(path), *say)
        server.stop(signal.SIGTERM)
    assert (done.returncode, done.stdout, done.stderr) == (0, "x\n", "")
    url = form.format(path)
    done = dial(url, *say)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"trio-fastws: cannot connect to {url}: No such file or directory\n"
    )


@pytest.mark.parametrize("where", ["port", "unix"])
def test_the_chat_can_be_dialled_where_it_says(where, tmp_path) -> None:
    args = ("--unix", tmp_path / "socket") if where == "unix" else ()
    hello = '{"type": "join", "name": "Ada"}'
    with serving("chat", *args) as server:
        done = dial(server.url, "--send", hello, "--expect", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert '"welcome"' in done.stdout


def test_nobody_listening_is_one_line() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"ws://localhost:{bound.getsockname()[1]}/"
        done = dial(url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"trio-fastws: cannot connect to {url}: connection refused\n"


def test_plain_answers_to_tls_are_one_line(echo) -> None:
    url = echo.replace("ws://", "wss://")
    done = dial(url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"trio-fastws: {url}: TLS handshake failed: [SSL")
    assert done.stderr.endswith("; what came is no TLS: is it a ws:// URL?\n")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("http://x",), "bad URL: scheme of URL 'http://x' is 'http', expected"),
        (("ws://x/#top",), "bad URL: URL 'ws://x/#top' has a fragment"),
        (("ws://x", "--header", "Upgrade: x"), "header 'Upgrade' is written by the"),
        (("wss://x", "--ca", "/nowhere"), "cannot use --ca /nowhere: No such file"),
        (("wss://x", "--ca", os.devnull), f"cannot use --ca {os.devnull}: "),
    ],
)
def test_what_cannot_be_dialled_is_one_line(args, line, capfd) -> None:
    assert main(["dial", *args]) == 1
    out, errors = capfd.readouterr()
    assert out == ""
    assert errors.startswith(f"trio-fastws: {line}")
    assert errors.count("\n") == 1


# --- dial: a terminal --------------------------------------------------------


class Terminal:
    """The other end of a terminal: types, and reads what is shown."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        # A read may end inside a character.
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, text: str) -> str:
        """Read until a text is shown; return all that was shown since."""
        while text not in self.shown:
            self.shown += self.decoder.decode(os.read(self.fd, 4096))
        before, _, self.shown = self.shown.partition(text)
        return before


WITHOUT_RICH = (
    "import sys; sys.modules['rich'] = None; sys.modules['rich.console'] = None;"
    "from trio_fastws._cli.main import main; sys.exit(main())"
)


@pytest.fixture(params=["plain", "rich"])
def session(request, echo):
    """Give a terminal in which the program has connected, and the process."""
    pty = pytest.importorskip("pty")
    program = list(PROGRAM)
    if request.param == "plain":
        program[1:] = ["-c", WITHOUT_RICH]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*program, "dial", echo],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "60"},
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            terminal = Terminal(ours)
            terminal.until(f"connected to {echo}; Ctrl-D closes\r\n")
            yield terminal, process
        finally:
            process.kill()
            os.close(ours)


def test_a_person_can_talk_and_leave(session) -> None:
    terminal, process = session
    terminal.type("hello\n")
    terminal.until("< hello")
    terminal.type("grüße\n")
    terminal.until("< grüße")
    terminal.type("\x04")  # Ctrl-D
    terminal.until("closed with code 1000\r\n")
    assert process.wait(25) == 0


def test_no_server_commands_the_terminal(session) -> None:
    terminal, process = session
    terminal.type("\x16\x1b]0;gotcha\x16\x07\n")  # Ctrl-V takes the next literally
    shown = terminal.until(r"< \x1b]0;gotcha\x07")
    assert "\x1b]0" not in shown
    process.send_signal(signal.SIGINT)
    terminal.until("closed with code 1000\r\n")
    assert process.wait(25) == 0


LONG = '{"numbers": [' + ", ".join(map(str, range(100))) + "]}"


@pytest.mark.parametrize("text", [LONG, "終わり " * 30, "a " * 1200, "a\tb  " * 40])
def test_a_message_is_not_wrapped(session, text) -> None:
    terminal, process = session
    terminal.type(f"{text}\n")
    terminal.until(f"< {text}")
    # Whoever goes on sees the next one too.
    terminal.type("next\n")
    terminal.until("< next")
    terminal.type("\x04")
    terminal.until("closed with code 1000\r\n")
    assert process.wait(25) == 0
