"""When freed memory is given back to the system."""

from __future__ import annotations

import math

import pytest

from trio_fastws._transport import peak as peaks
from trio_fastws._transport.contract import Dispatcher

MiB = 2**20


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    times: list[float] = []
    monkeypatch.setattr(peaks, "give_back", lambda: times.append(len(times)))
    return times


def hold(peak: peaks.Peak, held: int) -> None:
    # As a budget tells it.
    peak.held = held
    peak.recent = max(peak.recent, held)
    peak.most = max(peak.most, held)
    if peak.most - held >= peaks.WORTH_GIVING_BACK:
        peak.plan()


def test_what_was_freed_is_given_back_a_second_later(given: list[float]) -> None:
    peak = peaks.Peak(Dispatcher(Clock()))
    hold(peak, 100 * MiB)
    hold(peak, 80 * MiB)
    assert peak.planned == math.inf  # it is not worth it
    hold(peak, 10 * MiB)
    assert peak.planned == 101
    assert peak._on_deadline(100.5) == 101
    assert given == []
    assert peak._on_deadline(101) == math.inf
    assert given == [0]


def test_what_is_held_again_within_a_second_is_in_use(given: list[float]) -> None:
    peak = peaks.Peak(Dispatcher(Clock()))
    for _ in range(3):
        hold(peak, 100 * MiB)
        hold(peak, 0)
    # It looks again, as nothing is held now.
    assert peak._on_deadline(101) == 102
    assert given == []
    hold(peak, 100 * MiB)
    hold(peak, 95 * MiB)
    assert peak._on_deadline(102) == math.inf
    assert given == []


def test_what_is_freed_little_by_little_is_given_back_to_the_last(
    given: list[float],
) -> None:
    peak = peaks.Peak(Dispatcher(Clock()))
    for held in (300, 250, 200, 0):
        hold(peak, held * MiB)
    assert peak._on_deadline(101) == 102
    assert given == [0]
    assert peak._on_deadline(102) == math.inf
    assert given == [0, 1]
