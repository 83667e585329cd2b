"""The timer wheel: nothing early, nothing lost, and cheap to push back."""

from __future__ import annotations

import math
from random import Random
from time import perf_counter

import pytest
from hypothesis import given, strategies as st

from trio_fastws._transport.wheel import CHECK_EVERY, TICKS_PER_SECOND, Timer, Wheel

TICK = 1 / TICKS_PER_SECOND
# As `until`: there is always time, or there never is.
ALL_DAY = math.inf
NO_TIME = 0.0


class Alarm(Timer):
    """Notes when it is called, and answers with the deadlines it was given."""

    def __init__(self, *answers: float) -> None:
        super().__init__()
        self.calls: list[float] = []
        self.answers = list(answers)

    def _on_deadline(self, now: float) -> float:
        self.calls.append(now)
        return self.answers.pop(0) if self.answers else math.inf


@pytest.fixture
def wheel() -> Wheel:
    return Wheel()


def test_a_bare_timer_asks_for_nothing_more() -> None:
    assert Timer()._on_deadline(5.0) == math.inf


def test_an_empty_wheel_has_no_deadline_and_nothing_to_do(wheel) -> None:
    assert wheel.next_deadline() == math.inf
    assert wheel.run(1e9, ALL_DAY) is False


@pytest.mark.parametrize("deadline", [0.0, 1.0, 1.001, 2 / 3, 12345.6789, 1e9 + 0.3])
def test_never_early_and_at_most_a_tick_late(wheel, deadline) -> None:
    alarm = Alarm()
    wheel.schedule(alarm, deadline)
    due = wheel.next_deadline()
    assert deadline <= due < deadline + TICK
    wheel.run(math.nextafter(due, -math.inf), ALL_DAY)
    assert alarm.calls == []
    wheel.run(due, ALL_DAY)
    assert alarm.calls == [due]


def test_fires_once(wheel) -> None:
    alarm = Alarm()
    wheel.schedule(alarm, 1.0)
    for now in (1.0, 2.0, 3.0):
        wheel.run(now, ALL_DAY)
    assert alarm.calls == [1.0]
    assert wheel.next_deadline() == math.inf


def test_a_deadline_that_never_comes_is_not_kept(wheel) -> None:
    wheel.schedule(Alarm(), math.inf)
    assert wheel.next_deadline() == math.inf


def test_the_answer_rearms(wheel) -> None:
    alarm = Alarm(3.0, 5.0)
    wheel.schedule(alarm, 1.0)
    for now in range(10):
        wheel.run(float(now), ALL_DAY)
    assert alarm.calls == [1.0, 3.0, 5.0]


def test_an_answer_in_the_past_comes_up_in_the_next_tick(wheel) -> None:
    # A timer that is late by nature must not spin within one run.
    alarm = Alarm(-1.0, 0.5, 1.0)
    wheel.schedule(alarm, 1.0)
    assert wheel.run(1.0, ALL_DAY) is False
    assert alarm.calls == [1.0]
    assert wheel.next_deadline() == 1.0 + TICK


def test_scheduling_for_later_costs_nothing_and_moves_nothing(wheel) -> None:
    alarm = Alarm()
    wheel.schedule(alarm, 1.0)
    wheel.schedule(alarm, 9.0)
    assert wheel.next_deadline() == 1.0
    wheel.run(1.0, ALL_DAY)
    assert alarm.calls == [1.0]
    assert wheel.next_deadline() == math.inf


def test_scheduling_for_earlier_moves(wheel) -> None:
    alarm = Alarm()
    wheel.schedule(alarm, 9.0)
    wheel.schedule(alarm, 1.0)
    assert wheel.next_deadline() == 1.0
    for now in (1.0, 9.0):
        wheel.run(now, ALL_DAY)
    assert alarm.calls == [1.0]


def test_cancelled_is_forgotten_and_may_be_scheduled_again(wheel) -> None:
    alarm, other = Alarm(), Alarm()
    wheel.schedule(alarm, 1.0)
    wheel.schedule(other, 1.0)
    wheel.cancel(alarm)
    wheel.cancel(alarm)
    wheel.run(1.0, ALL_DAY)
    assert (alarm.calls, other.calls) == ([], [1.0])
    wheel.schedule(alarm, 2.0)
    wheel.run(2.0, ALL_DAY)
    assert alarm.calls == [2.0]


def test_cancelling_what_was_never_scheduled_is_harmless(wheel) -> None:
    wheel.cancel(Alarm())
    assert wheel.next_deadline() == math.inf


def test_next_deadline_passes_over_slots_emptied_by_cancel(wheel) -> None:
    alarms = [Alarm() for _ in range(3)]
    for seconds, alarm in enumerate(alarms):
        wheel.schedule(alarm, float(seconds))
    wheel.cancel(alarms[0])
    wheel.cancel(alarms[1])
    assert wheel.next_deadline() == 2.0


def test_one_slot_is_called_in_the_order_of_scheduling(wheel) -> None:
    called: list[int] = []

    class Numbered(Timer):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def _on_deadline(self, now: float) -> float:
            called.append(self.number)
            return math.inf

    for number in range(10):
        wheel.schedule(Numbered(number), 1.0)
    wheel.run(1.0, ALL_DAY)
    assert called == list(range(10))


class Meddler(Timer):
    """Does something to the wheel while it runs."""

    def __init__(self, act) -> None:
        super().__init__()
        self.act = act

    def _on_deadline(self, now: float) -> float:
        self.act()
        return math.inf


