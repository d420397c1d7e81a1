"""Builds the response of /api/v1/status from a snapshot."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from heapq import nsmallest
from urllib.parse import quote

from exporter.api.errors import ApiError
from exporter.api.models import Deployment as ListedDeployment
from exporter.api.models import Replica as ListedReplica
from exporter.api.models import Revision as ListedRevision
from exporter.cooperative import in_slices
from exporter.metrics.families import TERMINATED, replicas_updated
from exporter.state.history import Life
from exporter.state.instant import Instant
from exporter.state.records import Shown, ShownProject, ShownQueue
from exporter.status.facts import Facts, ProjectFacts
from exporter.status.findings import ERROR_ALERTS, Context, findings, level
from exporter.status.model import (
    DEPLOYMENT,
    LEVELS,
    STATUS,
    Deployment,
    Error,
    LastKnown,
    Level,
    Project,
    Queue,
    Replica,
    Revision,
    Status,
)

NO_DEPLOYMENTS = b"[]}"  # end of the JSON of a status without deployments
MAX_LISTED_REPLICAS = 200  # per deployment


async def report(facts: Facts) -> Status:
    urls = {project.name: project.base_url for project in facts.projects}
    deployments = [
        deployment(shown, urls[shown.project], facts.now, facts.prices)
        async for shown in in_slices(facts.snapshot.deployments)
        if shown.project in urls
    ]
    deployments.sort(key=lambda d: LEVELS.index(d.level))  # stable: by project and name below that
    shown_projects = {project.name: project for project in facts.snapshot.projects}
    projects = [
        _project(project, shown_projects.get(project.name))
        for project in sorted(facts.projects, key=lambda project: project.name)
    ]
    return Status(
        version=facts.version,
        now=iso(facts.now.unix),
        started=iso(facts.started),
        ready=facts.snapshot.is_ready,
        configuration_error=facts.configuration_error,
        shard_index=facts.shard[0],
        shard_total=facts.shard[1],
        levels=_levels(deployments, projects),
        projects=tuple(projects),
        queues=tuple(_queues(facts.snapshot.queues, deployments)),
        deployments=tuple(deployments),
    )


def _levels(deployments: Iterable[Deployment], projects: Iterable[Project]) -> dict[Level, int]:
    counts: Counter[Level] = Counter(d.level for d in deployments)
    counts["critical"] += sum(project.error is not None for project in projects)
    return {name: counts[name] for name in LEVELS}


async def to_json(status: Status) -> bytes:
    """Same output as pydantic's, in slices."""
    frame = STATUS.dump_json(replace(status, deployments=())).removesuffix(NO_DEPLOYMENTS)
    items = [DEPLOYMENT.dump_json(each) async for each in in_slices(status.deployments)]
    return b"".join((frame, b"[", b",".join(items), b"]}"))


def deployment(shown: Shown, base_url: str, now: Instant, prices: Mapping[str, float]) -> Deployment:
    """A deployment; without current state only its last known state. `prices`: by GPU type."""
    context = Context(now.unix, prices)
    found = findings(shown, context)
    state, poll = shown.state, shown.record.poll
    about = Deployment(
        project=shown.project,
        deployment=shown.name,
        level=level(found),
        findings=found,
        poll_success=poll.error is None,
        labels=dict(shown.record.labels),
        error=error(poll.error) if poll.error else None,
        last_success=poll.succeeded and iso(poll.succeeded.unix),
        age_seconds=round(now.monotonic - poll.succeeded.monotonic, 1) if poll.succeeded else None,
    )
    if state is None:
        return replace(about, last_known=_last_known(shown))
    history = shown.history
    return replace(
        _with_state(about, state.deployment, base_url, history.lives or {}),
        status_since=None if history.since is None else iso(history.since),
        saw_status_change=history.saw_change,
        changed=_revision(shown.revision) if shown.revision else None,
    )


def _last_known(shown: Shown) -> LastKnown | None:
    record = shown.record
    if record.state is None:
        return None
    known, succeeded = record.state.deployment, record.poll.succeeded
    return LastKnown(
        as_of=succeeded and iso(succeeded.unix),
        status=known.status,
        ready_replicas=_count(known.ready_replicas),
        desired_replicas=_count(known.desired_replicas),
    )


def _with_state(about: Deployment, state: ListedDeployment, base_url: str, lives: Mapping[str, Life]) -> Deployment:
    events = state.replica_events
    return replace(
        about,
        has_state=True,
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
        queue=state.queue,
        replicas_listed=None if events is None else len(events),
        replicas_not_terminated=None if events is None else len(events) - state.replica_statuses.count(TERMINATED),
        replicas_updated=_count(replicas_updated(state)),
        replicas=_replicas(events or {}, lives),
    )


def _revision(listed: ListedRevision) -> Revision:
    activated = _iso_or_none(listed.activated_at)
    return Revision(listed.revision_id, _count(listed.revision_number), listed.action, activated, listed.image)


def _queues(queues: Iterable[ShownQueue], deployments: Iterable[Deployment]) -> Iterator[Queue]:
    scaled: defaultdict[tuple[str, str | None], list[str]] = defaultdict(list)
    for each in deployments:
        scaled[each.project, each.queue].append(each.deployment)
    for queue in queues:
        waiting, running = _count(queue.counts.messages_waiting), _count(queue.counts.messages_running)
        yield Queue(queue.project, queue.name, waiting, running, tuple(sorted(scaled[queue.project, queue.name])))


def error(failure: ApiError) -> Error:
    return Error(failure.reason, failure.describe(), failure.hint, ERROR_ALERTS.get(failure.reason))


def iso(unix: float) -> str:
    """ISO 8601 with milliseconds."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _project(facts: ProjectFacts, shown: ShownProject | None) -> Project:
    failure = shown.poll.error if shown else None
    return Project(
        project=facts.name,
        poll_success=failure is None if shown else None,
        deployments=shown.deployments if shown else 0,
        base_url=facts.base_url,
        fetch=facts.fetch,
        poll_interval_seconds=facts.poll_interval,
        last_poll=None if facts.last_poll is None else iso(facts.last_poll),
        next_poll=None if facts.next_poll is None else iso(facts.next_poll),
        error=error(failure) if failure else None,
        is_polled_here=facts.is_polled_here,
    )


def _count(number: float | None) -> int | float | None:
    """An int if the number is whole."""
    return int(number) if number is not None and number == int(number) else number


def _replicas(events: Mapping[str, ListedReplica | None], lives: Mapping[str, Life]) -> tuple[Replica, ...]:
    """Replicas that can be read, those not ready first."""
    readable = ((name, each) for name, each in events.items() if each is not None)
    first = nsmallest(MAX_LISTED_REPLICAS, readable, key=lambda item: (item[1].is_ready, item[0]))
    return tuple(
        Replica(
            replica=name,
            status=each.replica_status,
            reason=each.replica_status_reason,
            message=each.replica_status_message,
            is_ready=each.is_ready,
            ready_since=_iso_or_none(each.ready_timestamp),
            first_seen=_iso_or_none(life.appeared) if (life := lives.get(name)) else None,
            image=each.image,
            revision=each.revision_id,
            volume_preload=each.volume_preload_status,
        )
        for name, each in first
    )


def _iso_or_none(unix: float | None) -> str | None:
    """None also for times outside the range of datetime."""
    if unix is None:
        return None
    try:
        return iso(unix)
    except (ValueError, OverflowError, OSError):
        return None
