"""THE table: every kind of request to the API, one row each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from exporter.api.client import Request
from exporter.api.errors import ApiError
from exporter.api.listing import ListReader
from exporter.api.models import Queue, Reading, read_deployment, read_queue
from exporter.state.instant import Instant
from exporter.state.projects import (
    after_failed_list,
    after_failed_one,
    after_failed_queue,
    after_list,
    after_one,
    after_queue,
    queues_of,
)
from exporter.state.records import Project, Target

Name = Literal["each", "list", "queue"]  # label values of `fetch`
Answer = Any  # each row has its own, from `reader` to `after`
Reader = Callable[[bytes, Target, float], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Fetch:
    """`name`: the label `fetch`. `reader`: makes what reads one project's bodies, which may remember the previous one.
    `after`, `after_failed`: the project's next value, of (project, subject, answer or error).
    `subjects`: what one poll of the whole project asks for; None where each deployment is polled by itself."""

    name: Name
    request: Callable[[str], Request]
    reader: Callable[[], Reader]
    after: Callable[[Project, str, Answer, Instant], Awaitable[Project]]
    after_failed: Callable[[Project, str, ApiError], Project]
    subjects: Callable[[Project], list[str]] | None = None


def _list_reader() -> Reader:
    lists = ListReader()
    return lambda body, target, deadline: lists.read(
        body, target.wants, target.limits.max_deployments_per_project, deadline
    )


async def _read_deployment(body: bytes, _: Target, __: float) -> Reading:
    return read_deployment(body)


async def _read_queue(body: bytes, _: Target, __: float) -> Queue:
    return read_queue(body)


async def _after_queue(project: Project, queue: str, counts: Queue, now: Instant) -> Project:
    return after_queue(project, queue, counts, now)


FETCHES: dict[Name, Fetch] = {
    fetch.name: fetch
    for fetch in (
        Fetch(
            "each",
            lambda key: Request(f"deployments/{quote(key, safe='')}"),
            lambda: _read_deployment,
            after_one,
            after_failed_one,
        ),
        Fetch(
            "list",
            lambda _: Request("deployments"),
            _list_reader,
            lambda project, _, listing, now: after_list(project, listing, now),
            lambda project, _, error: after_failed_list(project, error),
            subjects=lambda _: [""],
        ),
        Fetch(
            "queue",
            lambda queue: Request("queue/metrics", (("model", queue),)),
            lambda: _read_queue,
            _after_queue,
            after_failed_queue,
            subjects=lambda project: queues_of(project.records, project.target),
        ),
    )
}
