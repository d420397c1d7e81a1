"""One poll: ask the API, hand the outcome to the store, count it, and log what changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal

import structlog

from exporter.api.client import Client
from exporter.api.errors import ApiError
from exporter.api.models import MAX_ENTRIES, MAX_LABEL, Reading
from exporter.instrumentation import Instrumentation
from exporter.records import Instant
from exporter.slices import in_slices
from exporter.store import Change, ListChange, Store

Fetch = Literal["each", "list", "queue"]
BUG = "internal_error"  # a failure's reason where the fault is ours

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is polled on one timer: a deployment (`each`, with its key), a project (`list`), or a project's queues.

    `interval` is seconds."""

    project: str
    fetch: Fetch
    interval: float
    key: str = ""

    @property
    def id(self) -> str:
        return f"{self.fetch}/{self.project}/{self.key}"


class Poller:
    """Polls one project; `clock` gives the moment."""

    def __init__(
        self,
        client: Client,
        store: Store,
        instrumentation: Instrumentation,
        clock: Callable[[], Instant],
    ) -> None:
        self._project = client.project
        self._client = client
        self._store = store
        self._instrumentation = instrumentation
        self._clock = clock
        self._told: defaultdict[str, set[str]] = defaultdict(set)  # by deployment: what was logged already
        self._queue_errors: dict[str, str] = {}  # by deployment: why its queue could not be read
        self._log = log.bind(project=self._project)
        self._running: set[asyncio.Task[object]] = set()
        self.last_poll: Instant | None = None  # when one ended, well or not

    async def poll(self, plan: Plan) -> bool:
        """Runs one poll to its end; whether it worked. Never raises but for cancellation."""
        started = self._clock().monotonic
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
        try:
            return await self._outcome(plan)
        except Exception:
            self._instrumentation.poll_failures.labels(self._project, plan.fetch, BUG).inc()
            self._log.exception("poll broke: please report this", fetch=plan.fetch, next_in=f"{plan.interval:g}s")
            return False
        finally:
            self._running.discard(task)
            self.last_poll = self._clock()
            duration = self.last_poll.monotonic - started
            self._instrumentation.poll_duration.labels(self._project, plan.fetch).observe(duration)
            self._instrumentation.polls.labels(self._project, plan.fetch).inc()

    async def names(self) -> list[str]:
        """The names and IDs that the key sees, whatever is configured; none where they cannot be read."""
        try:
            readings = await self._client.deployments()
        except ApiError:
            return []
        known = (name for reading in readings for name in (reading.deployment.name, reading.deployment.id))
        return [name for name in known if name]

    async def retire(self) -> None:
        """Ends what is on its way and closes the connections; counts nothing from then on."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._client.close()

    async def _outcome(self, plan: Plan) -> bool:
        if plan.fetch == "queue":
            return await self._poll_queues(plan)
        try:
            await (self._poll_list() if plan.fetch == "list" else self._poll_deployment(plan.key))
        except ApiError as error:
            self._fail(plan, error)
            return False
        return True

    async def _poll_deployment(self, key: str) -> None:
        reading = await self._client.deployment(key)
        change = self._store.apply(self._project, key, reading.deployment, self._clock())
        if change is not None:
            self._report(change)
            self._report_reading(key, reading)

    async def _poll_list(self) -> None:
        readings = await self._client.deployments()
        result = await in_slices(self._store.applying_list(self._project, readings, self._clock()))
        await in_slices(self._report_list(result))

    def _report_list(self, result: ListChange) -> Generator[None, None, None]:
        """A step is one line of the log, or none."""
        for change in result.changes:
            self._report(change)
            yield
        for key, reading in result.not_whole:
            self._report_reading(key, reading)
            yield
        for record in result.gone:
            self._told.pop(record.key, None)
            self._queue_errors.pop(record.key, None)
            self._log.info("deployment gone", deployment=record.name, reason="no longer in the project's list")
            yield
        self._drop(
            "deployment_limit", result.dropped, "", "too many deployments", setting="max_deployments_per_project"
        )
        self._drop("invalid_value", result.nameless, "", "listed without an ID and a name", "id", "name")
        for key in result.aliases:
            self._drop("duplicate_deployment", 1, key, "configured twice, by name and by ID")
        for key in result.repeated:
            self._drop("duplicate_deployment", 1, key, "listed more than once; the last one counts")

    async def _poll_queues(self, plan: Plan) -> bool:
        """Each queue by itself: one that cannot be read leaves the others alone."""
        results = [await self._poll_queue(key, model, plan) for key, model in self._store.queued(self._project)]
        return all(results)

    async def _poll_queue(self, key: str, model: str, plan: Plan) -> bool:
        try:
            self._store.apply_queue(self._project, key, await self._client.queue(model), self._clock())
        except ApiError as error:
            self._instrumentation.poll_failures.labels(self._project, plan.fetch, error.reason).inc()
            if self._queue_errors.get(key) != error.reason:
                self._queue_errors[key] = error.reason
                self._warn("queue poll failed", error, plan, model=model)
            return False
        if self._queue_errors.pop(key, None):
            self._log.info("queue poll recovered", model=model)
        return True

    def _fail(self, plan: Plan, error: ApiError) -> None:
        self._instrumentation.poll_failures.labels(self._project, plan.fetch, error.reason).inc()
        if plan.fetch == "list":
            if self._store.fail_list(self._project, error):
                self._warn("poll failed", error, plan)
            return
        change = self._store.fail(self._project, plan.key, error)
        if change is not None and change.new_error:
            self._warn("poll failed", error, plan, deployment=change.record.name)

    def _report(self, change: Change) -> None:
        record = change.record
        if change.new_error and record.error is not None:
            self._log.warning("deployment not found", deployment=record.name, reason=str(record.error))
        if change.recovered:
            self._log.info("poll recovered", deployment=record.name)
        if change.transition is not None:
            before, after = change.transition
            self._log.info("status changed", deployment=record.name, before=before, after=after)
        if change.replicas_dropped:
            limit = "max_replicas_per_deployment"
            self._drop("replica_limit", change.replicas_dropped, record.key, "too many replicas", setting=limit)
        if change.duplicate:
            hint = "another deployment has this name already; its series are shown"
            self._drop("duplicate_deployment", 1, record.key, hint, deployment=record.name)

    def _report_reading(self, key: str, reading: Reading) -> None:
        for reason, fields, message in (
            ("invalid_value", reading.refused, "values that cannot be read are left out"),
            ("label_length_limit", reading.losses.cut, f"values longer than {MAX_LABEL} characters are cut"),
            ("entry_limit", reading.losses.over, f"entries beyond {MAX_ENTRIES} are left out"),
        ):
            self._drop(reason, len(fields), key, message, *fields)

    def _drop(self, reason: str, count: int, key: str, message: str, *fields: str, **details: str) -> None:
        """Counts what is left out; logs it the first time, and again where another field joins."""
        if not count:
            return
        self._instrumentation.series_dropped.labels(reason).inc(count)
        told = {f"{message} {field}" for field in fields or ("",)}
        if not told <= self._told[key]:
            self._told[key] |= told
            where = {"deployment": key} if key else {}
            named = {"fields": ",".join(sorted(set(fields)))} if fields else {}
            self._log.warning(message, dropped=count, **{**where, **named, **details})

    def _warn(self, message: str, error: ApiError, plan: Plan, **details: str) -> None:
        self._log.warning(message, **details, reason=error.reason, error=str(error), next_in=f"{plan.interval:g}s")
