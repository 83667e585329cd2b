"""`PerMessageDeflate`: checked where it is written, and what it asks of libraries."""

from __future__ import annotations

import random
import sys
import zlib
from dataclasses import fields, replace

import pytest

from trio_fastws import PerMessageDeflate
from trio_fastws._config.libraries import find_library


def test_the_defaults():
    options = PerMessageDeflate()
    assert {field.name: getattr(options, field.name) for field in fields(options)} == {
        "server_context_takeover": True,
        "client_context_takeover": True,
        "server_window_bits": None,
        "client_window_bits": None,
        "context": "window",
        "level": 1,
        "memory_level": 5,
        "threshold": 64,
        "library": "zlib",
    }


def test_it_is_a_value():
    options = PerMessageDeflate(level=3)
    assert options == PerMessageDeflate(level=3) != PerMessageDeflate()
    assert hash(options) == hash(PerMessageDeflate(level=3))
    assert replace(options, level=1) == PerMessageDeflate()
    with pytest.raises(ValueError, match="level is 0"):
        replace(options, level=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"server_window_bits": 8}, "server_window_bits is 8; it must be 9 to 15"),
        ({"server_window_bits": 16}, "server_window_bits is 16; it must be 9 to 15"),
        ({"client_window_bits": 8}, "client_window_bits is 8; it must be 9 to 15"),
        ({"client_window_bits": 16}, "client_window_bits is 16; it must be 9 to 15"),
        ({"level": 0}, "level is 0; it must be 1 to 9"),
        ({"level": 10}, "level is 10; it must be 1 to 9"),
        ({"level": -1}, "level is -1; it must be 1 to 9"),
        ({"level": 0, "library": "zlib-ng"}, "level is 0; it must be 1 to 9"),
        ({"level": 10, "library": "zlib-ng"}, "level is 10; it must be 1 to 9"),
        ({"level": 4, "library": "isal"}, "level is 4; it must be 0 to 3 with isal"),
        ({"level": -1, "library": "isal"}, "level is -1; it must be 0 to 3 with isal"),
        ({"memory_level": 0}, "memory_level is 0; it must be 1 to 9"),
        ({"memory_level": 10}, "memory_level is 10; it must be 1 to 9"),
        ({"threshold": -1}, "threshold is -1; it must be 0 or more"),
        (
            {"context": "shared"},
            "context is 'shared'; it must be one of persistent, window",
        ),
        ({"context": None}, "context is None; it must be one of persistent, window"),
        (
            {"library": "zlib_ng"},
            "library is 'zlib_ng'; it must be one of zlib, zlib-ng, isal",
        ),
        ({"library": zlib}, "it must be one of zlib, zlib-ng, isal"),
    ],
)
def test_a_wrong_value_names_itself_and_the_range(options, message):
    with pytest.raises(ValueError, match=message):
        PerMessageDeflate(**options)


INTS = (
    "server_window_bits",
    "client_window_bits",
    "level",
    "memory_level",
    "threshold",
)


@pytest.mark.parametrize("name", INTS)
@pytest.mark.parametrize("value", [True, "12", 12.0, b"12"])
def test_a_number_is_an_int(name, value):
    with pytest.raises(TypeError, match=f"{name} must be an int, not {value!r}"):
        PerMessageDeflate(**{name: value})


@pytest.mark.parametrize("name", INTS[2:])
def test_a_number_is_never_none(name):
    with pytest.raises(TypeError, match=f"{name} (must be an int|cannot be None)"):
        PerMessageDeflate(**{name: None})


@pytest.mark.parametrize("name", ["server_context_takeover", "client_context_takeover"])
@pytest.mark.parametrize("value", [1, 0, None, "no"])
def test_takeover_is_yes_or_no(name, value):
    message = f"{name} must be True or False, not {value!r}"
    with pytest.raises(TypeError, match=message):
        PerMessageDeflate(**{name: value})


@pytest.mark.parametrize(
    "options",
    [
        {"server_window_bits": 9, "client_window_bits": 15},
        {"server_window_bits": 15, "client_window_bits": 9},
        {"level": 9, "memory_level": 1, "threshold": 0},
        {"level": 1, "memory_level": 9, "threshold": 2**40},
        {"level": 0, "library": "isal"},
        {"level": 3, "library": "isal"},
        {"level": 9, "library": "zlib-ng"},
        {"server_context_takeover": False, "client_context_takeover": False},
        {"context": "persistent"},
    ],
)
def test_the_ends_of_the_ranges_are_allowed(options):
    made = PerMessageDeflate(**options)
    assert {name: getattr(made, name) for name in options} == options


# --- libraries ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("library", "module"), [("zlib-ng", "zlib_ng"), ("isal", "isal")]
)
def test_a_library_that_is_missing_says_how_to_get_it(library, module, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    # Which makes an import fail as if it were not installed.
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError) as caught:
        PerMessageDeflate(library=library)
    said = str(caught.value)
    assert said.startswith(f"library {library!r} cannot be imported (")
    assert said.endswith("): pip install 'trio-fastws[deflate]'")
    assert isinstance(caught.value.__cause__, ImportError)


LEVELS = {"zlib": range(1, 10), "zlib-ng": range(1, 10), "isal": range(4)}
CHOICE = random.Random(7692)
# Twice as long as the largest window, with words that come again far away.
WORDS = [CHOICE.randbytes(CHOICE.randrange(3, 12)) for _ in range(3000)]
TEXT = b" ".join(CHOICE.choices(WORDS, k=9000))


@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize("library", LEVELS)
def test_zlib_reads_what_a_library_writes_with_no_larger_a_window(library, bits):
    # All of its levels: each may be a compressor of its own.
    assert len(TEXT) > 2**16
    module = find_library(library)
    for level in LEVELS[library]:
        for memory_level in (1, 9):
            compressor = module.compressobj(level, 8, -bits, memory_level, 0)
            inflater = zlib.decompressobj(-bits)
            for message in (TEXT, TEXT[:500]):
                data = compressor.compress(message)
                data += compressor.flush(zlib.Z_SYNC_FLUSH)
                assert data[-4:] == b"\0\0\xff\xff"
                assert inflater.decompress(data) == message


@pytest.mark.parametrize("library", LEVELS)
def test_a_library_reads_what_zlib_writes(library):
    module = find_library(library)
    for bits in range(9, 16):
        compressor = zlib.compressobj(9, zlib.DEFLATED, -bits)
        data = compressor.compress(TEXT) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert module.decompressobj(-bits).decompress(data) == TEXT


@pytest.mark.parametrize("library", LEVELS)
def test_a_library_names_its_errors(library):
    module = find_library(library)
    with pytest.raises(module.error):
        module.decompressobj(-15).decompress(b"\xff" * 20)
