"""``trio-fastws serve``: where it listens, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
from contextlib import ExitStack

import pytest
import trio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect, unix_connect

from tests.programs import PROGRAM, ROOT, dial, running, serving, wait_for
from trio_fastws._cli.main import main

HANDLERS = ("callback", "async")


def close_code_of(client) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as caught:
        client.recv(timeout=20)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


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


@pytest.mark.parametrize(
    ("host", "dialled"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]")]
)
@pytest.mark.parametrize(("what", "path"), [("echo", "/"), ("chat", "/ws")])
def test_what_listens_on_all_addresses_prints_one_to_dial(
    host, dialled, what, path
) -> None:
    with serving(what, "--host", host) as server:
        assert re.fullmatch(
            rf"ws://{re.escape(dialled)}:\d+{re.escape(path)}", server.url
        )
        assert dial(server.url, "--send", "a", "--expect", "1").returncode == 0
        status, errors = server.stop(signal.SIGTERM)
    page = f"the page is {server.page}\n" if what == "chat" else ""
    assert (status, errors) == (0, page)


@pytest.mark.parametrize("what", ["echo", "chat"])
def test_a_relative_unix_socket_can_be_dialled_from_elsewhere(what, tmp_path) -> None:
    path = tmp_path / "socket"
    with serving(what, "--unix", os.path.relpath(path, ROOT)) as server:
        assert server.url == f"unix:{path}" + (":/ws" if what == "chat" else "")
        assert dial(server.url, "--send", "a", "--expect", "1").returncode == 0


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

    monkeypatch.setattr(trio.socket, "getaddrinfo", fail)
    assert main(["serve", "echo", "--host", "h"]) == 1
    assert capfd.readouterr().err.startswith(f"trio-fastws: {line}")


def test_a_file_that_is_no_socket_is_kept(tmp_path, capfd) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    assert main(["serve", "echo", "--unix", str(path)]) == 1
    line = f"cannot listen on {path}: a file that is no socket is there"
    assert capfd.readouterr().err == f"trio-fastws: {line}\n"
    assert path.read_text() == "mine"


def test_a_path_that_is_too_long_is_one_line(tmp_path, capfd) -> None:
    path = tmp_path / ("a" * 200)
    assert main(["serve", "echo", "--unix", str(path)]) == 1
    errors = capfd.readouterr().err
    assert errors.startswith(f"trio-fastws: cannot listen on {path}: unix is ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        ("no certificate", "no certificate, or no private key, in PEM form"),
    ],
)
def test_a_bad_certificate_is_one_line(content, why, tmp_path, capfd) -> None:
    path = tmp_path / "cert.pem"
    if content is not None:
        path.write_text(content)
    assert main(["serve", "echo", "--tls-cert", str(path)]) == 1
    out, errors = capfd.readouterr()
    assert out == ""
    assert errors == f"trio-fastws: cannot use the certificate in {path}: {why}\n"
