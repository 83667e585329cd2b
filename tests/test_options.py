"""Options are checked where they are written, and say what would be right."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields

import pytest

from trio_fastws import Limits, PerMessageDeflate, Sending, Timeouts

# More of the last one is in deflate/test_options.py.
GROUPS = (Limits, Timeouts, Sending, PerMessageDeflate)


@pytest.mark.parametrize("group", GROUPS)
def test_the_defaults_are_valid_and_frozen(group):
    options = group()
    assert options == group()
    assert hash(options) == hash(group())
    name = fields(options)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(options, name, 1)


@pytest.mark.parametrize("group", GROUPS)
def test_options_have_names(group):
    with pytest.raises(TypeError):
        group(1)


@pytest.mark.parametrize(
    ("group", "options", "message"),
    [
        (Limits, {"message_size": -1}, "message_size is -1; it must be 0 or more"),
        (Limits, {"fragments": 0}, "fragments is 0; it must be 1 or more"),
        (Limits, {"connections": -1}, "connections is -1"),
        (Limits, {"request_head": 255}, "request_head is 255; it must be 256 or more"),
        (Limits, {"request_fields": 7}, "request_fields is 7; it must be 8 or more"),
        (Limits, {"pending_handshakes": 0}, "pending_handshakes is 0"),
        (Limits, {"receive_buffer": 0}, "receive_buffer is 0"),
        (Timeouts, {"handshake": 0}, "handshake is 0; it must be over 0 and finite"),
        (Timeouts, {"ping_interval": -1}, "ping_interval is -1"),
        (Timeouts, {"ping_timeout": math.inf}, "ping_timeout is inf"),
        (Timeouts, {"close": math.nan}, "close is nan"),
        (Timeouts, {"write_stall": 0.0}, r"write_stall is 0\.0"),
        (Timeouts, {"slow_consumer": -0.5}, "slow_consumer is -0.5"),
        (Timeouts, {"shutdown": 0}, "shutdown is 0"),
        (Sending, {"policy": "drop"}, "it must be one of wait, drop_oldest"),
        (Sending, {"high_water": -1}, "high_water is -1"),
        (Sending, {"low_water": -1}, "low_water is -1"),
        (Sending, {"max_messages": 0}, "max_messages is 0; it must be 1 or more"),
        (Sending, {"delay": -1}, "delay is -1"),
        (Sending, {"delay": math.inf}, "delay is inf"),
        (
            Sending,
            {"high_water": 10, "low_water": 11},
            r"low_water is 11; it must be at most high_water \(10\)",
        ),
        (
            Sending,
            {"high_water": 10, "low_water": 1, "hard_limit": 9},
            r"hard_limit is 9; it must be at least high_water \(10\)",
        ),
        (Sending, {"delay": -1}, "delay is -1; it must be 0 or more and finite"),
        (Sending, {"delay": 1e11}, "must be 0 or more and at most 1e.10 seconds"),
    ],
)
def test_a_wrong_value_names_itself_and_the_range(group, options, message):
    with pytest.raises(ValueError, match=message):
        group(**options)


@pytest.mark.parametrize(
    ("group", "options", "message"),
    [
        (Limits, {"message_size": "1"}, "message_size must be an int, not '1'"),
        (Limits, {"message_size": 1.5}, "message_size must be an int"),
        (Limits, {"message_size": "none"}, "message_size must be an int, not 'none'"),
        (Limits, {"fragments": True}, "fragments must be an int, not True"),
        (Limits, {"request_head": None}, "request_head cannot be None"),
        (Limits, {"receive_buffer": None}, "receive_buffer cannot be None"),
        (
            Limits,
            {"keep_request": "no"},
            "keep_request must be True or False, not 'no'",
        ),
        (Timeouts, {"handshake": None}, "handshake cannot be None"),
        (Timeouts, {"close": "10"}, "close must be a number of seconds, not '10'"),
        (Timeouts, {"ping_timeout": None}, "ping_timeout cannot be None"),
        (Timeouts, {"shutdown": False}, "shutdown must be a number of seconds"),
        (Sending, {"high_water": None}, "high_water cannot be None"),
        (Sending, {"delay": None}, "delay cannot be None"),
        (Sending, {"delay": "1"}, "delay must be a number of seconds"),
        (Sending, {"delay": False}, "delay must be a number of seconds"),
        (Sending, {"max_messages": 1.0}, "max_messages must be an int"),
    ],
)
def test_a_value_of_the_wrong_type_is_a_type_error(group, options, message):
    with pytest.raises(TypeError, match=message):
        group(**options)


@pytest.mark.parametrize(
    ("group", "options"),
    [
        (Limits, {"message_size": None, "fragments": None, "connections": None}),
        (Limits, {"message_size": 0, "connections": 0}),
        (Timeouts, {"ping_interval": None, "write_stall": None}),
        (Timeouts, {"slow_consumer": None, "close": 0.001}),
        (Sending, {"high_water": 0, "low_water": 0, "hard_limit": 0}),
        (Sending, {"max_messages": None, "delay": 0}),
        # They follow the high water, whatever that is.
        (Sending, {"high_water": 0, "low_water": None, "hard_limit": None}),
        (Sending, {"high_water": 2**40}),
    ],
)
def test_none_and_the_ends_of_the_ranges_are_allowed(group, options):
    made = group(**options)
    assert {name: getattr(made, name) for name in options} == options
