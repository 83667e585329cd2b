"""Accepting in batches, and when accepting rests."""

from __future__ import annotations

import errno
import logging
import os
import socket

import pytest

from tests.transport.support import Clock
from trio_fastws._transport import syscalls
from trio_fastws._transport.contract import Owner
from trio_fastws._transport.listening import BATCH, REST_SECONDS, Listener
from trio_fastws._transport.syscalls import EPOLLIN


class Tap:
    """A system call which fails when told to; else it is the real one."""

    def __init__(self) -> None:
        self.errors: list[OSError] = []
        self.calls = 0
        self._accept = syscalls.accept

    def accept(self, fd: int) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self._accept(fd)


class Door:
    """A listener, its socket, and who came in."""

    def __init__(self, dispatcher, sockets) -> None:
        sock = socket.create_server(("127.0.0.1", 0), backlog=200)
        sock.setblocking(False)
        sockets.append(sock)
        self.tap = Tap()
        self.fd = sock.fileno()
        self.address = sock.getsockname()
        self.entered: list[socket.socket] = []
        self.on_enter = lambda: None
        self.sockets = sockets
        self.listener = Listener(dispatcher, sock, self.enter)

    def enter(self, fd: int) -> None:
        sock = socket.socket(fileno=fd)
        self.sockets.append(sock)
        self.entered.append(sock)
        self.on_enter()

    def knock(self, count: int = 1) -> None:
        for _ in range(count):
            self.sockets.append(socket.create_connection(self.address))


@pytest.fixture
def door(dispatcher, sockets, monkeypatch) -> Door:
    door = Door(dispatcher, sockets)
    monkeypatch.setattr(syscalls, "accept", door.tap.accept)
    return door


def run_out(number: int = errno.EMFILE) -> OSError:
    return OSError(number, "Too many open files")


def test_connections_are_accepted_and_do_not_block(dispatcher, door) -> None:
    door.knock(3)
    dispatcher.turn()
    assert len(door.entered) == 3
    assert [os.get_blocking(sock.fileno()) for sock in door.entered] == [False] * 3
    assert dispatcher.turn() is False


def test_a_burst_is_accepted_in_batches(dispatcher, door) -> None:
    door.knock(BATCH + 5)
    ((_fd, mask),) = dispatcher.epoll.poll(0)
    assert mask == EPOLLIN
    door.listener.accept(door.fd)
    assert len(door.entered) == BATCH
    dispatcher.turn()
    assert len(door.entered) == BATCH + 5


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]
)
def test_out_of_descriptors_it_rests_and_tries_again(
    dispatcher, door, clock: Clock, caplog, number
) -> None:
    door.tap.errors = [run_out(number)] * 3
    door.knock()
    for attempt in range(1, 4):
        for _ in range(5):
            dispatcher.turn()
        assert door.tap.calls == attempt, "it would spin"
        clock.seconds += 2 * REST_SECONDS
    for _ in range(2):
        dispatcher.turn()
    assert len(door.entered) == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "Too many open files" in record.getMessage()


def test_it_complains_again_after_it_worked_meanwhile(
    dispatcher, door, clock, caplog
) -> None:
    for _ in range(2):
        door.tap.errors = [run_out()]
        door.knock()
        dispatcher.turn()
        clock.seconds += 2 * REST_SECONDS
        dispatcher.turn()
        dispatcher.turn()
    assert len(door.entered) == 2
    assert len(caplog.records) == 2


def test_the_error_of_one_connection_is_its_own_affair(
    dispatcher, door, caplog
) -> None:
    door.tap.errors = [OSError(errno.ECONNABORTED, "gone")]
    door.knock(2)
    dispatcher.turn()
    assert len(door.entered) == 2
    assert caplog.records == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.EIO])
def test_what_nobody_expects_of_accept_is_said_and_tried_again(
    dispatcher, door, clock, caplog, number
) -> None:
    door.tap.errors = [OSError(number, "odd")]
    door.knock()
    dispatcher.turn()
    assert door.tap.calls == 1, "it would spin"
    clock.seconds += 2 * REST_SECONDS
    dispatcher.turn()
    dispatcher.turn()
    assert len(door.entered) == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "odd" in record.getMessage()


def test_what_one_connection_raises_is_its_own_affair(dispatcher, door, caplog) -> None:
    def fail() -> None:
        if len(door.entered) == 2:
            raise LookupError("a bug")

    door.on_enter = fail
    door.knock(3)
    dispatcher.turn()
    assert len(door.entered) == 3
    (record,) = caplog.records
    assert record.exc_info[1].args == ("a bug",)


def test_a_bug_in_accepting_costs_a_moment(
    dispatcher, door, clock, caplog, monkeypatch
) -> None:
    def fail(fd: int) -> int:
        raise LookupError("a bug")

    door.knock()
    with monkeypatch.context() as patch:
        patch.setattr(syscalls, "accept", fail)
        dispatcher.turn()
        dispatcher.turn()
    assert len(caplog.records) == 1
    clock.seconds += 2 * REST_SECONDS
    dispatcher.turn()
    dispatcher.turn()
    assert len(door.entered) == 1


def test_a_closed_listener_refuses(dispatcher, door, clock) -> None:
    door.listener.close()
    door.listener.close()
    with pytest.raises(ConnectionRefusedError):
        door.knock()
    clock.seconds += 10
    assert dispatcher.turn() is False
    assert door.listener._link is None


def test_closing_while_it_rests_cancels_its_timer(
    dispatcher, door, clock, caplog
) -> None:
    door.tap.errors = [run_out()]
    door.knock()
    dispatcher.turn()
    door.listener.close()
    assert dispatcher.wheel.next_deadline() == float("inf")


def test_a_listener_may_be_closed_by_what_it_calls(dispatcher, door) -> None:
    door.on_enter = door.listener.close
    door.knock(3)
    dispatcher.turn()
    assert len(door.entered) == 1
    assert door.listener._link is None


def test_a_link_is_closed_once(dispatcher, door) -> None:
    link = door.listener._link
    door.listener._link = link.owner = None
    link.close()
    link.close()
    with pytest.raises(ConnectionRefusedError):
        door.knock()


def test_events_for_a_listener_without_an_owner_are_ignored(dispatcher, door) -> None:
    link = door.listener._link
    link.adopt(Owner())
    door.knock()
    dispatcher.turn()
    assert door.entered == []
