"""Holds the immutable project values and takes snapshots of all of them. Has no callbacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace

from exporter.api.models import DROP_REASONS, Revision
from exporter.state.instant import Instant
from exporter.state.names import shown_names
from exporter.state.projects import project_error, queues_of, reconfigured, without_refusals, without_unread
from exporter.state.records import Poll, Project, Record, Shown, ShownProject, ShownQueue, Snapshot, State, Target

NEVER = float("inf")  # monotonic seconds


class Store:
    """Written by polls, read by the renderer. Cached: the latest snapshot, until a commit or until data becomes
    stale."""

    def __init__(self, targets: Iterable[Target] = ()) -> None:
        self._projects: Mapping[str, Project] = {}
        self._snapshot: tuple[Mapping[str, Project], Snapshot] | None = None
        self.configure(targets)

    def configure(self, targets: Iterable[Target], changed: Collection[str] = ()) -> None:
        """Sets new targets. Records that are still configured are kept. `changed`: projects with new settings, which
        may also be of their requests."""
        projects = {each.project: reconfigured(self._projects.get(each.project), each) for each in targets}
        self._projects = {
            name: without_refusals(project) if name in changed else project for name, project in projects.items()
        }

    def project(self, name: str) -> Project | None:
        """The value of a project; None if it is not configured."""
        return self._projects.get(name)

    @property
    def projects(self) -> Mapping[str, Project]:
        return self._projects

    def commit(self, before: Project, after: Project) -> bool:
        """Replaces `before` with `after`; returns False without a change if `before` is no longer current.

        Concurrent changes are kept if `after` did not change the same part: each kind of fetch has its own mapping, so
        that concurrent polls of queues do not conflict with a long list."""
        name = before.target.project
        current = self._projects.get(name)
        merged = None if current is None else _merged(before, after, current)
        if merged is None:
            return False
        if merged is not current:
            self._projects = {**self._projects, name: merged}
        return True

    def is_current(self, snapshot: Snapshot, now: Instant) -> bool:
        """Whether the snapshot is still current: no commits, no stale data."""
        latest = self._snapshot
        return (
            latest is not None
            and latest[1] is snapshot
            and latest[0] is self._projects
            and now.monotonic < snapshot.expires
        )

    async def snapshot(self, now: Instant) -> Snapshot:
        """The data to export, sorted by project and name, from the values at the time of the call."""
        if self._snapshot is not None and self.is_current(self._snapshot[1], now):
            return self._snapshot[1]
        projects = self._projects
        shown: dict[str, list[Shown]] = {}
        for name in sorted(projects):
            shown[name] = await _shown(projects[name], now)
        is_of_now = self._projects is projects
        self._settle(shown)
        snapshot = Snapshot(
            deployments=tuple(each for deployments in shown.values() for each in deployments),
            projects=tuple(_summary(projects[name], shown[name]) for name in shown if projects[name].is_observed),
            queues=tuple(queue for name in shown for queue in _queues(projects[name], now)),
            expires=min((_expires(project, now) for project in projects.values()), default=NEVER),
            is_ready=all(project.is_polled for project in projects.values()),
        )
        self._snapshot = (self._projects if is_of_now else projects, snapshot)
        return snapshot

    def _settle(self, shown: Mapping[str, list[Shown]]) -> None:
        """Records the exported names in the histories: counters belong to ID and exported name."""
        projects = dict(self._projects)
        for name, deployments in shown.items():
            project = projects.get(name)
            if project is None:
                continue
            renamed: dict[str, Record] = {}
            for each in deployments:
                current = project.records.get(each.record.key)
                if current is None or current.history.shown_as == each.name:
                    continue
                is_same = current.history is each.record.history
                history = each.history if is_same else current.history.named(each.name)
                renamed[current.key] = replace(current, history=history)
            if renamed:
                projects[name] = replace(project, records={**project.records, **renamed})
        if any(projects[name] is not project for name, project in self._projects.items()):
            self._projects = projects


def _merged(before: Project, after: Project, current: Project) -> Project | None:
    """`after` merged with the changes from `before` to `current`; None on conflict."""
    if current is before:
        return after
    changes = {}
    for part in fields(Project):
        old, new, now = (getattr(value, part.name) for value in (before, after, current))
        if new is not old and now is not old:
            return None
        if new is not old:
            changes[part.name] = new
    return None if current.target is not before.target else without_unread(replace(current, **changes))


async def _shown(project: Project, now: Instant) -> list[Shown]:
    name, stale_after = project.target.project, project.target.stale_after
    shown = []
    async for label, record in shown_names(project.records):
        history = record.history if record.history.shown_as == label else record.history.named(label)
        state = record.state if _is_fresh(record.poll, stale_after, now) else None
        shown.append(Shown(name, label, record, state, history, _revision(project, record.key, state)))
    shown.sort(key=lambda each: each.name)
    return shown


def _revision(project: Project, key: str, state: State | None) -> Revision | None:
    known = project.revisions.get(key)
    if known is None or state is None or state.deployment.revision != known.id:
        return None
    return known.details


def _is_fresh(poll: Poll, stale_after: float, now: Instant) -> bool:
    return poll.succeeded is not None and now.monotonic < poll.succeeded.monotonic + stale_after


def _queues(project: Project, now: Instant) -> list[ShownQueue]:
    """Queues that are polled and have current counts."""
    asked = queues_of(project.records, project.target) if project.queues else []
    known = ((queue, project.queues[queue]) for queue in asked if queue in project.queues)
    return [
        ShownQueue(project.target.project, queue, state.counts)
        for queue, state in known
        if state.counts is not None and _is_fresh(state.poll, project.target.stale_after, now)
    ]


def _summary(project: Project, shown: Sequence[Shown]) -> ShownProject:
    if project.target.is_listed:
        poll = project.listing or Poll()
    else:
        polls = [each.record.poll for each in shown]
        succeeded = max((poll.succeeded for poll in polls if poll.succeeded), default=None)
        poll = Poll(project_error(each.record for each in shown), succeeded)
    dropped: Counter[str] = Counter(dict.fromkeys(DROP_REASONS, 0))
    for each in project.dropped:
        dropped[each.reason] += each.count
    for item in shown:
        if item.record.state is not None:
            for each in item.record.state.dropped:
                dropped[each.reason] += each.count
    return ShownProject(
        name=project.target.project,
        poll=poll,
        deployments=sum(each.state is not None for each in shown),
        dropped=dropped,
    )


def _expires(project: Project, now: Instant) -> float:
    """When the next fresh data becomes stale."""
    stale_after = project.target.stale_after
    polls = [record.poll for record in project.records.values() if record.state is not None]
    polls += [queue.poll for queue in project.queues.values() if queue.counts is not None]
    ends = (poll.succeeded.monotonic + stale_after for poll in polls if poll.succeeded is not None)
    return min((end for end in ends if end > now.monotonic), default=NEVER)
