"""Runs polls: request, commit the new project value, report the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from exporter.api.client import Answer as Read
from exporter.api.errors import ApiError, InternalError
from exporter.api.rate_limit import Request
from exporter.polling.fetches import FETCHES, Fetch, Reader
from exporter.polling.plan import Plan
from exporter.polling.reporting import Reporter
from exporter.state.instant import Instant
from exporter.state.records import Project, Target
from exporter.state.store import Store

MAX_REBUILDS = 100  # of a value after concurrent commits, which are few and quick


class Api(Protocol):
    """Interface of the API client. Raises ApiError."""

    async def fetch(
        self, request: Request, interval: float, read: Callable[[bytes, float], Awaitable[Read]]
    ) -> Read: ...

    async def close(self) -> None: ...


class Poller:
    """Polls one project. `clock`: current time; `committed`: called after each commit."""

    def __init__(
        self,
        api: Api,
        store: Store,
        reporter: Reporter,
        clock: Callable[[], Instant],
        committed: Callable[[], object] = lambda: None,
    ) -> None:
        self._project = reporter.project
        self._api = api
        self._store = store
        self._reporter = reporter
        self._clock = clock
        self._committed = committed
        self._readers: dict[str, Reader] = {}  # by fetch
        self._running: set[asyncio.Task[object]] = set()
        self.last_poll: Instant | None = None  # end of the last poll, successful or not

    async def poll(self, plan: Plan) -> bool:
        """Runs one poll and returns whether it succeeded. Raises only on cancellation."""
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
        started = self._clock()
        try:
            errors = await self._subjects(plan)
            self.last_poll = self._clock()
            self._reporter.poll_ended(plan.fetch, self.last_poll.monotonic - started.monotonic, errors)
            self._committed()
            return not errors
        finally:
            self._running.discard(task)

    def cancel(self) -> None:
        """Cancels polls in flight; they commit nothing."""
        for task in self._running:
            task.cancel()

    async def close(self) -> None:
        """Cancels polls in flight and closes connections."""
        self.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._api.close()

    async def names(self) -> list[str]:
        """Names and IDs of all deployments of the project regardless of the configuration; empty on errors."""
        project = self._store.project(self._project)
        if project is None:
            return []
        everything = Target(self._project)
        reader = FETCHES["list"].reader(everything)
        try:
            listing = await self._api.fetch(
                FETCHES["list"].request(""), 0.0, lambda body, deadline: reader(body, everything, deadline)
            )
        except ApiError:
            return []
        return [name for item in listing.items for name in (item.name, item.id) if name]

    async def _subjects(self, plan: Plan) -> list[ApiError]:
        """Polls all subjects of the plan and returns the errors."""
        fetch = FETCHES[plan.fetch]
        project = self._store.project(self._project)
        if project is None:
            return []
        started = self._clock()
        subjects = [plan.key] if fetch.subjects is None else fetch.subjects(project, started)
        if fetch.is_sequential:
            return await self._sequentially(fetch, plan, subjects, until=started.monotonic + plan.interval / 2)
        outcomes = await asyncio.gather(*(self._one(fetch, plan, subject) for subject in subjects))
        return [error for error in outcomes if error is not None]

    async def _sequentially(self, fetch: Fetch, plan: Plan, subjects: list[str], until: float) -> list[ApiError]:
        """Stops at the first failure, whose error is returned, or at monotonic time `until`."""
        for subject in subjects:
            error = await self._one(fetch, plan, subject)
            if error is not None:
                return [error]
            if self._clock().monotonic >= until:
                break
        return []

    async def _one(self, fetch: Fetch, plan: Plan, subject: str) -> ApiError | None:
        try:
            return await self._expected(fetch, plan, subject)
        except Exception as error:
            return await self._failed(fetch, plan, subject, InternalError(type(error).__name__))

    async def _expected(self, fetch: Fetch, plan: Plan, subject: str) -> ApiError | None:

        async def read(body: bytes, deadline: float) -> object:
            project = self._store.project(self._project)
            if project is None:
                return None
            if plan.fetch not in self._readers:
                self._readers[plan.fetch] = fetch.reader(project.target)
            return await self._readers[plan.fetch](body, project.target, deadline)

        started = self._clock()
        try:
            answer = await self._api.fetch(fetch.request(subject), plan.interval, read)
        except ApiError as error:
            return await self._failed(fetch, plan, subject, fetch.failure(error))
        now = self._clock()
        before = await self._commit(lambda project: fetch.after(project, subject, answer, now))
        after = self._store.project(self._project)
        if before is not None and after is not None:
            took = now.monotonic - started.monotonic
            await self._reporter.succeeded(plan.fetch, subject, before, after, took)
        return None

    async def _failed(self, fetch: Fetch, plan: Plan, subject: str, error: ApiError) -> ApiError:
        error.__traceback__ = error.__context__ = None  # the store keeps the error; tracebacks would keep the body
        now = self._clock()
        before = await self._commit(lambda project: _at_once(fetch.after_failed(project, subject, error, now)))
        self._reporter.failed(plan, subject, before, error, now.monotonic)
        return error

    async def _commit(self, build: Callable[[Project], Awaitable[Project]]) -> Project | None:
        """Commits the value returned by `build` and returns the previous one, or None if the project is no longer
        configured. Rebuilds after concurrent commits."""
        for _ in range(MAX_REBUILDS):
            before = self._store.project(self._project)
            if before is None:
                return None
            if self._store.commit(before, await build(before)):
                self._committed()
                return before
        raise RuntimeError("the project's value changed too often")


async def _at_once(project: Project) -> Project:
    return project
