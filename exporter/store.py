"""What is known of every deployment, how old it is, and what changed. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Container, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from exporter.api.errors import ApiError, NotFound
from exporter.api.models import Deployment, Queue, Reading, Replica
from exporter.records import OTHER, Instant, Limits, ProjectRecord, Record, Target, Transition, View
from exporter.steps import in_one_go

NEVER = float("inf")  # monotonic seconds
MAX_STATUSES = 50  # whose changes are counted apart for one deployment; the known ones are 5


@dataclass(frozen=True, slots=True)
class Change:
    """What one answer changed about one deployment, for the log and the counters."""

    record: Record
    transition: Transition | None = None
    recovered: bool = False
    new_error: bool = False
    replicas_dropped: int = 0
    duplicate: bool = False

    @property
    def is_news(self) -> bool:
        return bool(self.transition or self.recovered or self.new_error or self.replicas_dropped or self.duplicate)


@dataclass(frozen=True, slots=True)
class ListChange:
    """What one list changed. `changes`: those that are news; `dropped`: deployments over the limit; `aliases`:
    configured twice, by name and by ID; `repeated`: listed more than once, the last counts; `nameless`: how many had
    neither ID nor name; `not_whole`: by key."""

    changes: tuple[Change, ...] = ()
    gone: tuple[Record, ...] = ()
    dropped: int = 0
    aliases: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    nameless: int = 0
    not_whole: tuple[tuple[str, Reading], ...] = ()


@dataclass(slots=True)
class _Project:
    target: Target
    records: dict[str, Record] = field(default_factory=dict)  # by key
    owners: dict[str, str] = field(default_factory=dict)  # label to the key it belongs to
    error: ApiError | None = None  # of the last list
    polled: bool = False  # the list, at least once


@dataclass(slots=True)
class _Listed:
    """A list by key: what is `wanted` of it, what of that came `repeated` or is `not_whole`."""

    wanted: dict[str, Reading] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    not_whole: dict[str, Reading] = field(default_factory=dict)
    nameless: int = 0


class Store:
    """Filled by polls, read by scrapes; it calls nobody."""

    def __init__(self, targets: Iterable[Target] = ()) -> None:
        self._projects: dict[str, _Project] = {}
        self._generation = 0
        self._view = View(0, (), ())
        self._view_expires = float("inf")
        self._has_changed = True  # since the view was made
        self._held = 0  # lists that are being put in place
        self.configure(targets)

    def configure(self, targets: Iterable[Target]) -> None:
        """Puts new targets in place. What is still asked for in the same way keeps its records."""
        projects = {}
        for target in targets:
            project = _Project(target)
            old = self._projects.get(target.project)
            if old is not None and old.target.listed == target.listed:
                project.polled, project.error = old.polled, old.error
                project.records = {key: record for key, record in old.records.items() if target.asks_for(record)}
                project.owners = {label: k for label, k in old.owners.items() if k in project.records}
            projects[target.project] = project
        self._projects = projects
        self._touch()

    def is_ready(self) -> bool:
        """Whether everything configured has been polled once, whatever the result."""
        return all(
            p.polled if p.target.listed else all(key in p.records for key in p.target.keys or ())
            for p in self._projects.values()
        )

    def apply(self, project: str, key: str, deployment: Deployment, now: Instant) -> Change | None:
        """One deployment's good answer. None when it is no longer asked for (a reload came in between)."""
        home = self._asking(project, key)
        return self._apply(home, key, deployment, now) if home else None

    def fail(self, project: str, key: str, error: ApiError) -> Change | None:
        """One deployment's failed poll: a 404 ends its state at once, anything else keeps it until it is stale."""
        home = self._asking(project, key)
        return self._fail(home, key, error, ends_state=isinstance(error, NotFound)) if home else None

    def apply_list(self, project: str, readings: Sequence[Reading], now: Instant) -> ListChange:
        """A project's whole list, in one go."""
        return in_one_go(self.applying_list(project, readings, now))

    def applying_list(
        self, project: str, readings: Sequence[Reading], now: Instant
    ) -> Generator[None, None, ListChange]:
        """A project's whole list: what is not in it is gone. A step is one deployment; views show the list as a whole
        or not at all."""
        home = self._projects.get(project)
        if home is None:
            return ListChange()
        self._held += 1
        try:
            return (yield from self._applying(home, readings, now))
        finally:
            self._held -= 1

    def _applying(self, home: _Project, readings: Sequence[Reading], now: Instant) -> Generator[None, None, ListChange]:
        asked = dict.fromkeys(home.target.keys or ())
        listed = yield from _listed(home.target, asked, readings)
        found = dict(islice(listed.wanted.items(), home.target.limits.max_deployments_per_project))
        known = {name for r in found.values() for name in (r.deployment.id, r.deployment.name)} if asked else set()
        gone = [r for key, r in home.records.items() if key not in found and key not in asked]
        for record in gone:
            self._remove(home, record)
        missing = NotFound("not in the project's list")
        changes = [self._fail(home, key, missing, ends_state=True) for key in asked if key not in known]
        for key, reading in found.items():
            change = self._apply(home, key, reading.deployment, now)
            if change.is_news:
                changes.append(change)
            yield
        aliases = tuple(key for key in asked if key in known and key not in found)
        for key in aliases:
            if (alias := home.records.get(key)) is not None:
                self._remove(home, alias)
        home.polled, home.error = True, None
        self._touch()
        return ListChange(
            changes=tuple(changes),
            gone=tuple(gone),
            dropped=len(listed.wanted) - len(found),
            aliases=aliases,
            repeated=tuple(key for key in dict.fromkeys(listed.repeated) if key in found),
            nameless=listed.nameless,
            not_whole=tuple((key, reading) for key, reading in listed.not_whole.items() if found.get(key) is reading),
        )

    def fail_list(self, project: str, error: ApiError) -> bool:
        """A project's failed list, which holds for all its deployments. Whether the reason is news."""
        home = self._projects.get(project)
        if home is None:
            return False
        is_news = home.error is None or home.error.reason != error.reason
        home.polled, home.error = True, error
        for key in dict.fromkeys([*home.records, *(home.target.keys or ())]):
            self._fail(home, key, error, ends_state=False)
        self._touch()
        return is_news

    def apply_queue(self, project: str, key: str, queue: Queue, now: Instant) -> None:
        """A deployment's queue; ignored when the deployment went in the meantime."""
        home = self._projects.get(project)
        if home is not None and (record := home.records.get(key)) is not None:
            home.records[key] = replace(record, queue=queue, queue_succeeded=now)
            self._touch()

    def queued(self, project: str) -> list[tuple[str, str]]:
        """(key, model) of each of the project's deployments that a queue scales."""
        home = self._projects.get(project)
        records = home.records.values() if home else ()
        return [(r.key, model) for r in records if r.state and (model := r.state.queue_model)]

    def project_errors(self) -> list[tuple[str, ApiError]]:
        """(project, why its list could not be read) for each project of which that is so."""
        return [(name, home.error) for name, home in self._projects.items() if home.error is not None]

    def view(self, now: Instant) -> View:
        """Everything to be shown now: stale state is left out. Sorted by project and deployment."""
        if (self._has_changed and not self._held) or now.monotonic >= self._view_expires:
            self._view, self._view_expires = self._build(now)
            self._has_changed = self._held > 0
        return self._view

    def _build(self, now: Instant) -> tuple[View, float]:
        records: list[Record] = []
        projects: list[ProjectRecord] = []
        soonest = NEVER
        for name in sorted(self._projects):
            home = self._projects[name]
            known, stale_after = home.records, home.target.limits.stale_after
            first = len(records)
            for label in sorted(home.owners):
                record, expires = _fresh(known[home.owners[label]], now, stale_after)
                records.append(record)
                soonest = min(soonest, expires)
            if summary := _summary(home, records[first:]):
                projects.append(summary)
        self._generation += 1
        return View(self._generation, tuple(records), tuple(projects)), soonest

    def _apply(self, home: _Project, key: str, deployment: Deployment, now: Instant) -> Change:
        old = home.records.get(key) or Record(home.target.project, key, key)
        if deployment is old.state and old.error is None and old.limits is home.target.limits:
            return self._confirm(home, old, now)
        if deployment is not old.state and deployment == old.state:
            deployment = old.state  # the very object: what is drawn from it need not be drawn again
        transition = _transition(old.state, deployment)
        replicas, dropped = _shown_replicas(deployment, home.target.limits)
        if replicas == old.replicas:
            replicas = old.replicas
        record = replace(
            old,
            name=deployment.name or deployment.id or old.name,
            state=deployment,
            replicas=replicas,
            status_changes=_counted(old.status_changes, transition),
            error=None,
            succeeded=now,
            limits=home.target.limits,
        )
        duplicate = not self._put(home, record)
        return Change(record, transition, recovered=not old.up, replicas_dropped=dropped, duplicate=duplicate)

    def _confirm(self, home: _Project, old: Record, now: Instant) -> Change:
        """The same again: only the time is new."""
        kept = (old.project, old.key, old.name, old.state, old.replicas, old.queue, old.status_changes)
        record = Record(*kept, None, now, old.queue_succeeded, old.limits)  # replace() takes thrice as long
        home.records[old.key] = record
        self._touch()
        events = (old.state and old.state.replica_events) or ()
        dropped = len(events) - len(old.replicas) if old.limits.replica_metrics else 0
        return Change(record, replicas_dropped=dropped, duplicate=home.owners.get(old.name) != old.key)

    def _fail(self, home: _Project, key: str, error: ApiError, *, ends_state: bool) -> Change:
        old = home.records.get(key) or Record(home.target.project, key, key)
        is_news = old.error is None or old.error.reason != error.reason
        record = replace(old, error=error)
        if ends_state:
            record = replace(record, state=None, replicas=(), queue=None)
        self._put(home, record)
        return Change(record, new_error=is_news)

    def _put(self, home: _Project, record: Record) -> bool:
        """Files a record; False when another one already goes by its label, which then alone is shown."""
        old = home.records.get(record.key)
        if old is not None and old.name != record.name and home.owners.get(old.name) == record.key:
            del home.owners[old.name]
        home.records[record.key] = record
        self._touch()
        owner = home.owners.setdefault(record.name, record.key)
        if owner == record.key:
            return True
        loser = home.records[owner]
        if loser.state is not None or record.state is None:
            return False
        home.owners[record.name] = record.key
        self._put(home, replace(loser, name=loser.key))
        return True

    def _asking(self, project: str, key: str) -> _Project | None:
        """The project, if it asks for this deployment by itself."""
        home = self._projects.get(project)
        return home if home and not home.target.listed and key in (home.target.keys or ()) else None

    def _remove(self, home: _Project, record: Record) -> None:
        del home.records[record.key]
        if home.owners.get(record.name) == record.key:
            del home.owners[record.name]

    def _touch(self) -> None:
        self._has_changed = True


