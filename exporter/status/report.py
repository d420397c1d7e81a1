"""What is known, as the answer of /api/v1/status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from heapq import nsmallest
from typing import Literal
from urllib.parse import quote

from exporter.api.errors import ApiError, NotFound
from exporter.api.models import Replica as ListedReplica
from exporter.metrics.families import replicas_updated
from exporter.records import Instant, ProjectRecord, Record, View
from exporter.status.findings import findings, level
from exporter.status.model import DEPLOYMENT, LEVELS, STATUS, Deployment, Error, Level, Project, Replica, Status

NO_DEPLOYMENTS = b"[]}"  # how the JSON of a status without any ends
MOST_REPLICAS = 200  # of a deployment that are listed one by one


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """A project as it is configured, and its timers: seconds since 1970, None where there was or will be no poll.

    `error`: why its list could not be read."""

    name: str
    base_url: str
    fetch: Literal["each", "list"]
    poll_interval: float
    last_poll: float | None
    next_poll: float | None
    error: ApiError | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a report is made of. `started`: seconds since 1970."""

    version: str
    now: Instant
    started: float
    ready: bool
    configuration_error: str | None
    shard: tuple[int, int]
    projects: tuple[ProjectFacts, ...]
    view: View


def report(facts: Facts) -> Generator[None, None, Status]:
    """A step is one deployment."""
    urls = {project.name: project.base_url for project in facts.projects}
    deployments = []
    for record in facts.view.records:
        if record.project in urls:  # while a long list is put in place, the view may still be the one before a reload
            deployments.append(deployment(record, urls[record.project], facts.now))
        yield
    deployments.sort(key=lambda d: LEVELS.index(d.level))  # stable: by project and name below that
    yield
    counts: Counter[Level] = Counter(d.level for d in deployments)
    known = {project.project: project for project in facts.view.projects}
    errors = _errors(facts.view.records)
    return Status(
        version=facts.version,
        now=iso(facts.now.unix),
        started=iso(facts.started),
        ready=facts.ready,
        configuration_error=facts.configuration_error,
        shard_index=facts.shard[0],
        shard_total=facts.shard[1],
        levels={name: counts[name] for name in LEVELS},
        projects=tuple(
            _project(project, known.get(project.name), errors.get(project.name))
            for project in sorted(facts.projects, key=lambda project: project.name)
        ),
        deployments=tuple(deployments),
    )


def to_json(status: Status) -> Generator[None, None, bytes]:
    """The same as pydantic makes of it in one go; a step is one deployment."""
    frame = STATUS.dump_json(replace(status, deployments=())).removesuffix(NO_DEPLOYMENTS)
    items = []
    for each in status.deployments:
        items.append(DEPLOYMENT.dump_json(each))
        yield
    return b"".join((frame, b"[", b",".join(items), b"]}"))


def deployment(record: Record, base_url: str, now: Instant) -> Deployment:
    """One record; of what is stale only that it is."""
    found = findings(record)
    state, succeeded = record.state, record.succeeded
    about = Deployment(
        project=record.project,
        deployment=record.name,
        level=level(found),
        findings=found,
        up=record.up,
        error=error(record.error) if record.error else None,
        last_success=succeeded and iso(succeeded.unix),
        age_seconds=round(now.monotonic - succeeded.monotonic, 1) if succeeded else None,
    )
    if state is None:
        return about
    events = state.replica_events
    return replace(
        about,
        id=state.id,
        url=f"{base_url}/deployments/{quote(state.id, safe='')}" if state.id else None,
        status=state.status,
        ready_replicas=_count(state.ready_replicas),
        desired_replicas=_count(state.desired_replicas),
        min_replicas=_count(state.min_replicas),
        max_replicas=_count(state.max_replicas),
        gpu_type=state.gpu_type,
        gpus_per_replica=_count(state.gpu_count),
        image=state.image,
        revision=state.revision,
        replicas_listed=None if events is None else len(events),
        replicas_updated=_count(replicas_updated(state)),
        replicas=_replicas(events or {}),
    )


def error(failure: ApiError) -> Error:
    return Error(failure.reason, failure.in_words, failure.hint)


def iso(unix: float) -> str:
    """A moment with milliseconds."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _project(facts: ProjectFacts, known: ProjectRecord | None, of_deployments: ApiError | None) -> Project:
    failure = facts.error or (of_deployments if known is not None and not known.up else None)
    return Project(
        project=facts.name,
        up=known.up if known else None,
        deployments=known.deployments if known else 0,
        base_url=facts.base_url,
        fetch=facts.fetch,
        poll_interval_seconds=facts.poll_interval,
        last_poll=None if facts.last_poll is None else iso(facts.last_poll),
        next_poll=None if facts.next_poll is None else iso(facts.next_poll),
        error=error(failure) if failure else None,
    )


def _errors(records: Sequence[Record]) -> dict[str, ApiError]:
    """By project, the first of its deployments' errors that is not about one deployment alone."""
    found: dict[str, ApiError] = {}
    for record in records:
        if record.error is not None and not isinstance(record.error, NotFound):
            found.setdefault(record.project, record.error)
    return found


def _count(number: float | None) -> int | float | None:
    """Without a point where it is whole."""
    return int(number) if number is not None and number == int(number) else number


def _replicas(events: Mapping[str, ListedReplica]) -> tuple[Replica, ...]:
    """Those not ready first."""
    first = nsmallest(MOST_REPLICAS, events.items(), key=lambda item: (item[1].is_ready, item[0]))
    return tuple(
        Replica(
            replica=name,
            status=each.replica_status,
            reason=each.replica_status_reason,
            is_ready=each.is_ready,
            ready_since=None if each.replica_ready_since is None else _iso_or_none(each.replica_ready_since),
            image=each.image,
            revision=each.revision_id,
            volume_preload=each.volume_preload_status,
        )
        for name, each in first
    )


def _iso_or_none(unix: float) -> str | None:
    """None for a moment of the API's that no calendar has, such as the last hour of 9999 west of Greenwich."""
    try:
        return iso(unix)
    except (ValueError, OverflowError, OSError):
        return None
