"""Both sides of a connection: closing, failing, answering; pairs without a network."""

from __future__ import annotations

from typing import Any

import pytest

from tests.protocol.support import (
    check,
    events,
    failure,
    for_role,
    frame,
    lend,
    plain,
    receive,
)
from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    parse,
    three_ways,
)
from trio_fastws._protocol.codes import Opcode, Role
from trio_fastws._protocol.endpoint import Endpoint, check_close

ROLES = list(Role)
GOODBYE = b"\x03\xe8bye"


def echo(payload: bytes) -> bytes:
    """Return the Close with which a server answers one."""
    return frame(CLOSE, payload, key=None)


# --- 5.5.1: Close ------------------------------------------------------------

CLOSES = [
    (b"", 1005, ""),
    (b"\x03\xe8", 1000, ""),
    (b"\x03\xe9away", 1001, "away"),
    (b"\x0b\xb8", 3000, ""),
    (b"\x13\x87" + b"x" * 123, 4999, "x" * 123),
    (b"\x03\xf6" + "tschüß".encode(), 1014, "tschüß"),
]


@pytest.mark.parametrize(("payload", "code", "reason"), CLOSES)
def test_must_answer_a_close(payload: bytes, code: int, reason: str) -> None:
    data = frame(CLOSE, payload)
    endpoint = check(Role.SERVER, data, [("Close", code, reason, echo(payload))])
    assert endpoint.close_received
    assert endpoint.close_sent
    assert not endpoint.failed


@pytest.mark.parametrize(("payload", "code", "reason"), CLOSES[1:])
def test_the_same_close_is_sent(payload: bytes, code: int, reason: str) -> None:
    endpoint = Endpoint(Role.SERVER)
    assert endpoint.encode_close(code, reason) == frame(CLOSE, payload, key=None)
    assert endpoint.close_sent
    assert not endpoint.close_received


def test_a_client_answers_with_a_masked_close() -> None:
    ((*event, reply),) = receive(
        Endpoint(Role.CLIENT), for_role(Role.CLIENT, CLOSE, GOODBYE)
    )
    assert event == ["Close", 1000, "bye"]
    assert parse(reply, masked=True) == [Frame(CLOSE, GOODBYE)]


def test_a_close_that_answers_ours_is_not_answered() -> None:
    endpoint = Endpoint(Role.SERVER)
    endpoint.encode_close()
    assert receive(endpoint, frame(CLOSE, GOODBYE)) == [("Close", 1000, "bye", b"")]


@pytest.mark.parametrize("role", ROLES)
def test_nothing_is_read_after_a_close(role: Role) -> None:
    data = for_role(role, CLOSE, GOODBYE) + for_role(role, PING) + b"\xff" * 20
    endpoint = Endpoint(role)
    assert [event[0] for event in receive(endpoint, data)] == ["Close"]
    assert receive(endpoint, for_role(role, TEXT, b"x"), b"\xff\xff") == []
    assert endpoint.buffered == 0
    assert not endpoint.failed


def test_must_not_send_data_after_a_close() -> None:
    endpoint = Endpoint(Role.SERVER)
    endpoint.encode_close()
    parts: list[bytes] = []
    with pytest.raises(RuntimeError, match="cannot follow our Close"):
        endpoint.encode(Opcode.TEXT, b"x", True, parts)
    assert parts == []
    assert endpoint.messages_sent == 0


def test_data_is_skipped_once_our_close_was_sent() -> None:
    endpoint = Endpoint(Role.SERVER, max_message=100)
    data = (
        frame(BINARY, b"begun", fin=False)
        + frame(CONTINUATION, b"." * 60)
        + frame(TEXT, b"\xff" * 80)  # neither decoded
        + frame(BINARY, b"x" * 1000)  # nor limited
        + frame(TEXT)
        + frame(PING, b"p")
        + frame(PONG, b"q")
        + frame(CLOSE, GOODBYE)
    )
    expected = [("Ping", b"p", b""), ("Pong", b"q"), ("Close", 1000, "bye", b"")]
    for chunks in three_ways(data[30:]).values():
        endpoint = Endpoint(Role.SERVER, max_message=100)
        assert receive(endpoint, data[:30]) == []
        assert endpoint.buffered > 5
        endpoint.encode_close()
        assert receive(endpoint, *chunks) == expected
        assert endpoint.buffered == 0
        assert endpoint.messages_received == 0


