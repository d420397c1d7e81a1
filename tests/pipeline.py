"""From answers to pages without HTTP: what a poll commits and the renderer makes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from exporter.api.errors import ERRORS, ApiError
from exporter.api.listing import ListReader
from exporter.api.reading import read_deployment, read_queue, read_revision
from exporter.metrics.page import Format, Page
from exporter.metrics.render import Renderer
from exporter.state.instant import Instant
from exporter.state.projects import (
    after_failed_list,
    after_failed_one,
    after_failed_queue,
    after_failed_revision,
    after_list,
    after_one,
    after_queue,
    after_revision,
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


def deployment(id_: str, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """One item of the API's list."""
    return {"id": id_, "name": id_ if name is None else name, **fields}


def answer(value: object) -> bytes:
    return json.dumps(value).encode()


def listing(*items: Any, **more: Any) -> bytes:
    """The API's list; `more`: further fields of the answer, such as has_more."""
    return answer({"object": "list", "data": items, **more})


def failure(reason: str) -> ApiError:
    """A failed poll with this label value of `reason`."""
    return next(error for error in ERRORS if error.reason == reason)("HTTP 5xx")


def _reader(target: Target) -> ListReader:
    return ListReader(frozenset(target.labels.variables))


class Pipeline:
    """The answers of some projects, and the page of them."""

    def __init__(self, *targets: Target, prices: Mapping[str, float] | None = None) -> None:
        self.store = Store(targets)
        self._readers = {target.project: _reader(target) for target in targets}
        self._renderer = Renderer(prices or {})

    def one(self, project: str, key: str, answer: bytes | ApiError, second: float = 0.0) -> None:
        """One deployment's poll."""
        before = self._project(project)
        try:
            if isinstance(answer, ApiError):
                raise answer
            after = run(
                after_one(before, key, read_deployment(answer, frozenset(before.target.labels.variables)), at(second))
            )
        except ApiError as error:
            after = after_failed_one(before, key, error)
        assert self.store.commit(before, after)

    def list(self, project: str, answer: bytes | ApiError, second: float = 0.0) -> None:
        """A list's poll."""
        run(self.polled_list(project, answer, second))

    async def polled_list(self, project: str, answer: bytes | ApiError, second: float = 0.0) -> None:
        """The same inside an event loop; built again where somebody else committed in between."""
        while (before := self.store.project(project)) is not None:
            limit = before.target.limits.max_deployments_per_project
            try:
                if isinstance(answer, ApiError):
                    raise answer
                read = await self._readers[project].read(answer, before.target.wants, limit)
                after = await after_list(before, read, at(second))
            except ApiError as error:
                after = after_failed_list(before, error)
            if self.store.commit(before, after):
                return

    def failed_list(self, project: str, error: ApiError) -> None:
        """A list's poll that fails, also while another list is applied."""
        before = self._project(project)
        assert self.store.commit(before, after_failed_list(before, error))

    def queue(self, project: str, queue: str, answer: bytes | ApiError, second: float = 0.0) -> None:
        """A queue's poll."""
        before = self._project(project)
        try:
            if isinstance(answer, ApiError):
                raise answer
            after = after_queue(before, queue, read_queue(answer), at(second))
        except ApiError as error:
            after = after_failed_queue(before, queue, error, at(second))
        assert self.store.commit(before, after)

    def revision(self, project: str, key: str, answer: bytes | ApiError, second: float = 0.0) -> None:
        """The poll of a deployment's newest revision."""
        before = self._project(project)
        try:
            if isinstance(answer, ApiError):
                raise answer
            after = after_revision(before, key, read_revision(answer), at(second))
        except ApiError as error:
            after = after_failed_revision(before, key, error, at(second))
        assert self.store.commit(before, after)

    def configure(self, *targets: Target) -> None:
        """A reload."""
        self.store.configure(targets)
        self._readers = {target.project: self._readers.get(target.project) or _reader(target) for target in targets}

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