def _listed(target: Target, asked: Container[str], readings: Iterable[Reading]) -> Generator[None, None, _Listed]:
    """A step is one reading."""
    listed = _Listed()
    for reading in readings:
        deployment = reading.deployment
        if not (deployment.id or deployment.name):
            listed.nameless += 1
        elif key := _key(target, asked, deployment):
            if key in listed.wanted:
                listed.repeated.append(key)
            listed.wanted[key] = reading
            if not reading.is_whole:
                listed.not_whole[key] = reading
        yield
    return listed


def _key(target: Target, asked: Container[str], deployment: Deployment) -> str | None:
    """How a listed deployment is filed: as configured, else by ID; None when nobody asked for it."""
    if target.keys is None:
        return (deployment.id or deployment.name) if target.wanted(deployment) else None
    return next((k for k in (deployment.name, deployment.id) if k is not None and k in asked), None)


def _transition(old: Deployment | None, new: Deployment) -> Transition | None:
    """A change of status of one and the same deployment; one made anew under its name starts afresh."""
    if old is None or old.status is None or new.status is None or old.status == new.status or old.id != new.id:
        return None
    return Transition(old.status, new.status)


def _counted(counts: Mapping[str, int], transition: Transition | None) -> Mapping[str, int]:
    if transition is None:
        return counts
    status = transition.after if transition.after in counts or len(counts) < MAX_STATUSES else OTHER
    return {**counts, status: counts.get(status, 0) + 1}


