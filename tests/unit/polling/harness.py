"""One project's poller over an API that answers what a test says, on a clock that a test sets."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from exporter.api.errors import ApiError
from exporter.api.rate_limit import Request
from exporter.metrics.render import Renderer
from exporter.polling.fetches import Name
from exporter.polling.plan import Plan
from exporter.polling.poller import Poller
from exporter.polling.reporting import Reporter
from exporter.self_metrics import SelfMetrics
from exporter.state.instant import Instant
from exporter.state.records import Project, Target
from exporter.state.store import Store

Read = TypeVar("Read")
Answer = bytes | Exception | Callable[[], Awaitable[bytes]]
QUEUE_BODY = b'{"messages_waiting": 7, "messages_running": 2}'


def one(name: str = "chat", id_: str = "dep_1", **fields: Any) -> dict[str, Any]:
    return {"id": id_, "name": name, "status": "Ready", "ready_replicas": 3, **fields}


def body(**fields: Any) -> bytes:
    """The answer about one deployment."""
    return json.dumps(one(**fields)).encode()


def listed(*items: Mapping[str, Any], **more: Any) -> bytes:
    return json.dumps({"object": "list", "data": items, **more}).encode()


class FakeApi:
    """Answers by path, or by the name of the queue. An exception is raised, a callable is awaited."""

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        self.answers: dict[str, Answer] = dict(answers or {})
        self.requests: list[Request] = []
        self.intervals: list[float] = []
        self.is_closed = False

    async def fetch(self, request: Request, interval: float, read: Callable[[bytes, float], Awaitable[Read]]) -> Read:
        self.requests.append(request)
        self.intervals.append(interval)
        answer = self.answers[dict(request.query).get("model", request.path)]
        if isinstance(answer, Exception):
            raise answer
        return await read(answer if isinstance(answer, bytes) else await answer(), 1e9)

    async def close(self) -> None:
        self.is_closed = True


class RacingStore(Store):
    """Commits the next of `rivals` just before a poll does."""

    def __init__(self, target: Target) -> None:
        super().__init__([target])
        self.rivals: list[Callable[[Project], Project | None]] = []

    def commit(self, before: Project, after: Project) -> bool:
        if self.rivals:
            rival = self.rivals.pop()(before)
            if rival is not None:
                assert super().commit(before, rival)
        return super().commit(before, after)


class Harness:
    """`second`: the time, on both clocks."""

    def __init__(self, target: Target, answers: Mapping[str, Answer] | None = None) -> None:
        self.second = 0.0
        self.api = FakeApi(answers)
        self.store = RacingStore(target)
        self.metrics = SelfMetrics(runtime=False)
        self.commits = 0
        self._renderer = Renderer({})
        self.replace_poller()

    def replace_poller(self) -> None:
        """As a reload does for a project whose configuration changed."""
        self.poller = Poller(self.api, self.store, Reporter("p", self.metrics), self.now, self._committed)

    def now(self) -> Instant:
        return Instant(self.second, 1_775_001_600.0 + self.second)

    async def poll(self, fetch: Name, key: str = "") -> bool:
        return await self.poller.poll(Plan("p", fetch, 30.0, key))

    @property
    def project(self) -> Project:
        project = self.store.project("p")
        assert project is not None
        return project

    async def lines(self) -> set[str]:
        """The samples of the page as of now."""
        page = await self._renderer.render(await self.store.snapshot(self.now()))
        text = b"".join(page.pieces("text")).decode()
        return {line for line in text.splitlines() if not line.startswith("#")}

    async def shows(self, line: str) -> bool:
        return line in await self.lines()

    def count(self, metric: str, **labels: str) -> float:
        return self.metrics.polling.get_sample_value(metric, {"project": "p", **labels}) or 0.0

    def failures(self) -> dict[tuple[str, str], float]:
        """By fetch and reason, those that were counted."""
        found: defaultdict[tuple[str, str], float] = defaultdict(float)
        for metric in self.metrics.poll_failures.collect():
            for sample in metric.samples:
                found[sample.labels["fetch"], sample.labels["reason"]] += sample.value
        return {key: count for key, count in found.items() if count}

    def _committed(self) -> None:
        self.commits += 1


def error(kind: type[ApiError]) -> ApiError:
    return kind(f"an error of the class {kind.__name__}")


class Gate:
    """Holds up answers until it is opened."""

    def __init__(self, answer: bytes | Exception) -> None:
        self._answer = answer
        self._open = asyncio.Event()
        self.reached = asyncio.Event()

    async def __call__(self) -> bytes:
        self.reached.set()
        await self._open.wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def open(self) -> None:
        self._open.set()
