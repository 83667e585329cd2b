"""The program: what it prints, and with which status it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest
import trio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect, unix_connect

from tests.programs import PROGRAM, ROOT, dial, running, serving, wait_for
from trio_fastws import ConnectionBroken, WebSocket
from trio_fastws._cli import main
from trio_fastws._cli_words import CommandFailed, clean, explain

HANDLERS = ("callback", "async")


def close_code_of(client) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as caught:
        client.recv(timeout=20)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


# --- the command line --------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("serve", "{echo,chat}"),
        ("serve drama", "'drama' (choose from"),
        ("serve echo --port 70000", "'70000' is not a whole number from 0 to 65535"),
        ("serve echo --port x", "'x' is not a whole number from 0 to 65535"),
        ("serve echo --handler tasks", "'tasks' (choose from"),
        ("serve echo --max-message-size -1", "'-1' is not a whole number from 0 to"),
        ("serve echo --tls-key key.pem", "--tls-key needs --tls-cert"),
        ("serve echo --unix s --port 1", "--unix takes the place of --host and --port"),
        ("serve echo --unix s --tls-cert c", "--unix cannot be combined with"),
        ("dial", "URL"),
        ("dial ws://h --expect -1", "'-1' is not a whole number from 0 to 2147483647"),
        ("dial ws://h --wait -1", "'-1' is not a number of seconds, 0 or more"),
        ("dial ws://h --wait nan", "'nan' is not a number of seconds"),
        ("dial ws://h --wait soon", "'soon' is not a number of seconds"),
        ("dial ws://h --header x", "'x' is not of the form NAME:VALUE"),
        ("dial ws://h --insecure", "need a URL that begins with wss://"),
        ("dial wss://h --insecure --ca f", "not allowed with argument"),
    ],
)
def test_a_wrong_command_line_names_value_and_range(args, words, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(args.split())
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_version_says_which_build(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert not caught.value.code
    assert capsys.readouterr().out.startswith("trio-fastws 0.")


# --- serve -------------------------------------------------------------------


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_every_connection_with_1001(handler, number) -> None:
    with serving("echo", "--handler", handler) as server, ExitStack() as stack:
        clients = [stack.enter_context(connect(server.url)) for _ in range(3)]
        for client in clients:
            client.send("here")
            assert client.recv(timeout=20) == "here"
        server.process.send_signal(number)
        for client in clients:
            assert close_code_of(client) == (1001, "the server is shutting down")
        assert wait_for(server.process) == (0, "", "")


@pytest.mark.parametrize("handler", HANDLERS)
def test_echo_has_the_message_limit_it_is_told(handler) -> None:
    with serving("echo", "--handler", handler, "--max-message-size", "5") as server:
        with connect(server.url) as client:
            client.send(b"12345")
            assert client.recv(timeout=20) == b"12345"
            client.send(b"123456")
            assert close_code_of(client)[0] == 1009
        assert server.stop(signal.SIGTERM) == (0, "")


def test_serves_on_ipv6_with_brackets() -> None:
    with serving("echo", "--host", "::1") as server:
        assert server.url.startswith("ws://[::1]:")
        assert dial(server.url, "--send", "a", "--expect", "1").stdout == "a\n"


def test_serves_tls(authority, tmp_path) -> None:
    cert, key, ca = (tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem"))
    identity = authority.issue_cert("127.0.0.1")
    for blob in identity.cert_chain_pems:
        blob.write_to_path(cert, append=True)
    identity.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    with serving("echo", "--tls-cert", cert, "--tls-key", key) as server:
        assert server.url.startswith("wss://127.0.0.1:")
        say = (server.url, "--send", "secret", "--expect", "1")
        for trust in (("--ca", ca), ("--insecure",)):
            done = dial(*say, *trust)
            assert (done.returncode, done.stdout, done.stderr) == (0, "secret\n", "")
        done = dial(*say)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(
            f"trio-fastws: TLS verification of {server.url} failed: "
        )
        assert server.stop(signal.SIGTERM) == (0, "")


def test_serves_on_a_unix_socket(tmp_path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))  # a file that nobody listens behind
    with serving("echo", "--unix", path) as server:
        assert server.url == f"unix:{path}"
        with unix_connect(str(path)) as client:
            client.send("hello")
            assert client.recv(timeout=20) == "hello"
        with running(*PROGRAM, "serve", "echo", "--unix", path) as second:
            status, _, errors = wait_for(second.process)
        assert status == 1
        assert errors.startswith(f"trio-fastws: cannot listen on {path}: ")
        assert server.stop(signal.SIGTERM) == (0, "")
    assert not path.exists()


def test_does_not_replace_a_file_that_is_no_socket(tmp_path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with running(*PROGRAM, "serve", "echo", "--unix", path) as server:
        assert wait_for(server.process)[0] == 1
    assert path.read_text() == "data"


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with running(*PROGRAM, "serve", "echo", "--port", port) as server:
            status, out, errors = wait_for(server.process)
    assert (status, out) == (1, "")
    assert errors.startswith(f"trio-fastws: cannot listen on 127.0.0.1 port {port}: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (socket.gaierror(-2, "Name or service not known"), "cannot find host h: Name"),
        (UnicodeError("label too long"), "cannot listen on h port 8765: label too"),
    ],
)
def test_a_host_that_cannot_be_had_is_one_line(error, line, monkeypatch, capfd) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(trio, "open_tcp_listeners", fail)
    assert main(["serve", "echo", "--host", "h"]) == 1
    assert capfd.readouterr().err.startswith(f"trio-fastws: {line}")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bad_certificate_is_one_line(content, tmp_path, capfd) -> None:
    path = tmp_path / "cert.pem"
    if content is not None:
        path.write_text(content)
    assert main(["serve", "echo", "--tls-cert", str(path)]) == 1
    out, errors = capfd.readouterr()
    assert out == ""
    assert errors.startswith(f"trio-fastws: cannot use the certificate in {path}: ")
    assert errors.count("\n") == 1


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


def test_stdin_may_be_closed(echo) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" "$@" <&-', *PROGRAM, "dial", echo, "--expect", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


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
        ws.abort("on purpose")

    server = await serve(handler)
    done = await run_dial(server.port)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"trio-fastws: connection closed with code 1006")


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
        done = dial(f"{server.url}nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "trio-fastws: server answered 404 Not Found: Not found. The chat is at /.\n"
    )


def test_nobody_listening_is_one_line() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"ws://localhost:{bound.getsockname()[1]}/"
        done = dial(url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"trio-fastws: cannot connect to {url}: connection refused\n"


def test_plain_answers_to_tls_are_one_line(echo) -> None:
    done = dial(echo.replace("ws://", "wss://"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("trio-fastws: TLS with wss://127.0.0.1:")


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
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, text: str) -> str:
        """Read until a text is shown; return all that was shown since."""
        while text not in self.shown:
            self.shown += os.read(self.fd, 4096).decode()
        before, _, self.shown = self.shown.partition(text)
        return before


WITHOUT_RICH = (
    "import sys; sys.modules['rich'] = None; sys.modules['rich.console'] = None;"
    "from trio_fastws._cli import main; sys.exit(main())"
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


# --- words -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CommandFailed("so it is"), "so it is"),
        (ConnectionBroken(1011, "oops"), "connection closed with code 1011: oops"),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "cannot find the host of ws://x: Name or service not known",
        ),
        (trio.TooSlowError(), "no answer of ws://x to the opening handshake in time"),
        (ConnectionRefusedError(), "cannot connect to ws://x: connection refused"),
        (OSError(113, "No route"), "cannot connect to ws://x: No route"),
        (trio.BrokenResourceError(), "connection to ws://x was lost"),
        (ExceptionGroup("", [CommandFailed("deep")]), "deep"),
    ],
)
def test_every_error_has_its_words(error, line) -> None:
    assert (explain(error, "ws://x") or "").startswith(line)


def test_the_cause_says_more_than_that_all_attempts_failed() -> None:
    error = OSError("all attempts to connect failed")
    error.__cause__ = ExceptionGroup("", [ConnectionRefusedError(), OSError()])
    assert explain(error, "ws://x") == "cannot connect to ws://x: connection refused"


def test_our_own_mistakes_keep_their_traceback() -> None:
    assert explain(RuntimeError("a bug"), "ws://x") is None


def test_clean_leaves_nothing_that_a_terminal_obeys() -> None:
    assert (
        clean("a\tb\nc\r\x1b[2J\x9b1m\x7f") == r"a	b" "\n" r"c\x0d\x1b[2J\x9b1m\x7f"
    )


def test_a_second_interrupt_has_status_130(monkeypatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trio, "run", interrupted)
    assert main(["dial", "ws://x"]) == 130


def test_the_module_is_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trio_fastws", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("usage: trio-fastws ")
