"""nginx and HAProxy, as processes of one test, on a socket that the test has made.

A listening socket that a program is given accepts from the first moment on: nobody
has to wait for it, or to find a port that is free.
"""

from __future__ import annotations

import getpass
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.peers import require
from tests.programs import ROOT, TIMEOUT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")

# What takes the place of Debian's /etc/nginx/nginx.conf, which needs root: nothing
# that a proxied request would notice.
NGINX = """
daemon off;
user {user};
pid {folder}/pid;
error_log {folder}/errors;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port} {tls};
        {server}
    }}
}}
"""

PASS = re.compile(r"^ *proxy_pass .*\n", re.MULTILINE)


def snippet(language: str) -> str:
    """Return the settings that the page gives for a proxy."""
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


class Proxies:
    """Starts proxies; ends them all when the test does."""

    def __init__(self, folder: Path, certificate: Path) -> None:
        self.folder = folder
        self.certificate = certificate
        self.stack = ExitStack()

    def nginx(
        self,
        upstream: int | str,
        *settings: str,
        tls: bool = False,
        page: bool = True,
    ) -> int:
        """Start nginx before a server; return its port.

        Args:
            upstream: Port of the server, or a ``proxy_pass`` for another place.
            settings: Lines for the ``server`` block, added to the page's.
            tls: Whether clients are to speak TLS.
            page: False: nothing of the page's but the ``proxy_pass``.
        """
        http, location, rest = snippet("nginx").partition("location ")
        if not page:
            http, location, rest = "", "location / {\n", f"{PASS.search(rest)[0]}}}\n"
        server = f"{location}{rest}".replace("8765", str(upstream))
        if isinstance(upstream, str):
            server = PASS.sub(upstream, f"{location}{rest}")
        if tls:
            settings += (f"ssl_certificate {self.certificate};",)
            settings += (f"ssl_certificate_key {self.certificate};",)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
            text = NGINX.format(
                folder=self.folder,
                user=getpass.getuser(),
                http=http,
                port=port,
                tls="ssl" if tls else "",
                server=server + "\n".join(settings),
            )
            path = self._write("nginx.conf", text)
            command = [require("nginx"), "-p", str(self.folder), "-c", str(path)]
            # How nginx hands its sockets to a newer nginx.
            self._start(command, listener, NGINX=f"{listener.fileno()};")
        return port

    def haproxy(self, upstream: int, *settings: str, tls: bool = False) -> int:
        """Start HAProxy before a server's port; return its own.

        Args:
            upstream: Where the server listens.
            settings: Lines for the ``backend`` block, added to the page's.
            tls: Whether clients are to speak TLS.
        """
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.socket(socket.AF_UNIX) as stats,
        ):
            stats.bind(f"{self.folder}/stats")
            stats.listen()
            bind = f"bind fd@{listener.fileno()}"
            if tls:
                bind += f" ssl crt {self.certificate}"
            text = snippet("haproxy").replace("bind :80", bind)
            text = text.replace("8765", str(upstream))
            told = f"global\n    stats socket fd@{stats.fileno()}\n"
            # Before its server: what is to hold for that stands before it.
            before, backend, after = text.partition("\nbackend websockets\n")
            more = "".join(f"    {line}\n" for line in settings)
            path = self._write("haproxy.cfg", told + before + backend + more + after)
            command = [require("haproxy"), "-db", "-f", str(path)]
            self._start(command, listener, stats)
            port: int = listener.getsockname()[1]
        return port

    def state_of_server(self) -> tuple[str, str]:
        """Return what HAProxy says of its server: its status, and of its last check."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(f"{self.folder}/stats")
            sock.sendall(b"show stat\n")
            with sock.makefile() as answer:
                names, *lines = (line.strip().split(",") for line in answer)
        rows = [dict(zip(names, line, strict=False)) for line in lines]
        (row,) = (row for row in rows if row.get("svname") == "one")
        # An asterisk: another check is under way.
        return row["status"], row["check_status"].removeprefix("* ")

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def _start(
        self, command: list[str], *given: socket.socket, **environment: str
    ) -> None:
        process = subprocess.Popen(
            command,
            env=os.environ | environment,
            pass_fds=[sock.fileno() for sock in given],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.stack.callback(self._stop, process)

    @staticmethod
    def _stop(process: subprocess.Popen[bytes]) -> None:
        # nginx has a child; if it was killed before, so were they all.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(TIMEOUT)


@pytest.fixture
def proxies(tmp_path: Path, authority) -> Iterator[Proxies]:
    """Give what starts proxies."""
    certificate = tmp_path / "certificate.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        certificate
    )
    started = Proxies(tmp_path, certificate)
    with started.stack:
        yield started


@pytest.fixture(params=["nginx", "haproxy"])
def proxy(request: pytest.FixtureRequest, proxies: Proxies):
    """Give what starts one of them with the page's settings, and returns its port."""
    require(request.param)
    return getattr(proxies, request.param)
