"""The tutorial's programs are written to files, run, and print what it says."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import urllib.request
from contextlib import ExitStack

import pytest

from tests.programs import PROGRAM, ROOT, TIMEOUT

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()

# Blocks of code, with the comment before them that names a file.
BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
PORT = "8765"


def free_port() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def commands(text: str):
    """Split a console block into commands and what they print."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


class Reader:
    """Does what the tutorial says, in a folder of its own."""

    def __init__(self, folder, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.port = free_port()
        self.server: subprocess.Popen[str] | None = None

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text.replace(PORT, self.port))

    def run(self, command: str, output: str) -> None:
        output = output.replace(PORT, self.port)
        words = shlex.split(command.replace(PORT, self.port))
        if words[:3] == ["trio-fastws", "serve", "chat"]:
            words += ["--port", self.port]
        if words[0] == "trio-fastws":
            words[:1] = PROGRAM
        else:
            assert words[0] == "python"
            words[0] = sys.executable
        if output.startswith("listening"):
            self.restart(words, output)
            return
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, output, "")

    def restart(self, words: list[str], output: str) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()
        self.server = self.stack.enter_context(
            subprocess.Popen(
                words,
                cwd=self.folder,
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        self.stack.callback(self.server.kill)
        assert self.server.stdout is not None
        assert self.server.stdout.readline() == output

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path) -> None:
    with ExitStack() as stack:
        reader = Reader(tmp_path, stack)
        done = 0
        for block in BLOCK.finditer(TUTORIAL):
            if block["file"] is not None:
                reader.write(block["file"], block["text"])
            elif block["kind"] == "console":
                for command, output in commands(block["text"]):
                    reader.run(command, output)
                    done += 1
            if (tmp_path / "page.html").exists() and "python chat.py" in block["text"]:
                url = f"http://127.0.0.1:{reader.port}/"
                with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
                    assert response.read() == (tmp_path / "page.html").read_bytes()
    assert done == 9


def test_every_block_is_run_or_is_no_program() -> None:
    blocks = list(BLOCK.finditer(TUTORIAL))
    assert TUTORIAL.count("```") == 2 * len(blocks)
    for block in blocks:
        assert (block["file"] is not None) == (block["kind"] in ("python", "html"))
        assert block["kind"] in ("python", "html", "console", "sh")