def test_a_large_payload_is_skipped_in_the_middle() -> None:
    endpoint = Endpoint(Role.SERVER)
    receive(endpoint, frame(BINARY, bytes(70_000), length=170_000))
    view = endpoint.get_buffer()
    assert view is not None
    endpoint.encode_close()
    endpoint.filled(40_000)
    assert events(endpoint) == []
    assert endpoint.buffered == 0
    assert endpoint.get_buffer() is None
    assert receive(endpoint, bytes(59_999)) == []
    assert receive(endpoint, b"x" + frame(PONG, b"q")) == [("Pong", b"q")]


def test_rules_hold_while_data_is_skipped() -> None:
    endpoint = Endpoint(Role.SERVER)
    endpoint.encode_close()
    (event,) = receive(endpoint, frame(TEXT, key=None))
    assert event[:2] == ("Failure", 1002)
    assert event[3] == b""


def test_a_close_needs_a_whole_code() -> None:
    expected = failure(1002, "Close has half a code")
    check(Role.SERVER, frame(CLOSE, b"\x03"), [expected])


@pytest.mark.parametrize(
    "code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]
)
def test_a_close_with_a_code_that_may_not_be_sent(code: int) -> None:
    expected = failure(1002, f"close code {code} may not be sent")
    check(Role.SERVER, frame(CLOSE, code.to_bytes(2, "big") + b"x"), [expected])


def test_the_reason_must_be_utf_8() -> None:
    for bad in (b"\xff", b"\xe2\x82", b"\xed\xa0\x80"):
        expected = failure(1007, "close reason is not UTF-8")
        check(Role.SERVER, frame(CLOSE, b"\x03\xe8" + bad), [expected])


def test_a_close_ends_a_message_in_progress() -> None:
    for opcode in (TEXT, BINARY):
        endpoint = Endpoint(Role.SERVER)
        data = frame(opcode, b"half", fin=False) + frame(CLOSE, GOODBYE)
        assert [event[0] for event in receive(endpoint, data)] == ["Close"]
        assert endpoint.buffered == 0


# --- 5.5.2 and 5.5.3: Ping and Pong ------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(125))])
def test_must_answer_a_ping_with_its_payload(payload: bytes) -> None:
    reply = frame(PONG, payload, key=None)
    check(Role.SERVER, frame(PING, payload), [("Ping", payload, reply)])
    server = Endpoint(Role.SERVER)
    ((kind, back, masked),) = receive(
        Endpoint(Role.CLIENT), server.encode_ping(payload)
    )
    assert (kind, back) == ("Ping", payload)
    assert receive(server, masked) == [("Pong", payload)]


def test_a_pong_that_nobody_asked_for_is_no_error() -> None:
    check(Role.SERVER, frame(PONG, b"!"), [("Pong", b"!")])


@pytest.mark.parametrize("role", ROLES)
def test_must_not_send_more_than_125_bytes(role: Role) -> None:
    endpoint = Endpoint(role)
    for encode, opcode in ((endpoint.encode_ping, PING), (endpoint.encode_pong, PONG)):
        assert parse(encode(bytes(125))) == [Frame(opcode, bytes(125))]
        assert parse(encode()) == [Frame(opcode)]
        with pytest.raises(ValueError, match="126 bytes is over the 125"):
            encode(bytes(126))


# --- what we may not close with ----------------------------------------------


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
def test_codes_that_are_not_ours_to_send(code: int) -> None:
    endpoint = Endpoint(Role.SERVER)
    with pytest.raises(ValueError, match=rf"close code {code} may not .*3000-4999"):
        endpoint.encode_close(code)
    assert not endpoint.close_sent


def test_a_reason_that_is_too_long() -> None:
    check_close(1000, "é" * 61)
    with pytest.raises(ValueError, match="124 bytes is over the limit of 123"):
        check_close(1000, "é" * 62)


# --- failing the connection --------------------------------------------------


def test_nothing_is_read_after_a_failure() -> None:
    endpoint = Endpoint(Role.SERVER)
    (first,) = receive(endpoint, frame(3) + frame(TEXT, b"x"))
    assert first == failure(1002, "opcode 0x3 is reserved")
    assert receive(endpoint, frame(CLOSE, GOODBYE), frame(TEXT, b"x")) == []
    assert endpoint.failed
    assert endpoint.close_sent
    assert not endpoint.close_received


