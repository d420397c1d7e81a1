"""What a poll makes of a project: functions from the value before to the value after. None of them changes anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from exporter.api.errors import ApiError, InvalidResponse, NotFound
from exporter.api.listing import Item, Listing, Unreadable
from exporter.api.models import Deployment, Dropped, Queue, Reading, Revision
from exporter.cooperative import in_slices
from exporter.state.chosen import chosen
from exporter.state.history import History
from exporter.state.instant import Instant
from exporter.state.records import (
    Absent,
    Limits,
    OwnLabels,
    Poll,
    Project,
    QueueState,
    Record,
    RevisionState,
    State,
    Target,
)


def reconfigured(before: Project | None, target: Target) -> Project:
    """The project under another configuration: what is still asked for in the same way is kept."""
    if before is None or before.target.is_listed != target.is_listed:
        return Project(target)
    if before.target == target:
        return before
    records = {
        key: replace(
            record,
            state=None if record.state is None else _limited(record.state, target.limits),
            labels=_labels(target, key, record.name, record.state.deployment if record.state else None),
            revision=record.revision if target.has_revisions else None,
        )
        for key, record in before.records.items()
        if _is_asked_for(record, target)
    }
    queues = {name: queue for name, queue in before.queues.items() if name in queues_of(records, target)}
    return replace(before, target=target, records=records, queues=queues)


def queues_of(records: Mapping[str, Record], target: Target) -> list[str]:
    """The names of all queues to read, each once, sorted."""
    known = records.values() if target.has_scaling_queues else ()
    scaling = (record.state.deployment.queue for record in known if record.state is not None)
    return sorted({*target.queues, *(queue for queue in scaling if queue is not None)})


async def after_one(before: Project, key: str, reading: Reading, now: Instant) -> Project:
    """One deployment's good answer."""
    if before.target.is_listed or key not in before.target.configured:
        return before
    record = _after_item(before, key, reading, Poll(None, now), now)
    return replace(before, records={**before.records, key: record})


def after_failed_one(before: Project, key: str, error: ApiError) -> Project:
    """One deployment's failed poll: a 404 ends its state at once, anything else keeps it until it is stale."""
    if before.target.is_listed or key not in before.target.configured:
        return before
    return replace(before, records={**before.records, key: _failed(before, key, error)})


async def after_list(before: Project, listing: Listing, now: Instant) -> Project:
    """A project's list. What a complete one lacks is gone; what an incomplete one lacks is kept as in a failed poll."""
    if not before.target.is_listed:
        return before
    found, dropped = await chosen(before.target, listing.items)
    poll = Poll(None, now)
    records: dict[str, Record] = {}
    async for key, item in in_slices(found.items()):
        records[key] = _after_item(before, key, item, poll, now)
    absent = {key: each for key, each in before.absent.items() if key not in records and _is_recent(each, before, now)}
    for key in dict.fromkeys([*before.records, *(before.target.keys or ())]):
        if key in found:
            continue
        if not listing.is_complete:
            records[key] = _failed(before, key, InvalidResponse("the API says that its list is incomplete"))
        elif key in before.target.configured:
            records[key] = _failed(before, key, NotFound("not in the project's list"))
        else:
            absent[key] = Absent(before.records[key].history, before.records[key].name, now)
    return replace(before, records=records, absent=absent, listing=poll, dropped=(*listing.dropped, *dropped))


def after_failed_list(before: Project, error: ApiError) -> Project:
    """A project's failed list, which stands for all its deployments. A 404 is never taken for "all gone"."""
    if not before.target.is_listed:
        return before
    if isinstance(error, NotFound):
        error = InvalidResponse(str(error))
    keys = dict.fromkeys([*before.records, *(before.target.keys or ())])
    succeeded = before.listing.succeeded if before.listing else None
    return replace(
        before,
        records={key: _failed(before, key, error) for key in keys},
        listing=Poll(error, succeeded),
    )


def after_queue(before: Project, queue: str, counts: Queue, now: Instant) -> Project:
    return replace(before, queues={**before.queues, queue: QueueState(Poll(None, now), counts)})


def after_failed_queue(before: Project, queue: str, error: ApiError, now: Instant) -> Project:
    """Its last counts are kept until they are stale; a 404 ends them."""
    old = before.queues.get(queue, QueueState(Poll()))
    counts = None if isinstance(error, NotFound) else old.counts
    failed = QueueState(Poll(error, old.poll.succeeded, now), counts)
    return replace(before, queues={**before.queues, queue: failed})


