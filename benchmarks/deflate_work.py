"""What compresses and inflates: trio_fastws' own contexts, or a library alone.

Each *work* does the same for the same messages, over and over; how long that takes is
measured elsewhere.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from feeds import messages

from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.deflate.agreement import STEP, Agreement
from trio_fastws._protocol.deflate.context import INPUT_STEP, DeflateContext
from trio_fastws._protocol.deflate.negotiation import DeflateParameters

if TYPE_CHECKING:
    from collections.abc import Callable

MODULES = {"zlib": "zlib", "zlib-ng": "zlib_ng.zlib_ng", "isal": "isal.isal_zlib"}
SYNC_FLUSH, FULL_FLUSH, DEFLATED, TAIL = 2, 3, 8, b"\x00\x00\xff\xff"
TEXT = 1
Way = Literal["none", "window", "persistent"]
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Setting:
    """What is compressed, and how.

    Attributes:
        way: No takeover, or how a context is kept.
        raw: With nothing of trio_fastws around the library.
    """

    codec: str
    way: Way = "persistent"
    size: int = 1024
    level: int = 1
    bits: int = 12
    memory_level: int = 5
    raw: bool = False


def load(library: str) -> Any:
    """Import a library's twin of `zlib`; `ImportError` if it is missing."""
    return importlib.import_module(MODULES[library])


