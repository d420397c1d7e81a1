from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_SUBMITTED, JobSubmissionEvent

from exporter.polling.plan import Plan
from exporter.polling.scheduler import Scheduler, Spread, spread

START = datetime(2026, 4, 1, tzinfo=UTC)


class Missed:
    """How many polls did not run."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, count: int) -> None:
        self.count += count


class Offset:
    """The wall clock's seconds less the monotonic clock's."""

    def __init__(self) -> None:
        self._start = time.time() - time.monotonic()
        self.step = 0.0

    def __call__(self) -> float:
        return self._start + self.step


def test_first_at_once_then_at_the_phase_then_at_the_interval() -> None:
    trigger = Spread(START, 10.0, 30.0)
    times = [trigger.get_next_fire_time(None, START)]
    for _ in range(3):
        times.append(trigger.get_next_fire_time(times[-1], START))
    assert [(moment - START).total_seconds() for moment in times] == [0, 10, 40, 70]


def test_second_polls_are_even_over_the_interval() -> None:
    plans = [Plan("p", "each", 30.0, key) for key in "abc"]
    assert [(first, phase) for _, first, phase in spread(plans, {"p": 0.2})] == [(0, 40), (0.2, 20), (0.4, 30)]
    assert [(first, phase) for _, first, phase in spread(plans[:2], {})] == [(0, 15), (0, 30)]


def test_a_slow_poll_never_overlaps_itself_and_what_it_cost_is_counted() -> None:
    missed = Missed()
    running, most, runs = 0, 0, 0

    async def poll() -> None:
        done = asyncio.Event()

        async def slow(_: Plan) -> None:
            nonlocal running, most, runs
            running += 1
            most = max(most, running)
            await wait_until(lambda: missed.count >= 2 * (runs + 1))
            running -= 1
            runs += 1
            if runs == 2:
                done.set()

        made = Scheduler(missed)
        made.plan([Plan("p", "list", 0.1)], slow, {})
        made.start()
        await asyncio.wait_for(done.wait(), 30)
        made.stop()

    asyncio.run(poll())
    assert (most, runs) == (1, 2)
    assert missed.count >= 4


def due(made: Scheduler, second: float, code: int = EVENT_JOB_SUBMITTED) -> None:
    """APScheduler says that the poll of this second was started, or was not because another one runs."""
    moment = START + timedelta(seconds=second)
    made._jobs._dispatch_event(JobSubmissionEvent(code, "each/p/a", "default", [moment]))


@pytest.mark.parametrize(
    ("seconds", "missed"),
    [
        pytest.param((0, 30, 60), 0, id="all ran"),
        pytest.param((0, 29.9, 60.1), 0, id="a little early and late"),
        pytest.param((0, 150), 4, id="five that came as one"),
        pytest.param((0, 60, 90, 150), 2, id="one of two, twice"),
        pytest.param((0, 15), 0, id="the second comes after half an interval"),
    ],
)
def test_polls_that_a_late_loop_merges_are_missed(seconds: tuple[float, ...], missed: int) -> None:
    counted = Missed()
    made = Scheduler(counted)
    made.plan([Plan("p", "each", 30.0, "a")], nothing, {})
    for second in seconds:
        due(made, second)
    assert counted.count == missed
    due(made, seconds[-1] + 30, EVENT_JOB_MAX_INSTANCES)
    assert counted.count == missed + 1


def test_what_was_due_before_a_step_of_the_clock_or_another_plan_is_not_counted_as_missed() -> None:
    counted = Missed()

    async def live() -> None:
        made = Scheduler(counted)
        made.plan([Plan("p", "each", 30.0, "a")], nothing, {})
        made._jobs.start(paused=True)
        due(made, 0)
        made._shift(3600.0)
        due(made, 3630)
        made.plan([], nothing, {})
        due(made, 9000, EVENT_JOB_MAX_INSTANCES)
        made.plan([Plan("p", "each", 30.0, "a")], nothing, {})
        due(made, 9000)
        made.stop()

    asyncio.run(live())
    assert counted.count == 0


def test_a_clock_set_back_does_not_stop_the_polls(caplog: pytest.LogCaptureFixture) -> None:
    """Only the offset is set back an hour, so the poll that is due in an hour moves to now."""
    polled: list[str] = []

    async def poll() -> None:
        offset = Offset()
        made = Scheduler(Missed(), offset)

        async def run(plan: Plan) -> None:
            polled.append(plan.key)

        made.plan([Plan("p", "each", 3600.0, "a")], run, {})
        made.start()
        await wait_until(lambda: bool(polled))
        offset.step = -3600
        made._jobs.wakeup()
        await wait_until(lambda: len(polled) == 2)
        made.stop()

    asyncio.run(poll())
    assert caplog.records == [], "nothing failed inside APScheduler"


@pytest.mark.parametrize("step", [3600.0, -3600.0], ids=["forward", "back"])
def test_a_step_of_the_clock_moves_what_is_due_with_it(step: float) -> None:
    """On the clock as it is then, each poll is as far away as before; none is missed, none comes in a burst."""
    missed, offset = Missed(), Offset()
    polled: list[str] = []

    async def poll() -> None:
        made = Scheduler(missed, offset)

        async def run(plan: Plan) -> None:
            polled.append(plan.key)

        made.plan([Plan("p", "each", 90_000.0, "a")], run, {})
        made.start()
        await wait_until(lambda: bool(polled))
        before = made.next_polls()["each/p/a"]
        offset.step = step
        made._jobs.wakeup()
        await wait_until(lambda: made.next_polls()["each/p/a"] != before)
        moved = (made.next_polls()["each/p/a"] - before).total_seconds()
        assert moved == pytest.approx(step, abs=1)
        made.stop()

    with structlog.testing.capture_logs() as lines:
        asyncio.run(poll())
    assert (polled, missed.count) == (["a"], 0)
    fields = {"log_level": "warning", "step": f"{step:+.1f}s", "effect": "poll intervals unchanged"}
    assert lines == [{"event": "system clock changed", **fields}]


EACH = {key: Plan("p", "each", 3600.0, key) for key in "abc"}


def planned(first: list[Plan], second: list[Plan], kept: frozenset[str]) -> tuple[dict[str, datetime], ...]:
    """When what is planned is due, before and after another plan takes the place of the first."""

    async def plan() -> tuple[dict[str, datetime], ...]:
        made = Scheduler(Missed())
        made.start()
        times = []
        for plans in (first, second):
            made.plan(plans, nothing, {"p": 1000.0, "q": 1000.0}, kept)
            times.append(made.next_polls())
        made.stop()
        return tuple(times)

    return asyncio.run(plan())


def test_a_kept_project_keeps_its_times() -> None:
    before, after = planned([EACH["a"], EACH["b"]], [EACH["b"], EACH["a"]], frozenset({"p"}))
    assert after == before


def test_a_deployment_that_comes_to_a_kept_project_is_polled_and_one_that_leaves_is_not() -> None:
    before, after = planned([EACH["a"], EACH["b"]], [EACH["b"], EACH["c"]], frozenset({"p"}))
    assert after["each/p/b"] == before["each/p/b"]
    assert set(after) == {"each/p/b", "each/p/c"}


def test_another_interval_is_another_time_also_in_a_kept_project() -> None:
    before, after = planned([EACH["a"], EACH["b"]], [Plan("p", "each", 60.0, "b")], frozenset({"p"}))
    assert after["each/p/b"] < before["each/p/b"]
    assert len(after) == 1


def test_a_changed_project_is_polled_at_once_and_others_keep_their_times() -> None:
    plans = [*EACH.values(), Plan("q", "list", 3600.0)]
    before, after = planned(plans, [EACH["c"], Plan("q", "list", 3600.0)], frozenset({"q"}))
    assert after["list/q/"] == before["list/q/"]
    assert (after["each/p/c"] - before["each/p/a"]).total_seconds() < 10, "it was to be polled after 2,000 s"


def test_first_polls_follow_each_other_at_their_projects_gap() -> None:
    plans = [EACH["a"], Plan("q", "list", 30.0), EACH["b"]]
    assert [first for _, first, _ in spread(plans, {"p": 0.2, "q": 0.5})] == [0, 0, 0.2]


def test_what_runs_is_what_the_last_plan_says() -> None:
    ran: list[str] = []

    async def plan() -> None:
        made = Scheduler(Missed())

        async def old(_: Plan) -> None:
            ran.append("old")

        async def new(_: Plan) -> None:
            ran.append("new")

        made.plan([EACH["a"]], old, {}, frozenset({"p"}))
        made.plan([EACH["a"]], new, {}, frozenset({"p"}))
        made.start()
        await wait_until(lambda: bool(ran))
        made.stop()

    asyncio.run(plan())
    assert ran == ["new"]


def test_a_poll_that_is_cancelled_is_no_failed_job(caplog: pytest.LogCaptureFixture) -> None:
    async def plan() -> None:
        made = Scheduler(Missed())
        polls: list[asyncio.Task[object] | None] = []

        async def run(_: Plan) -> None:
            polls.append(asyncio.current_task())
            await asyncio.Event().wait()

        made.plan([EACH["a"]], run, {})
        made.start()
        await wait_until(lambda: bool(polls))
        (task,) = polls
        assert task is not None
        task.cancel()
        await wait_until(task.done)
        made.stop()

    asyncio.run(plan())
    assert not caplog.records


async def nothing(_: Plan) -> None:
    return


async def wait_until(condition: Callable[[], bool]) -> None:
    """Turns the loop until the condition holds, at most 30 s."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)