def due_queues(project: Project, now: Instant) -> list[str]:
    """The queues to read in this poll."""
    known = project.queues
    return [
        name for name in queues_of(project.records, project.target) if name not in known or known[name].poll.is_due(now)
    ]


def after_revision(before: Project, key: str, revision: Revision | None, now: Instant) -> Project:
    """The newest revision of a deployment; None where the API lists none."""
    return _with_revision(before, key, Poll(None, now), revision)


def after_failed_revision(before: Project, key: str, error: ApiError, now: Instant) -> Project:
    return _with_revision(before, key, Poll(error, None, now), None)


def due_revisions(project: Project, now: Instant) -> list[str]:
    """The keys of deployments whose current revision has not been read."""
    return [
        key
        for key, record in project.records.items()
        if record.state is not None
        and (current := record.state.deployment.revision) is not None
        and (record.revision is None or record.revision.id != current or _is_to_be_read_again(record.revision, now))
    ]


def _is_to_be_read_again(revision: RevisionState, now: Instant) -> bool:
    return revision.poll.error is not None and revision.poll.is_due(now)


def _with_revision(before: Project, key: str, poll: Poll, details: Revision | None) -> Project:
    record = before.records.get(key)
    current = record.state.deployment.revision if record is not None and record.state is not None else None
    if record is None or current is None:
        return before
    if details is not None and details.revision_id != current:
        poll, details = Poll(InvalidResponse("the newest revision is not the current one"), None, poll.succeeded), None
    revision = RevisionState(current, poll, details)
    return replace(before, records={**before.records, key: replace(record, revision=revision)})


def _after_item(before: Project, key: str, item: Item, poll: Poll, now: Instant) -> Record:
    old = before.records.get(key)
    if isinstance(item, Unreadable):
        failed = _failed(before, key, item.error)
        return replace(failed, name=item.name or item.id or failed.name)
    deployment = item.deployment
    if old is not None and old.state is not None and old.state.deployment is deployment:
        return Record(key, old.name, old.history, poll, old.state, old.labels, old.revision)
    history = old.history if old else _history_of_absent(before, key, now)
    state = _state(item, before.target.limits)
    if old is not None and old.state == state:
        state = old.state
    name = deployment.name or deployment.id or key
    labels = _labels(before.target, key, name, deployment)
    if old is not None and old.labels == labels:
        labels = old.labels
    return Record(key, name, history.after(deployment, now), poll, state, labels, old.revision if old else None)


def _failed(before: Project, key: str, error: ApiError) -> Record:
    old = before.records.get(key)
    if old is None:
        old = Record(key, key, History(), Poll(), labels=_labels(before.target, key, key, None))
    state = None if isinstance(error, NotFound) else old.state
    return replace(old, poll=Poll(error, old.poll.succeeded), state=state)


def _labels(target: Target, key: str, name: str, deployment: Deployment | None) -> OwnLabels:
    """The user's own labels; a deployment that has never been read has no variables."""
    environment = {} if deployment is None else deployment.plain_variables
    labels = target.labels.of(key=key, name=name, environment=environment)
    return tuple(sorted((label, value) for label, value in labels.items() if value))


def _history_of_absent(before: Project, key: str, now: Instant) -> History:
    absent = before.absent.get(key)
    return absent.history if absent is not None and _is_recent(absent, before, now) else History()


def _is_recent(absent: Absent, project: Project, now: Instant) -> bool:
    return now.monotonic - absent.since.monotonic < project.target.stale_after


def _state(reading: Reading, limits: Limits) -> State:
    deployment, events = reading.deployment, reading.deployment.replica_events
    if not events or not limits.replica_metrics:
        return State(deployment, (), reading.dropped, limits)
    shown = tuple(sorted(events.items())[: limits.max_replicas_per_deployment])
    dropped = reading.dropped
    if len(events) > len(shown):
        dropped = (*dropped, Dropped("replica_limit", "replica_events", len(events) - len(shown)))
    return State(deployment, shown, dropped, limits)


def _limited(state: State, limits: Limits) -> State:
    """The same answer under other limits."""
    if state.limits == limits:
        return state
    dropped = tuple(each for each in state.dropped if each.reason != "replica_limit")
    return _state(Reading(state.deployment, dropped), limits)


def _is_asked_for(record: Record, target: Target) -> bool:
    if record.state is None:
        return target.keys is None or record.key in target.configured
    deployment = record.state.deployment
    if not target.is_listed:
        return record.key in target.configured
    return target.wants(deployment.id, deployment.name)
