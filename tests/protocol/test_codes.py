"""Which numbers may appear on the wire."""

from __future__ import annotations

import pytest

from trio_fastws._protocol.codes import CloseCode, Opcode, Role, allowed_on_wire

REGISTERED = {1000, 1001, 1002, 1003, *range(1007, 1015)}


def test_close_codes_of_the_registry_and_of_users_may_be_sent() -> None:
    allowed = {code for code in range(-1, 70_000) if allowed_on_wire(code)}
    assert allowed == REGISTERED | set(range(3000, 5000))


@pytest.mark.parametrize("code", [1004, 1005, 1006, 1015])
def test_must_not_be_set_in_a_close_frame(code: int) -> None:
    assert not allowed_on_wire(code)  # RFC 6455 7.4.1


def test_every_code_with_a_name_is_registered_or_never_sent() -> None:
    assert {int(code) for code in CloseCode} == REGISTERED | {1005, 1006, 1015}


def test_control_opcodes_have_a_bit_in_common() -> None:
    control = {opcode for opcode in Opcode if opcode & 0x8}
    assert control == {Opcode.CLOSE, Opcode.PING, Opcode.PONG}


def test_role_is_the_mask_bit_of_what_it_receives() -> None:
    assert (Role.CLIENT, Role.SERVER) == (0, 1)
