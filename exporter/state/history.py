"""Counts changes of a deployment between consecutive responses. Every count is a lower bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from exporter.api.models import Deployment, Replica
from exporter.state.instant import Instant
from exporter.state.reasons import ReasonClass, reason_class

STATUSES = ("Updating", "Scaling", "Ready", "Failed", "ScaledToZero")  # documented by the API
MAX_STATUSES = 50  # distinct statuses counted per deployment
OTHER = "other"  # counts all statuses above the limit


@dataclass(frozen=True, slots=True)
class Life:
    """A replica as last listed. `ended_as`: class of its last reason. `appeared`: Unix time; None for replicas present
    when the deployment was first observed, and after first readiness."""

    ended_as: ReasonClass
    ready_since: float | str | None
    appeared: float | None

    @property
    def is_ready(self) -> bool:
        return self.ready_since is not None


@dataclass(frozen=True, slots=True)
class Counts:
    """Counters of one deployment. `startup_seconds`: the sum over `startups` replicas."""

    status_changes: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    started: int = 0
    ended: Mapping[ReasonClass, int] = field(default_factory=lambda: MappingProxyType({}))
    readiness_lost: int = 0
    startup_seconds: float = 0.0
    startups: int = 0


NOTHING = Counts()


@dataclass(frozen=True, slots=True)
class History:
    """Counters belong to `id` and the exported name of the deployment; None until it is exported.

    `status`: the last one seen. `since`: when it was first seen, in seconds since 1970. `saw_change`: whether it was
    another one before; if not, it may be older. `lives`: by replica; None before the first answer that lists any."""

    id: str | None = None
    shown_as: str | None = None
    status: str | None = None
    since: float | None = None
    saw_change: bool = False
    lives: Mapping[str, Life] | None = None
    counts: Counts = NOTHING

    def after(self, deployment: Deployment, now: Instant) -> History:
        """Updated with a response; the same object if nothing changed. A different ID resets the history."""
        if self.id is not None and deployment.id is not None and deployment.id != self.id:
            return History().after(deployment, now)
        counts = self._with_status(deployment.status)
        lives, counts = self._with_replicas(deployment.replica_events, counts, now)
        id_, status = deployment.id or self.id, deployment.status or self.status
        if counts is self.counts and lives is self.lives and (id_, status) == (self.id, self.status):
            return self
        since, saw_change = self.since, self.saw_change
        if status != self.status:
            since, saw_change = now.unix, self.status is not None
        return History(id_, self.shown_as, status, since, saw_change, lives, counts)

    def named(self, name: str) -> History:
        """With this exported name; a changed name resets the counters."""
        counts = self.counts if self.shown_as is None else NOTHING
        return replace(self, shown_as=name, counts=counts)

    def _with_status(self, status: str | None) -> Counts:
        counts = self.counts
        if status is None or self.status is None or status == self.status:
            return counts
        changes = counts.status_changes
        is_apart = status in STATUSES or status in changes or len(changes.keys() - STATUSES) < MAX_STATUSES
        name = status if is_apart else OTHER
        return replace(counts, status_changes={**changes, name: changes.get(name, 0) + 1})

    def _with_replicas(
        self, listed: Mapping[str, Replica | None] | None, counts: Counts, now: Instant
    ) -> tuple[Mapping[str, Life] | None, Counts]:
        """`listed` None: unknown, not "all ended"."""
        if listed is None:
            return self.lives, counts
        if self.lives is None:
            return {name: _life(replica, Life("other", None, None)) for name, replica in listed.items()}, counts
        lives: dict[str, Life] = {}
        for name, replica in listed.items():
            before = self.lives.get(name)
            if before is None:
                counts = replace(counts, started=counts.started + 1)
                before = Life("other", None, now.unix)
            lives[name], counts = _counted(before, replica, counts)
        for name in self.lives.keys() - listed.keys():
            ended = self.lives[name].ended_as
            counts = replace(counts, ended={**counts.ended, ended: counts.ended.get(ended, 0) + 1})
        return self.lives if lives == self.lives else lives, counts


def _counted(before: Life, replica: Replica | None, counts: Counts) -> tuple[Life, Counts]:
    """A replica that is still listed."""
    life = _life(replica, before)
    if before.is_ready and life.ready_since != before.ready_since:
        counts = replace(counts, readiness_lost=counts.readiness_lost + 1)
    if replica is not None and life.is_ready and life.appeared is not None:
        counts = _with_startup(counts, replica, life.appeared)
        life = replace(life, appeared=None)
    return before if life == before else life, counts


def _life(replica: Replica | None, before: Life) -> Life:
    """What is unknown stays as it was. `replica` None: listed, but unreadable."""
    if replica is None:
        return before
    reason, ready_since = replica.replica_status_reason, before.ready_since
    ended_as = before.ended_as if reason is None else reason_class(reason)
    if replica.replica_status is not None:
        ready_since = replica.replica_ready_since if replica.is_ready else None
    return Life(ended_as, ready_since, before.appeared)


def _with_startup(counts: Counts, replica: Replica, appeared: float) -> Counts:
    ready = replica.ready_timestamp
    if ready is None:
        return counts
    return replace(
        counts, startup_seconds=counts.startup_seconds + max(0.0, ready - appeared), startups=counts.startups + 1
    )
