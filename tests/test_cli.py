"""The program: its command line, and the words for what goes wrong."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
import trio

from tests.programs import ROOT
from trio_fastws import ConnectionBroken
from trio_fastws._cli.main import main
from trio_fastws._cli.words import CommandFailed, clean, describe_error

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
        (f"dial ws://h --max-message-size {2**62 + 1}", f"from 0 to {2**62}"),
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
    assert (describe_error(error, "ws://x") or "").startswith(line)


def test_the_cause_says_more_than_that_all_attempts_failed() -> None:
    error = OSError("all attempts to connect failed")
    error.__cause__ = ExceptionGroup("", [ConnectionRefusedError(), OSError()])
    line = "cannot connect to ws://x: connection refused"
    assert describe_error(error, "ws://x") == line


def test_our_own_mistakes_keep_their_traceback() -> None:
    assert describe_error(RuntimeError("a bug"), "ws://x") is None


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