def test_a_timer_may_cancel_its_neighbour_in_the_slot(wheel) -> None:
    victim, witness = Alarm(), Alarm()
    wheel.schedule(Meddler(lambda: wheel.cancel(victim)), 1.0)
    wheel.schedule(victim, 1.0)
    wheel.schedule(witness, 1.0)
    wheel.run(1.0, ALL_DAY)
    assert (victim.calls, witness.calls) == ([], [1.0])


@pytest.mark.parametrize("deadline", [-5.0, 1.0, 2.0, 2.5])
def test_a_timer_may_schedule_another_even_for_the_past(wheel, deadline) -> None:
    # An earlier slot than the one being emptied must not be dropped for it.
    late, neighbour = Alarm(), Alarm()
    wheel.schedule(Meddler(lambda: wheel.schedule(late, deadline)), 2.0)
    wheel.schedule(neighbour, 2.0)
    for now in (2.0, 3.0):
        wheel.run(now, ALL_DAY)
    assert len(late.calls) == 1
    assert neighbour.calls == [2.0]
    assert wheel.next_deadline() == math.inf


def test_ten_thousand_timers(wheel) -> None:
    random = Random(7)
    alarms = {Alarm(): random.uniform(0, 60) for _ in range(10_000)}
    for alarm, deadline in alarms.items():
        wheel.schedule(alarm, deadline)
    now = 0.0
    while wheel.next_deadline() < math.inf:
        now = wheel.next_deadline()
        assert wheel.run(now, ALL_DAY) is False
    for alarm, deadline in alarms.items():
        (called,) = alarm.calls
        assert deadline <= called < deadline + TICK


def test_a_run_that_has_no_time_stops_and_goes_on_later(wheel) -> None:
    alarms = [Alarm() for _ in range(3 * CHECK_EVERY)]
    for alarm in alarms:
        wheel.schedule(alarm, 1.0)
    runs = [wheel.run(1.0, NO_TIME) for _ in range(3)]
    # It does not know that nothing is left until it looks at the clock again.
    assert runs == [True, True, False]
    assert all(alarm.calls == [1.0] for alarm in alarms)


def test_a_run_stops_at_the_given_time_only(wheel) -> None:
    alarms = [Alarm() for _ in range(3 * CHECK_EVERY)]
    for alarm in alarms:
        wheel.schedule(alarm, 1.0)
    assert wheel.run(1.0, perf_counter() + 3600) is False
    assert all(alarm.calls for alarm in alarms)


TIMERS = st.integers(0, 7)
SECONDS = st.floats(0, 4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("schedule"), TIMERS, SECONDS),
        st.tuples(st.just("cancel"), TIMERS, st.just(0.0)),
        st.tuples(st.just("advance"), st.just(0), SECONDS),
    ),
    max_size=60,
)


@given(STEPS)
def test_behaves_like_a_sorted_list(steps) -> None:
    wheel, now = Wheel(), 0.0
    alarms = [Alarm() for _ in range(8)]
    model: dict[int, float] = {}
    for step, number, seconds in steps:
        alarm = alarms[number]
        if step == "schedule":
            due = math.ceil((now + seconds) * TICKS_PER_SECOND) / TICKS_PER_SECOND
            model[number] = min(due, model.get(number, math.inf))
            wheel.schedule(alarm, now + seconds)
        elif step == "cancel":
            model.pop(number, None)
            wheel.cancel(alarm)
        else:
            now += seconds
            expected = {key for key, due in model.items() if due <= now}
            before = [len(each.calls) for each in alarms]
            wheel.run(now, ALL_DAY)
            after = [len(each.calls) for each in alarms]
            fired = {n for n in range(8) if after[n] - before[n] == 1}
            assert fired == expected
            assert sum(after) - sum(before) == len(expected)
            model = {key: due for key, due in model.items() if due > now}
        assert wheel.next_deadline() == min(model.values(), default=math.inf)


# --- exactly ----------------------------------------------------------------


def test_one_timer_is_due_exactly() -> None:
    wheel, timer = Wheel(), Alarm()
    assert wheel.next_deadline() == math.inf
    wheel.schedule_exactly(timer, 1.0001)
    assert wheel.next_deadline() == 1.0001
    wheel.run(1.0, ALL_DAY)
    assert timer.calls == []
    wheel.run(1.0001, ALL_DAY)
    assert timer.calls == [1.0001]
    assert wheel.next_deadline() == math.inf
    wheel.run(2.0, ALL_DAY)
    assert timer.calls == [1.0001]


def test_it_may_be_due_again_exactly() -> None:
    wheel, timer = Wheel(), Alarm(1.5001)
    wheel.schedule_exactly(timer, 1.0001)
    wheel.run(1.2, ALL_DAY)
    assert (timer.calls, wheel.next_deadline()) == ([1.2], 1.5001)
    wheel.run(1.5001, ALL_DAY)
    assert timer.calls == [1.2, 1.5001]


def test_the_slots_go_on_beside_it() -> None:
    wheel, exact, other = Wheel(), Alarm(), Alarm()
    wheel.schedule(other, 1.0)
    wheel.schedule_exactly(exact, 1.0001)
    assert wheel.next_deadline() == 1.0
    wheel.run(1.0, ALL_DAY)
    assert (other.calls, exact.calls) == ([1.0], [])
    assert wheel.next_deadline() == 1.0001