def count_of(size: int) -> int:
    """How many messages a pass takes: some 100 KiB, at least 2."""
    return max(2, min(1000, 300_000 // size))


class Ours:
    """Through `DeflateContext`, in steps as the endpoint goes."""

    def __init__(self, setting: Setting) -> None:
        fresh = setting.way == "none"
        parameters = DeflateParameters(fresh, fresh, setting.bits, setting.bits)
        options: dict[str, Any] = {
            "level": setting.level,
            "memory_level": setting.memory_level,
            "persistent": setting.way == "persistent",
        }
        module = load(setting.codec)
        self._sender = Agreement(Role.SERVER, parameters, module, **options)
        self._receiver = Agreement(Role.CLIENT, parameters, module, **options)
        self._limit = setting.size + 1
        self._context = self.new_writer()

    def new_writer(self) -> DeflateContext:
        """Return what compresses a connection's messages from the first on."""
        return DeflateContext(self._sender)

    def deflate(
        self, payload: bytes, context: DeflateContext | None = None
    ) -> list[bytes | None]:
        """Return the fragments of a message; None where it goes plain."""
        context = context or self._context
        if len(payload) <= STEP:
            return [context.compress(TEXT, payload, True)]
        return [
            context.compress(0 if at else TEXT, payload[at : at + STEP], stop)
            for at in range(0, len(payload), STEP)
            for stop in (at + STEP >= len(payload),)
        ]

    def new_reader(self) -> DeflateContext:
        """Return what inflates a connection's messages from the first on."""
        return DeflateContext(self._receiver)

    def inflate(self, reader: DeflateContext, fragments: list[bytes | None]) -> int:
        """Inflate a message; return its size."""
        size = 0
        last = len(fragments) - 1
        for number, fragment in enumerate(fragments):
            if fragment is None:
                continue
            for at in range(0, len(fragment), INPUT_STEP):
                part = fragment[at : at + INPUT_STEP]
                reader.feed(part, number == last and at + INPUT_STEP >= len(fragment))
                while reader.busy():
                    size += len(reader.inflate(self._limit - size))
        return size


class Raw:
    """A library by itself: the least that does what the way asks for."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._module = load(setting.codec)
        self._kept = self.new_compressor(b"")
        self._window = b""

    def new_compressor(self, window: bytes) -> Any:
        """Return a compressor with a dictionary or without."""
        s = self._setting
        end: tuple[Any, ...] = (0, window) if window else ()
        return self._module.compressobj(
            s.level, DEFLATED, -s.bits, s.memory_level, *end
        )

    def deflate(self, payload: bytes) -> list[bytes | None]:
        """Return the one fragment of a message."""
        flush = FULL_FLUSH if self._setting.way == "none" else SYNC_FLUSH
        compressor = self._kept
        if self._setting.way == "window":
            compressor = self.new_compressor(self._window)
            self._window = (self._window + payload)[-(1 << self._setting.bits) :]
        data: bytes = compressor.compress(payload) + compressor.flush(flush)
        return [data[:-4]]

    def new_reader(self, window: bytes = b"") -> Any:
        """Return an inflater; with no takeover it is good for one message."""
        dictionary = (window,) if window else ()
        return self._module.decompressobj(-self._setting.bits, *dictionary)

    def inflate(self, reader: Any, fragments: list[bytes | None]) -> int:
        """Inflate a message; return its size."""
        if self._setting.way == "none":
            reader = self.new_reader()
        return sum(
            len(reader.decompress(fragment + TAIL))
            for fragment in fragments
            if fragment
        )


@dataclass(frozen=True, slots=True)
class Work:
    """One pass over the messages, either way.

    Attributes:
        share: Bytes on the wire for a byte of message.
    """

    count: int
    share: float
    deflate: Callable[[], None]
    inflate: Callable[[], None]


def prepare(setting: Setting) -> Work:
    """Make a work, and see that what it compresses inflates to the same.

    Raises:
        AssertionError: It does not.
    """
    texts = messages(setting.size, count_of(setting.size))
    does: Any = Raw(setting) if setting.raw else Ours(setting)
    encoded = [does.deflate(text) for text in texts]
    _check(setting, texts, encoded)

    def deflate() -> None:
        for text in texts:
            does.deflate(text)

    def inflate() -> None:
        reader = does.new_reader()
        for fragments in encoded:
            does.inflate(reader, fragments)

    wire = 0
    for text, fragments in zip(texts, encoded, strict=True):
        wire += sum(len(text if part is None else part) for part in fragments)
    return Work(len(texts), wire / sum(map(len, texts)), deflate, inflate)


def _check(
    setting: Setting, texts: tuple[bytes, ...], encoded: list[list[bytes | None]]
) -> None:
    reference = load("zlib")
    reader = reference.decompressobj(-setting.bits)
    for text, fragments in zip(texts, encoded, strict=True):
        if fragments == [None]:
            continue
        if setting.way == "none":
            reader = reference.decompressobj(-setting.bits)
        data = b"".join(part for part in fragments if part is not None)
        assert reader.decompress(data + TAIL) == text, setting


def resident_kib(make: Callable[[], object], count: int) -> float:
    """KiB of resident memory of each of many objects."""
    gc.collect()
    # What was freed before must not be what they are made of.
    ctypes.CDLL(None).malloc_trim(0)
    before = _resident()
    kept = [make() for _ in range(count)]
    used = _resident() - before
    assert len(kept) == count
    return used / count / 1024


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


def new_context(setting: Setting) -> Callable[[], object]:
    """Return what makes a connection's context that has seen nothing yet."""
    return Ours(setting).new_writer


def used_context(
    setting: Setting, *, sends: bool = False, receives: bool = False
) -> Callable[[], object]:
    """Return what makes a connection's context that has seen more than a window."""
    does = Ours(setting)
    texts = messages(setting.size, (1 << setting.bits) // setting.size + 2)
    encoded = [does.deflate(text) for text in texts]

    def make() -> object:
        context = does.new_writer()
        for text, fragments in zip(texts, encoded, strict=True):
            if sends:
                does.deflate(text, context)
            if receives:
                does.inflate(context, fragments)
        return context

    return make


def used_compressor(setting: Setting) -> Callable[[], object]:
    """Return what makes a library's compressor that has seen more than a window."""
    texts = messages(setting.size, (1 << setting.bits) // setting.size + 2)

    def make() -> object:
        does = Raw(setting)
        for text in texts:
            does.deflate(text)
        return does

    return make