def test_messages_before_a_failure_are_given() -> None:
    data = frame(TEXT, b"one") + frame(TEXT, b"two") + frame(TEXT, rsv=2)
    check(
        Role.SERVER,
        data,
        ["one", "two", failure(1002, "reserved bits 010 are set (RFC 6455 5.2)")],
    )


def test_the_server_ends_the_transport_and_who_failed_it() -> None:
    # RFC 6455 7.1.1 and 7.1.7
    assert Endpoint(Role.SERVER).ends_transport()
    client = Endpoint(Role.CLIENT)
    assert not client.ends_transport()
    receive(client, frame(TEXT))
    assert client.failed
    assert client.ends_transport()


def test_a_longest_reason_fits_into_the_close() -> None:
    endpoint = Endpoint(Role.SERVER, max_message=2**62 - 1)
    first = frame(BINARY, b"x", fin=False)
    second = frame(CONTINUATION, length=2**63 - 1)
    ((kind, code, reason, reply),) = receive(endpoint, first, second)
    assert (kind, code) == ("Failure", 1009)
    assert parse(reply)[0].payload[2:].decode() == reason


# --- a pair without a network ------------------------------------------------


class Pair:
    """Two endpoints whose bytes reach each other at once."""

    def __init__(self) -> None:
        self.client, self.server = Endpoint(Role.CLIENT), Endpoint(Role.SERVER)
        self.seen: dict[str, list[Any]] = {"client": [], "server": []}

    def carry(self, data: bytes, to: str) -> None:
        """Deliver bytes, and the replies to them."""
        endpoint: Endpoint = getattr(self, to)
        lend(endpoint, data)
        for event in iter(endpoint.next_event, None):
            self.seen[to].append(plain(event))
            reply: bytes = getattr(event, "reply", b"")
            if reply:
                self.carry(reply, "server" if to == "client" else "client")

    def send(self, to: str, *fragments: bytes, opcode: int = BINARY) -> None:
        """Send a message."""
        sender = self.server if to == "client" else self.client
        parts: list[bytes] = []
        for i, payload in enumerate(fragments):
            fin = i == len(fragments) - 1
            sender.encode(CONTINUATION if i else opcode, payload, fin, parts)
        self.carry(b"".join(parts), to)


@pytest.mark.parametrize("to", ["client", "server"])
def test_messages_in_both_directions(to: str) -> None:
    pair = Pair()
    pair.send(to, b"a" * 10, b"b" * 70_000, b"")
    pair.send(to, "κόσμε".encode(), opcode=TEXT)
    assert pair.seen[to] == [b"a" * 10 + b"b" * 70_000, "κόσμε"]
    receiver: Endpoint = getattr(pair, to)
    sender = pair.server if to == "client" else pair.client
    counted = (receiver.messages_received, receiver.bytes_received)
    assert counted == (2, 70_020) == (sender.messages_sent, sender.bytes_sent)


@pytest.mark.parametrize(("ours", "to"), [("client", "server"), ("server", "client")])
def test_the_closing_handshake(ours: str, to: str) -> None:
    pair = Pair()
    closing: Endpoint = getattr(pair, ours)
    pair.carry(closing.encode_close(4000, "done"), to)
    assert pair.seen[to][0][:3] == ("Close", 4000, "done")
    assert pair.seen[ours] == [("Close", 4000, "done", b"")]
    for endpoint in (pair.client, pair.server):
        assert endpoint.close_sent
        assert endpoint.close_received
        assert not endpoint.failed


def test_both_close_at_once() -> None:
    pair = Pair()
    from_client = pair.client.encode_close(1000, "c")
    from_server = pair.server.encode_close(1001, "s")
    pair.carry(from_client, "server")
    pair.carry(from_server, "client")
    assert pair.seen["server"] == [("Close", 1000, "c", b"")]
    assert pair.seen["client"] == [("Close", 1001, "s", b"")]


def test_a_failure_closes_the_other_side() -> None:
    pair = Pair()
    lend(pair.server, b"")
    pair.carry(frame(TEXT, b"\xff"), "server")
    assert pair.seen["server"][0][:2] == ("Failure", 1007)
    assert pair.seen["client"][0][:2] == ("Close", 1007)
    # The reply to the reply: a server that failed reads nothing more.
    assert len(pair.seen["server"]) == 1
