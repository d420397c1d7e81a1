"""Schedules polls: immediately, then evenly spread; no overlapping polls; missed polls are counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_SUBMITTED, JobSubmissionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from exporter.polling.plan import Plan

CLOCK_CHECK = 5.0  # s between checks for steps of the system clock
CLOCK_STEP = 1.0  # s; a larger drift against the monotonic clock is a step

MIN_SECOND_POLL = 0.5  # of an interval; minimum time between the first and the second poll

Run = Callable[[Plan], Awaitable[object]]
log = structlog.get_logger()


class Spread(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 ships no types
    """At `first`, once more `phase` seconds later, then every `interval` seconds."""

    def __init__(self, first: datetime, phase: float, interval: float) -> None:
        self._first = first
        self._phase = timedelta(seconds=phase)
        self._interval = timedelta(seconds=interval)

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:  # noqa: ARG002 - APScheduler's
        if previous is None:
            return self._first
        return previous + (self._phase if previous == self._first else self._interval)


class SteadyScheduler(AsyncIOScheduler):  # type: ignore[misc]  # APScheduler 3 ships no types
    """Compensates for steps of the system clock, which APScheduler uses: set back an hour, it would not poll for an
    hour."""

    def __init__(self, on_step: Callable[[float], None], clock_offset: Callable[[], float]) -> None:
        super().__init__(timezone=UTC)
        self._on_step = on_step
        self._clock_offset = clock_offset
        self._offset = clock_offset()

    def _process_jobs(self) -> float:
        step = self._clock_offset() - self._offset
        if abs(step) >= CLOCK_STEP:
            self._offset += step
            self._on_step(step)
        wait = super()._process_jobs()
        return CLOCK_CHECK if wait is None else min(float(wait), CLOCK_CHECK)


class Scheduler:
    """Runs plans; must be started in the event loop. `count_missed`: called with the number of missed polls.

    `clock_offset`: system clock minus monotonic clock, in seconds; changes when the clock is set."""

    def __init__(
        self,
        count_missed: Callable[[int], object],
        clock_offset: Callable[[], float] = lambda: time.time() - time.monotonic(),
    ) -> None:
        self._missed = count_missed
        self._last: dict[str, datetime] = {}  # last due time by plan ID
        self._intervals: dict[str, float] = {}
        self._jobs = SteadyScheduler(self._shift, clock_offset)
        self._jobs.add_listener(self._count_missed, EVENT_JOB_SUBMITTED | EVENT_JOB_MAX_INSTANCES)

    def start(self) -> None:
        self._jobs.start()

    def stop(self) -> None:
        """Starts no more polls and cancels those in flight."""
        self._jobs.shutdown(wait=False)

    def next_polls(self) -> dict[str, datetime]:
        """When each plan is due next, by plan ID."""
        return {job.id: job.next_run_time for job in self._jobs.get_jobs()}

    def plan(
        self, plans: Sequence[Plan], run: Run, gaps: Mapping[str, float], kept: Container[str] = frozenset()
    ) -> None:
        """Replaces all plans. Existing plans of the projects in `kept` keep their times.

        `gaps`: seconds between first polls by project, to avoid a burst of requests."""
        by_id = {plan.id: plan for plan in plans}
        for job in self._jobs.get_jobs():
            plan = by_id.get(job.id)
            if plan is None or plan.project not in kept or self._intervals[job.id] != plan.interval:
                job.remove()
                del self._intervals[job.id]
                self._last.pop(job.id, None)
        for plan, first, phase in spread(list(by_id.values()), gaps):
            if plan.id in self._intervals:
                self._jobs.modify_job(plan.id, args=(plan, run))
            else:
                self._add(plan, run, first, phase)

    def _add(self, plan: Plan, run: Run, first: float, phase: float) -> None:
        self._intervals[plan.id] = plan.interval
        self._jobs.add_job(
            _run_one,
            Spread(datetime.now(UTC) + timedelta(seconds=first), phase, plan.interval),
            args=(plan, run),
            id=plan.id,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,  # the default drops runs that are a second late
        )

    def _count_missed(self, event: JobSubmissionEvent) -> None:
        """APScheduler merges late runs and skips overlapping ones; both count as missed."""
        interval = self._intervals.get(event.job_id)
        if interval is None:
            return
        due = event.scheduled_run_times[-1]
        last = self._last.get(event.job_id)
        self._last[event.job_id] = due
        merged = round((due - last).total_seconds() / interval) - 1 if last is not None else 0
        skipped = event.code == EVENT_JOB_MAX_INSTANCES
        self._missed(max(merged, 0) + skipped)

    def _shift(self, step: float) -> None:
        log.warning("system clock changed", step=f"{step:+.1f}s", effect="poll intervals unchanged")
        move = timedelta(seconds=step)
        self._last = {plan: moment + move for plan, moment in self._last.items()}
        for job in self._jobs.get_jobs():
            job.modify(next_run_time=job.next_run_time + move)


def spread(plans: Sequence[Plan], gaps: Mapping[str, float]) -> list[tuple[Plan, float, float]]:
    """(plan, seconds until its first poll, seconds from there to its second).

    First polls are separated by the project's gap. Second polls are spread over one interval that begins half an
    interval later, so that none directly follows a first poll."""
    seen: dict[str, int] = {}
    result = []
    for index, plan in enumerate(plans):
        position = seen[plan.project] = seen.get(plan.project, -1) + 1
        share = (index + 1) / len(plans)
        phase = plan.interval * (share if share >= MIN_SECOND_POLL else share + 1)
        result.append((plan, position * gaps.get(plan.project, 0.0), phase))
    return result


async def _run_one(plan: Plan, run: Run) -> None:
    try:
        await run(plan)
    except asyncio.CancelledError:
        return  # on shutdown; APScheduler would log a failed job
