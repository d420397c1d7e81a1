"""Pure functions from a project's value before a poll to the value after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from exporter.api.errors import ApiError, Forbidden, IncompleteList, InvalidResponse, NotFound, ServerError
from exporter.api.listing import Item, Listing, Unreadable
from exporter.api.models import Deployment, Dropped, Queue, Revision, printable
from exporter.api.reading import Reading
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

Part = TypeVar("Part", QueueState, RevisionState)


def reconfigured(before: Project | None, target: Target) -> Project:
    """The project under a new configuration; state that is still polled in the same way is kept."""
    if before is None:
        return Project(target)
    if before.target == target:
        return before
    kept = [record for record in before.records.values() if _is_asked_for(record, before.target, target)]
    records = {key: _reconfigured(record, key, target) for key, record in _keyed(kept, target)}
    is_known = before.is_polled and bool(records)
    after = replace(before, target=target, records=records, was_polled=is_known)
    if before.target.is_listed != target.is_listed:
        listing = (
            Poll(project_error(records[key] for key in sorted(records))) if target.is_listed and is_known else None
        )
        after = replace(after, listing=listing, absent={}, dropped=())
    return without_unread(after)


def project_error(records: Iterable[Record]) -> ApiError | None:
    """Why no deployment can be read; None if one of them was answered, and a 404 is an answer."""
    errors = [record.poll.error for record in records]
    answered = any(error is None or isinstance(error, NotFound) for error in errors)
    return None if answered else next(iter(errors), None)


def without_refusals(project: Project) -> Project:
    """Refused opt-in endpoints are tried again with the next poll: key or permissions may have changed."""

    def again(parts: Mapping[str, Part]) -> Mapping[str, Part]:
        return {name: replace(part, poll=replace(part.poll, failed=None)) for name, part in parts.items()}

    return replace(project, queues=again(project.queues), revisions=again(project.revisions))


def queues_of(records: Mapping[str, Record], target: Target) -> list[str]:
    """Names of all queues to poll, unique and sorted."""
    known = records.values() if target.has_scaling_queues else ()
    scaling = (record.state.deployment.queue for record in known if record.state is not None)
    return sorted({*target.queues, *(queue for queue in scaling if queue is not None)})


async def after_one(before: Project, key: str, reading: Reading, now: Instant) -> Project:
    """Applies a successful poll of one deployment."""
    if before.target.is_listed or key not in before.target.configured:
        return before
    record = _after_item(before, key, reading, Poll(None, now), now)
    return replace(before, records={**before.records, key: record})


def after_failed_one(before: Project, key: str, error: ApiError) -> Project:
    """Applies a failed poll of one deployment: a 404 removes its state, other errors keep it until it is stale."""
    if before.target.is_listed or key not in before.target.configured:
        return before
    return replace(before, records={**before.records, key: _failed(before, key, error)})


async def after_list(before: Project, listing: Listing, now: Instant) -> Project:
    """Applies a list. Deployments missing from a complete list are removed; those missing from an incomplete list are
    kept as after a failed poll."""
    if not before.target.is_listed:
        return before
    known = _keys_by_name(before) if any(item.id is None for item in listing.items) else {}
    found, beyond_limit, dropped = await chosen(before.target, listing.items, known)
    poll = Poll(None, now)
    records: dict[str, Record] = {}
    async for key, item in in_slices(found.items()):
        records[key] = _after_item(before, key, item, poll, now)
    absent = {key: each for key, each in before.absent.items() if key not in records and _is_recent(each, before, now)}
    limit = before.target.limits.max_deployments_per_project
    for key in sorted({*before.records, *(before.target.keys or ())} - found.keys()):
        is_missed = key in before.target.configured and key not in beyond_limit
        if not listing.is_complete and (is_missed or len(records) < limit):
            records[key] = _failed(before, key, IncompleteList())
        elif is_missed:
            records[key] = _failed(before, key, NotFound("not in the project's list"))
        elif key in before.records:
            absent[key] = Absent(before.records[key].history, before.records[key].name, now)
    all_dropped = (*listing.dropped, *dropped)
    return without_unread(
        replace(
            before,
            records=records,
            absent=absent,
            listing=poll,
            is_complete=listing.is_complete,
            dropped=all_dropped,
        )
    )


def _keys_by_name(project: Project) -> Mapping[str, str]:
    """The keys of deployments by names that no other one has."""
    names = Counter(record.name for record in project.records.values())
    return {record.name: key for key, record in project.records.items() if names[record.name] == 1}


def after_failed_list(before: Project, error: ApiError) -> Project:
    """Applies a failed list to all deployments. A 404 never removes deployments."""
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
    """Existing records, plus empty records for configured deployments."""
    further = sorted(set(before.target.keys or ()) - before.records.keys())
    room = max(0, before.target.limits.max_deployments_per_project - len(before.records))
    return [*before.records, *further[:room]]


def after_queue(before: Project, queue: str, counts: Queue, now: Instant) -> Project:
    return replace(before, queues={**before.queues, queue: QueueState(Poll(None, now), counts)})


def after_failed_queue(before: Project, queue: str, error: ApiError, now: Instant) -> Project:
    """Keeps the last counts until they are stale; a 404 removes them."""
    old = before.queues.get(queue, QueueState(Poll()))
    counts = None if isinstance(error, NotFound) else old.counts
    failed = QueueState(Poll(error, old.poll.succeeded, now), counts)
    return replace(before, queues={**before.queues, queue: failed})


def due_queues(project: Project, now: Instant) -> list[str]:
    """The queues to poll now."""
    asked, known = queues_of(project.records, project.target), project.queues
    return [queue for queue in asked if queue not in known or known[queue].poll.is_due(now)]


def after_revision(before: Project, key: str, newest: Revision, now: Instant) -> Project:
    """Applies the newest revision of a deployment; polled again if it is not the current one."""
    if newest.revision_id != _current_revision(before, key):
        known = before.revisions.get(key)
        was_other = known is not None and known.id == _current_revision(before, key) and known.poll.error is not None
        kind = InvalidResponse if was_other else ServerError  # the second time in a row: refused for a while
        return after_failed_revision(before, key, kind("the newest revision is not the current one"), now)
    return _with_revision(before, key, Poll(None, now), newest)


def after_failed_revision(before: Project, key: str, error: ApiError, now: Instant) -> Project:
    return _with_revision(before, key, Poll(error, None, now), None)


def due_revisions(project: Project, now: Instant) -> list[str]:
    """Keys of deployments whose current revision has not been fetched, failed ones last; empty while the API key has
    no permission to read revisions."""
    states = project.revisions
    if any(isinstance(state.poll.error, Forbidden) and not state.poll.is_due(now) for state in states.values()):
        return []
    return sorted(
        (key for key in project.records if _is_revision_due(project, key, now)),
        key=lambda key: _failed_at(states.get(key)),
    )


def _is_revision_due(project: Project, key: str, now: Instant) -> bool:
    current, known = _current_revision(project, key), project.revisions.get(key)
    if current is None or known is None or known.id != current:
        return current is not None
    return known.poll.error is not None and known.poll.is_due(now)


def _failed_at(state: RevisionState | None) -> float:
    failed = state.poll.failed if state else None
    return failed.monotonic if failed else float("-inf")


def _current_revision(project: Project, key: str) -> str | None:
    record = project.records.get(key)
    return record.state.deployment.revision if record is not None and record.state is not None else None


def _with_revision(before: Project, key: str, poll: Poll, details: Revision | None) -> Project:
    current = _current_revision(before, key)
    if current is None or not before.target.has_revisions:
        return before
    return replace(before, revisions={**before.revisions, key: RevisionState(current, poll, details)})


def _after_item(before: Project, key: str, item: Item, poll: Poll, now: Instant) -> Record:
    old = before.records.get(key)
    if isinstance(item, Unreadable):
        failed = _failed(before, key, item.error)
        return replace(failed, name=item.name or (old.name if old else item.id) or key)
    deployment = item.deployment
    if old is not None and old.state is not None and old.state.deployment is deployment:
        return Record(key, old.name, old.history, poll, old.state, old.labels)
    history = old.history if old else _history_of_absent(before, key, now)
    state = _state(item, before.target.limits)
    if old is not None and old.state == state:
        state = old.state
    is_same = deployment.id is None or history.id in {None, deployment.id}
    name = deployment.name or (old.name if old and is_same else deployment.id) or key
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
    """The configured labels of a deployment; without state there are no variables."""
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
    readable = sorted((name, replica) for name, replica in events.items() if replica is not None)
    shown = tuple(readable[: limits.max_replicas_per_deployment])
    dropped = reading.dropped
    if len(readable) > len(shown):
        dropped = (*dropped, Dropped("replica_limit", "replica_events", len(readable) - len(shown)))
    return State(deployment, shown, dropped, limits)


def without_unread(project: Project) -> Project:
    """Removes queues and revisions that are no longer polled."""
    records, target = project.records, project.target
    queues = _only(project.queues, queues_of(records, target)) if project.queues else project.queues
    revisions = _only(project.revisions, records if target.has_revisions else ())
    if queues is project.queues and revisions is project.revisions:
        return project
    return replace(project, queues=queues, revisions=revisions)


def _only(parts: Mapping[str, Part], names: Collection[str]) -> Mapping[str, Part]:
    """The same mapping if all its keys are in `names`."""
    kept = frozenset(names) if parts else frozenset()
    return parts if kept.issuperset(parts) else {name: part for name, part in parts.items() if name in kept}


def _reconfigured(record: Record, key: str, target: Target) -> Record:
    """The record with a new key, and with the limits and labels of another target."""
    state = record.state
    if state is not None and state.limits != target.limits:
        dropped = tuple(each for each in state.dropped if each.reason != "replica_limit")
        state = _state(Reading(state.deployment, dropped), target.limits)
    labels = _labels(target, key, record.name, None if state is None else state.deployment)
    if (key, labels) == (record.key, record.labels) and state is record.state:
        return record
    return replace(record, key=key, state=state, labels=record.labels if labels == record.labels else labels)


def _is_asked_for(record: Record, before: Target, target: Target) -> bool:
    if record.state is None and target.keys is not None:
        return record.key in target.configured
    if record.state is None:
        return before.keys is None and target.wants(record.key, record.name)
    return record.key in target.configured or target.wants(record.state.deployment.id, record.state.deployment.name)


def _keyed(records: Iterable[Record], target: Target) -> Iterator[tuple[str, Record]]:
    """By its current key, ID or name if configured, otherwise as a list would, by the ID. Of several with a configured
    name, the oldest gets it."""
    taken: set[str] = set()
    for record in sorted(records, key=lambda record: _claim(record, target)):
        key = record.key
        if record.state is not None:
            id_, name = record.state.deployment.id, record.state.deployment.name
            free = (each for each in (key, id_, name) if each in target.configured and each not in taken)
            key = next(free, None) or id_ or name or key
        if key not in taken and (target.is_listed or key in target.configured):
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
