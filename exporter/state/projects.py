"""What a poll makes of a project: functions from the value before to the value after. None of them changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from exporter.api.errors import ApiError, InvalidResponse, NotFound
from exporter.api.listing import Item, Listing, Unreadable
from exporter.api.models import Deployment, Dropped, Queue, Reading, printable
from exporter.cooperative import in_slices
from exporter.state.chosen import chosen
from exporter.state.history import History
from exporter.state.instant import Instant
from exporter.state.records import Absent, Limits, OwnLabels, Poll, Project, QueueState, Record, State, Target


def reconfigured(before: Project | None, target: Target) -> Project:
    """The project under another configuration: what is still asked for in the same way is kept."""
    if before is None or before.target.is_listed != target.is_listed:
        return Project(target)
    if before.target == target:
        return before
    kept = [record for record in before.records.values() if _is_asked_for(record, before.target, target)]
    records = {key: _reconfigured(record, key, target) for key, record in _keyed(kept, target)}
    queues = _still_asked_for(before.queues, records, target)
    is_known = before.is_polled and bool(records)
    return replace(before, target=target, records=records, queues=queues, was_polled=is_known)


def queues_of(records: Mapping[str, Record], target: Target) -> list[str]:
    """The names of all queues to read, each once, sorted."""
    scaling = (record.state.deployment.queue for record in records.values() if record.state is not None)
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
    found, beyond_limit, dropped = await chosen(before.target, listing.items)
    poll = Poll(None, now)
    records: dict[str, Record] = {}
    async for key, item in in_slices(found.items()):
        records[key] = _after_item(before, key, item, poll, now)
    absent = {key: each for key, each in before.absent.items() if key not in records and _is_recent(each, before, now)}
    limit = before.target.limits.max_deployments_per_project
    for key in sorted({*before.records, *(before.target.keys or ())} - found.keys()):
        is_missed = key in before.target.configured and key not in beyond_limit
        if not listing.is_complete and (is_missed or len(records) < limit):
            records[key] = _failed(before, key, InvalidResponse("the API says that its list is incomplete"))
        elif is_missed:
            records[key] = _failed(before, key, NotFound("not in the project's list"))
        elif key in before.records:
            absent[key] = Absent(before.records[key].history, before.records[key].name, now)
    return replace(
        before,
        records=records,
        absent=absent,
        queues=_still_asked_for(before.queues, records, before.target),
        listing=poll,
        dropped=(*listing.dropped, *dropped),
    )


def after_failed_list(before: Project, error: ApiError) -> Project:
    """A project's failed list, which stands for all its deployments. A 404 is never taken for "all gone"."""
    if not before.target.is_listed:
        return before
    if isinstance(error, NotFound):
        error = InvalidResponse(str(error))
    keys = _within_limit(before)
    succeeded = before.listing.succeeded if before.listing else None
    return replace(
        before,
        records={key: _failed(before, key, error) for key in keys},
        listing=Poll(error, succeeded),
    )


def _within_limit(before: Project) -> list[str]:
    """What is known, and of what else is configured as much as a list would show."""
    further = sorted(set(before.target.keys or ()) - before.records.keys())
    room = max(0, before.target.limits.max_deployments_per_project - len(before.records))
    return [*before.records, *further[:room]]


def after_queue(before: Project, queue: str, counts: Queue, now: Instant) -> Project:
    return replace(before, queues={**before.queues, queue: QueueState(Poll(None, now), counts)})


def after_failed_queue(before: Project, queue: str, error: ApiError) -> Project:
    """Its last counts are kept until they are stale; a 404 ends them."""
    old = before.queues.get(queue, QueueState(Poll()))
    counts = None if isinstance(error, NotFound) else old.counts
    return replace(before, queues={**before.queues, queue: QueueState(replace(old.poll, error=error), counts)})


def _after_item(before: Project, key: str, item: Item, poll: Poll, now: Instant) -> Record:
    old = before.records.get(key)
    if isinstance(item, Unreadable):
        failed = _failed(before, key, item.error)
        return replace(failed, name=item.name or item.id or failed.name)
    deployment = item.deployment
    if old is not None and old.state is not None and old.state.deployment is deployment:
        return Record(key, old.name, old.history, poll, old.state, old.labels)
    history = old.history if old else _history_of_absent(before, key, now)
    state = _state(item, before.target.limits)
    if old is not None and old.state == state:
        state = old.state
    name = deployment.name or deployment.id or key
    labels = _labels(before.target, key, name, deployment)
    if old is not None and old.labels == labels:
        labels = old.labels
    return Record(key, name, history.after(deployment, now), poll, state, labels)


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
    return tuple(sorted((label, printable(value)) for label, value in labels.items() if value))


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


def _still_asked_for(
    queues: Mapping[str, QueueState], records: Mapping[str, Record], target: Target
) -> Mapping[str, QueueState]:
    if not queues:
        return queues
    asked = frozenset(queues_of(records, target))
    return queues if asked.issuperset(queues) else {name: each for name, each in queues.items() if name in asked}


def without_unread_queues(project: Project) -> Project:
    """Without queues that no deployment names any more."""
    queues = _still_asked_for(project.queues, project.records, project.target)
    return project if queues is project.queues else replace(project, queues=queues)


def _reconfigured(record: Record, key: str, target: Target) -> Record:
    """The same answer by this key, and under another target's limits and labels."""
    state = record.state
    if state is not None and state.limits != target.limits:
        dropped = tuple(each for each in state.dropped if each.reason != "replica_limit")
        state = _state(Reading(state.deployment, dropped), target.limits)
    labels = _labels(target, key, record.name, None if state is None else state.deployment)
    if (key, labels) == (record.key, record.labels) and state is record.state:
        return record
    return replace(record, key=key, state=state, labels=record.labels if labels == record.labels else labels)


def _is_asked_for(record: Record, before: Target, target: Target) -> bool:
    if not target.is_listed or (record.state is None and target.keys is not None):
        return record.key in target.configured
    if record.state is None:
        return before.keys is None and target.wants(record.key, record.name)
    return target.wants(record.state.deployment.id, record.state.deployment.name)


def _keyed(records: Iterable[Record], target: Target) -> Iterator[tuple[str, Record]]:
    """By the keys that a list would find them by: its present one, its ID or its name, of what is configured, else its
    ID. Of several with a configured name, the oldest has it."""
    taken: set[str] = set()
    for record in sorted(records, key=lambda record: _claim(record, target)) if target.is_listed else records:
        key = record.key
        if target.is_listed and record.state is not None:
            id_, name = record.state.deployment.id, record.state.deployment.name
            free = (each for each in (key, id_, name) if each in target.configured and each not in taken)
            key = next(free, None) or id_ or name or key
        if key not in taken:
            taken.add(key)
            yield key, record


def _claim(record: Record, target: Target) -> tuple[bool, bool, bool, float, str]:
    deployment = record.state.deployment if record.state else None
    id_, created = (deployment.id, deployment.created_at) if deployment else (None, None)
    return (
        record.key not in target.configured,
        id_ not in target.configured,
        created is None,
        created or 0.0,
        record.key,
    )