def _shown_replicas(deployment: Deployment, limits: Limits) -> tuple[tuple[tuple[str, Replica], ...], int]:
    """The replicas that get series of their own, by name, and how many are over the limit."""
    events = deployment.replica_events
    if not events or not limits.replica_metrics:
        return (), 0
    shown = sorted(events.items())[: limits.max_replicas_per_deployment]
    return tuple(shown), len(events) - len(shown)


def _fresh(record: Record, now: Instant, stale_after: float) -> tuple[Record, float]:
    """The record without what is older than `stale_after`, and when the rest will be (monotonic seconds)."""
    state_ends = record.succeeded[0] + stale_after if record.state is not None and record.succeeded else NEVER
    queue_ends = record.queue_succeeded[0] + stale_after if record.queue and record.queue_succeeded else NEVER
    if state_ends <= now.monotonic:
        return replace(record, state=None, replicas=(), queue=None), NEVER
    if queue_ends <= now.monotonic:
        return replace(record, queue=None), state_ends
    return record, min(state_ends, queue_ends)


def _summary(home: _Project, records: Sequence[Record]) -> ProjectRecord | None:
    """None until the project has been polled."""
    if home.target.listed:
        if not home.polled:
            return None
        up = home.error is None
    elif records:
        up = any(record.up or isinstance(record.error, NotFound) for record in records)
    else:
        return None
    return ProjectRecord(home.target.project, up, sum(record.state is not None for record in records))
