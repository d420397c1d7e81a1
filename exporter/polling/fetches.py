"""The table of all API requests, one row each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from exporter.api.errors import ApiError, InvalidResponse, NotFound
from exporter.api.listing import ListReader
from exporter.api.models import Queue, Revision
from exporter.api.rate_limit import Request
from exporter.api.reading import Reading, read_deployment, read_queue, read_revision
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
    due_queues,
    due_revisions,
)
from exporter.state.records import Project, Target

Name = Literal["each", "list", "queue", "revisions"]  # label values of `fetch`
Answer = Any  # each row has its own, from `reader` to `after`
Reader = Callable[[bytes, Target, float], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Fetch:
    """`name`: the label `fetch`. `reader`: creates the reader of a project's bodies, which may cache the previous one.
    `after`, `after_failed`: the project's next value, of (project, subject, response or error, now).
    `failure`: translates errors of the request.
    `subjects`: subjects of a poll of the whole project; None if each deployment has its own poll.
    `is_opt_in`: depends on responses about deployments; disabled for a while if refused.
    `is_sequential`: one request at a time, until one fails or half of the interval has passed, because there may be
    one request per deployment and other fetches must not be delayed."""

    name: Name
    request: Callable[[str], Request]
    reader: Callable[[Target], Reader]
    after: Callable[[Project, str, Answer, Instant], Awaitable[Project]]
    after_failed: Callable[[Project, str, ApiError, Instant], Project]
    subjects: Callable[[Project, Instant], list[str]] | None = None
    failure: Callable[[ApiError], ApiError] = lambda error: error
    is_opt_in: bool = False
    is_sequential: bool = False


def _variables(target: Target) -> frozenset[str]:
    """Environment variables whose plain values become labels."""
    return frozenset(target.labels.variables)


def _list_reader(target: Target) -> Reader:
    lists = ListReader(_variables(target))
    return lambda body, target, deadline: lists.read(
        body, target.wants, target.limits.max_deployments_per_project, deadline
    )


def _list_failure(error: ApiError) -> ApiError:
    """A 404 for the list means a wrong base_url; it never removes deployments."""
    return InvalidResponse(str(error), request_id=error.request_id) if isinstance(error, NotFound) else error


async def _read_deployment(body: bytes, target: Target, _: float) -> Reading:
    return read_deployment(body, _variables(target))


async def _read_queue(body: bytes, _: Target, __: float) -> Queue:
    return read_queue(body)


async def _read_revision(body: bytes, _: Target, __: float) -> Revision:
    return read_revision(body)


async def _after_revision(project: Project, key: str, newest: Revision, now: Instant) -> Project:
    return after_revision(project, key, newest, now)


async def _after_queue(project: Project, queue: str, counts: Queue, now: Instant) -> Project:
    return after_queue(project, queue, counts, now)


FETCHES: dict[Name, Fetch] = {
    fetch.name: fetch
    for fetch in (
        Fetch(
            "each",
            lambda key: Request(f"deployments/{quote(key, safe='')}"),
            lambda _: _read_deployment,
            after_one,
            lambda project, key, error, _: after_failed_one(project, key, error),
        ),
        Fetch(
            "list",
            lambda _: Request("deployments"),
            _list_reader,
            lambda project, _, listing, now: after_list(project, listing, now),
            lambda project, _, error, __: after_failed_list(project, error),
            subjects=lambda _, __: [""],
            failure=_list_failure,
        ),
        Fetch(
            "queue",
            lambda queue: Request("queue/metrics", (("model", queue),), "queue"),
            lambda _: _read_queue,
            _after_queue,
            after_failed_queue,
            subjects=due_queues,
            is_opt_in=True,
        ),
        Fetch(
            "revisions",
            lambda key: Request(f"deployments/{quote(key, safe='')}/revisions", (("limit", "1"),), "revisions"),
            lambda _: _read_revision,
            _after_revision,
            after_failed_revision,
            subjects=due_revisions,
            is_opt_in=True,
            is_sequential=True,
        ),
    )
}
