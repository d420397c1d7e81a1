from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from exporter import scheduler as scheduler_module
from exporter.instrumentation import Instrumentation
from exporter.poller import Plan
from exporter.scheduler import Scheduler, Spread, spread

START = datetime(2026, 4, 1, tzinfo=UTC)


def missed(instrumentation: Instrumentation) -> float:
    return instrumentation.registry.get_sample_value("together_exporter_polls_missed_total") or 0.0


def test_first_at_once_then_at_the_phase_then_at_the_interval() -> None:
    trigger = Spread(START, 10.0, 30.0)
    times = [trigger.get_next_fire_time(None, START)]
    for _ in range(3):
        times.append(trigger.get_next_fire_time(times[-1], START))
    assert [(moment - START).total_seconds() for moment in times] == [0, 10, 40, 70]


def test_second_polls_are_even_over_the_interval() -> None:
    plans = [Plan("p", "each", 30.0, key) for key in "abc"]
    assert [(first, phase) for _, first, phase in spread(plans, {"p": 0.2})] == [(0, 40), (0.2, 20), (0.4, 30)]


def test_a_slow_poll_never_overlaps_itself_and_what_it_cost_is_counted() -> None:
    instrumentation = Instrumentation(runtime=False)
    running, most, runs = 0, 0, 0

    async def poll() -> None:
        done = asyncio.Event()

        async def slow(_: Plan) -> None:
            nonlocal running, most, runs
            running += 1
            most = max(most, running)
            await wait_until(lambda: missed(instrumentation) >= 2 * (runs + 1))
            running -= 1
            runs += 1
            if runs == 2:
                done.set()

        made = Scheduler(instrumentation)
        made.plan([Plan("p", "list", 0.1)], slow, {})
        made.start()
        await asyncio.wait_for(done.wait(), 30)
        made.stop()

    asyncio.run(poll())
    assert (most, runs) == (1, 2)
    assert missed(instrumentation) >= 4


def test_a_clock_set_back_does_not_stop_the_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the offset is set back an hour, so the poll that is due in an hour moves to now."""
    polled: list[str] = []

    async def poll() -> None:
        made = Scheduler(Instrumentation(runtime=False))

        async def run(plan: Plan) -> None:
            polled.append(plan.key)

        made.plan([Plan("p", "each", 3600.0, "a")], run, {})
        made.start()
        await wait_until(lambda: bool(polled))
        real = scheduler_module._clock_offset
        monkeypatch.setattr(scheduler_module, "_clock_offset", lambda: real() - 3600)
        made._jobs.wakeup()
        await wait_until(lambda: len(polled) == 2)
        made.stop()

    asyncio.run(poll())


@pytest.mark.parametrize("step", [3600.0, -3600.0], ids=["forward", "back"])
def test_a_step_of_the_clock_moves_what_is_due_with_it(step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the clock as it is then, each poll is as far away as before; none is missed, none comes in a burst."""
    instrumentation = Instrumentation(runtime=False)
    polled: list[str] = []

    async def poll() -> None:
        made = Scheduler(instrumentation)

        async def run(plan: Plan) -> None:
            polled.append(plan.key)

        made.plan([Plan("p", "each", 90_000.0, "a")], run, {})
        made.start()
        await wait_until(lambda: bool(polled))
        before = made.next_polls()["each/p/a"]
        real = scheduler_module._clock_offset
        monkeypatch.setattr(scheduler_module, "_clock_offset", lambda: real() + step)
        made._jobs.wakeup()
        await wait_until(lambda: made.next_polls()["each/p/a"] != before)
        moved = (made.next_polls()["each/p/a"] - before).total_seconds()
        assert moved == pytest.approx(step, abs=1)
        made.stop()

    asyncio.run(poll())
    assert (polled, missed(instrumentation)) == (["a"], 0)


def test_a_plan_with_the_same_interval_keeps_its_times() -> None:
    async def plan() -> None:
        made = Scheduler(Instrumentation(runtime=False))

        async def run(_: Plan) -> None:
            return

        made.start()
        made.plan([Plan("p", "each", 3600.0, "a"), Plan("p", "each", 3600.0, "b")], run, {"p": 1000.0})
        before = made.next_polls()
        made.plan([Plan("p", "each", 3600.0, "b"), Plan("p", "each", 60.0, "a")], run, {"p": 1000.0})
        after = made.next_polls()
        assert after["each/p/b"] == before["each/p/b"]
        assert len(after) == 2
        made.stop()

    asyncio.run(plan())


async def wait_until(condition: Callable[[], bool]) -> None:
    """Turns the loop until the condition holds, at most 30 s."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)
