"""Random messages that show a wrong window: much in them was said before.

The same seed gives the same messages, so that a failure can be had again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import TypeVar

Data = TypeVar("Data", str, bytes)

KIB = 1024
MIB = 2**20

NAMES = ("Ada", "Bob", "Chloé", "Đorđe", "Елена", "傅聪", "🦊 the fox", "O'Hara")
# Plain letters, and characters of two, three and four bytes.
LETTERS = "etaoinshrdlucmfwypvbgkqjxz ETAOIN.,-" + "éßñøД" + "終了✓€" + "🚀🦊"


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and how we send it.

    Attributes:
        data: All of it.
        compress: What we say to ``send``.
        how: "whole", "prepared", or "pieces".
        pieces: What we write one by one; empty unless it goes in pieces.
    """

    data: str | bytes
    compress: bool
    how: str
    pieces: tuple[str | bytes, ...]

    def __repr__(self) -> str:
        kind = type(self.data).__name__
        words = [self.how if self.compress else f"plain {self.how}", f"{kind} of"]
        return f"<{' '.join(words)} {len(self.data)}>"


def make_messages(seed: int, count: int, large: bool) -> list[Message]:
    """Return random messages; with ``large``, one of 1 MiB is among them."""
    source = _Source(seed)
    messages = [source.message() for _ in range(count - large)]
    if large:
        # Not the last, so that there is a window to be wrong about behind it.
        position = source.random.randrange(count // 2)
        messages.insert(position, source.large_message())
    return messages


class _Source:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.texts = ["There is nothing yet to be said again."]
        self.blobs = [bytes(range(256))]

    def message(self) -> Message:
        size = self._size()
        data: str | bytes
        if self.random.random() < 0.5:
            data = self._text(size)
            self.texts.append(data)
        else:
            data = self._blob(size)
            self.blobs.append(data)
        return self._dress(data)

    def large_message(self) -> Message:
        """Return a message of exactly the size that is let in by default."""
        if self.random.random() < 0.5:
            text = (self._records(256 * KIB) + self._noise(64 * KIB)) * 2
            return self._dress(text + "." * (MIB - len(text.encode())))
        blob = self.random.randbytes(64 * KIB) + self._records(256 * KIB).encode()
        return self._dress((blob * 4)[:MIB])

    def _dress(self, data: str | bytes) -> Message:
        compress = self.random.random() > 0.12
        chance = self.random.random()
        if len(data) and chance < 0.2:
            return Message(data, compress, "pieces", self._cut(data))
        how = "prepared" if chance < 0.3 else "whole"
        return Message(data, compress, how, ())

    def _cut(self, data: str | bytes) -> tuple[str | bytes, ...]:
        places = {self.random.randrange(len(data) + 1) for _ in range(4)}
        ends = [0, *sorted(places), len(data)]
        return tuple(data[start:end] for start, end in pairwise(ends))

    def _size(self) -> int:
        chance = self.random.random()
        for below, least, most in (
            (0.02, 0, 0),
            (0.6, 1, 200),
            (0.93, 200, 4 * KIB),
            (0.985, 4 * KIB, 32 * KIB),
        ):
            if chance < below:
                return self.random.randint(least, most)
        return self.random.randint(32 * KIB, 100 * KIB)

    def _text(self, size: int) -> str:
        kind = self.random.choice(["records", "records", "noise", "run", "again"])
        if kind == "records":
            return self._records(size)
        if kind == "noise":
            return self._noise(size)
        if kind == "run":
            unit = self._noise(self.random.choice([1, 1, 2, 7, 300]))
            return (unit * (size // len(unit) + 1))[:size]
        return self._again(self.texts, size, self._noise(3))

    def _blob(self, size: int) -> bytes:
        kind = self.random.choice(["records", "noise", "run", "again", "again"])
        if kind == "records":
            return self._records(size).encode()[:size]
        if kind == "noise":
            return self.random.randbytes(size)
        if kind == "run":
            unit = self.random.randbytes(self.random.choice([1, 1, 3, 258, 600]))
            return (unit * (size // len(unit) + 1))[:size]
        return self._again(self.blobs, size, self.random.randbytes(3))

    def _again(self, past: list[Data], size: int, change: Data) -> Data:
        # The last few are in the window, all others are in some windows only.
        reach = self.random.choice([1, 3, 10, len(past)])
        old = self.random.choice(past[-reach:])
        start = self.random.randrange(len(old) + 1) if len(old) > 64 else 0
        part = old[start : start + max(size, 32)]
        middle = self.random.randrange(len(part) + 1)
        return part[:middle] + change + part[middle:]

    def _noise(self, size: int) -> str:
        return "".join(self.random.choices(LETTERS, k=size))

    def _records(self, size: int) -> str:
        random = self.random
        parts: list[str] = []
        length = 0
        while length < size:
            name = random.choice(NAMES)
            part = (
                f'{{"id": {random.randrange(10**9)}, "from": "{name}", "at": '
                f'{random.random():.6f}, "tags": ["new", "{random.choice(NAMES)}"]}}\n'
            )
            parts.append(part)
            length += len(part)
        return "".join(parts)[:size]
