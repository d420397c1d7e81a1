"""From answers to pages without HTTP: what a poll commits and the renderer makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from exporter.api.errors import ApiError
from exporter.api.listing import ListReader
from exporter.api.models import read_deployment, read_queue
from exporter.metrics.page import Format, Page
from exporter.metrics.render import Renderer
from exporter.state.instant import Instant
from exporter.state.projects import (
    after_failed_list,
    after_failed_one,
    after_list,
    after_one,
    after_queue,
)
from exporter.state.records import Project, Shown, Snapshot, Target
from exporter.state.store import Store

T = TypeVar("T")
_RUNNER = asyncio.Runner()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """In one event loop for all tests: a new one for each costs more than most tests."""
    return _RUNNER.run(coroutine)


def at(second: float) -> Instant:
    return Instant(second, 1_775_001_600.0 + second)


class Pipeline:
    """The answers of some projects, and the page of them."""

    def __init__(self, *targets: Target, prices: Mapping[str, float] | None = None) -> None:
        self.store = Store(targets)
        self._readers = {target.project: ListReader() for target in targets}
        self._renderer = Renderer(prices or {})

    def one(self, project: str, key: str, answer: bytes | ApiError, second: float = 0.0) -> None:
        """One deployment's poll."""
        before = self._project(project)
        try:
            if isinstance(answer, ApiError):
                raise answer
            after = run(after_one(before, key, read_deployment(answer), at(second)))
        except ApiError as error:
            after = after_failed_one(before, key, error)
        assert self.store.commit(before, after)

    def list(self, project: str, answer: bytes | ApiError, second: float = 0.0) -> None:
        """A list's poll."""
        before = self._project(project)
        limit = before.target.limits.max_deployments_per_project
        try:
            if isinstance(answer, ApiError):
                raise answer
            listing = run(self._readers[project].read(answer, before.target.wants, limit))
            after = run(after_list(before, listing, at(second)))
        except ApiError as error:
            after = after_failed_list(before, error)
        assert self.store.commit(before, after)

    def queue(self, project: str, queue: str, answer: bytes, second: float = 0.0) -> None:
        before = self._project(project)
        assert self.store.commit(before, after_queue(before, queue, read_queue(answer), at(second)))

    def snapshot(self, second: float = 0.0) -> Snapshot:
        return run(self.store.snapshot(at(second)))

    def shown(self, second: float = 0.0) -> dict[str, Shown]:
        """By the label `deployment`."""
        return {shown.name: shown for shown in self.snapshot(second).deployments}

    def page(self, second: float = 0.0) -> Page:
        return run(self._renderer.render(self.snapshot(second)))

    def text(self, second: float = 0.0, format_: Format = "text") -> str:
        return b"".join(self.page(second).pieces(format_)).decode()

    def _project(self, name: str) -> Project:
        project = self.store.project(name)
        assert project is not None
        return project
