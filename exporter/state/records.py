"""Immutable values held by the store.

A part (`State`, `History`, `Poll`, `QueueState`, `RevisionState`) that equals the previous one is the same object, so
that changes are detected by identity.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from exporter.api.errors import ApiError, Forbidden, InvalidResponse, NotFound
from exporter.api.models import Deployment, Dropped, Queue, Replica, Revision
from exporter.labels import Labels
from exporter.patterns import matches
from exporter.state.history import History
from exporter.state.instant import Instant
from exporter.state.shards import belongs


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on exported items. `replica_metrics` False: no per-replica series."""

    replica_metrics: bool = True
    max_replicas_per_deployment: int = 200
    max_deployments_per_project: int = 10_000


NO_LABELS = Labels()
OwnLabels = tuple[tuple[str, str], ...]  # exported names and values, sorted
REFUSALS = (Forbidden, NotFound, InvalidResponse)  # errors that disable an opt-in endpoint until RETRY_REFUSED
RETRY_REFUSED = 3600.0  # s


@dataclass(frozen=True, slots=True)
class Target:
    """A configured project; plain data, so that equal configurations compare equal.

    `keys`: the configured names and IDs of this shard; None discovers. `is_listed`: polled by one list.
    `stale_after`: seconds. `include`, `exclude`: regular expressions that discovered names match whole.
    `queues`: names of queues that are always read. `has_scaling_queues`: those that scale a deployment are read, too.
    `has_revisions`: the current revision of each deployment is read."""

    project: str
    keys: tuple[str, ...] | None = None
    is_listed: bool = True
    stale_after: float = 300.0
    limits: Limits = Limits()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    shard_index: int = 0
    shard_total: int = 1
    queues: tuple[str, ...] = ()
    has_scaling_queues: bool = False
    has_revisions: bool = False
    labels: Labels = NO_LABELS

    def wants(self, id_: str | None, name: str | None) -> bool:
        """Whether this shard exports a listed deployment."""
        if self.keys is not None:
            return id_ in self.configured or name in self.configured
        shown = name or id_ or ""
        included = not self.include or any(matches(pattern, shown) for pattern in self.include)
        return (
            included
            and not any(matches(pattern, shown) for pattern in self.exclude)
            and belongs(id_ or shown, self.shard_index, self.shard_total)
        )

    @property
    def configured(self) -> frozenset[str | None]:
        return _set_of(self.keys or ())


@functools.lru_cache(maxsize=1000)
def _set_of(keys: tuple[str, ...]) -> frozenset[str | None]:
    return frozenset(keys)


@dataclass(frozen=True, slots=True)
class State:
    """The last response about a deployment. `replicas`: replicas with per-replica series, by name. `dropped`: omitted
    items. `limits`: the limits applied."""

    deployment: Deployment
    replicas: tuple[tuple[str, Replica], ...] = ()
    dropped: tuple[Dropped, ...] = ()
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Poll:
    """Result of the last poll. `error`: None on success. `succeeded`: time of the last success. `failed`: time of the
    last failure, set for opt-in endpoints only."""

    error: ApiError | None = None
    succeeded: Instant | None = None
    failed: Instant | None = None

    def is_due(self, now: Instant) -> bool:
        """Whether an opt-in endpoint is due to be polled again."""
        if self.failed is None or not isinstance(self.error, REFUSALS):
            return True
        return now.monotonic - self.failed.monotonic >= RETRY_REFUSED


@dataclass(frozen=True, slots=True)
class Record:
    """A deployment. `key`: its key in requests and lists. `name`: the API's name, otherwise the key.

    `state`: None if never polled, or deleted. `labels`: configured labels."""

    key: str
    name: str
    history: History
    poll: Poll
    state: State | None = None
    labels: OwnLabels = ()


@dataclass(frozen=True, slots=True)
class Absent:
    """A discovered deployment missing from the list; its counters continue if it reappears with the same ID."""

    history: History
    name: str
    since: Instant


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue. `counts`: None if never polled."""

    poll: Poll
    counts: Queue | None = None


@dataclass(frozen=True, slots=True)
class RevisionState:
    """The revision `id` of a deployment. `details`: None if they could not be fetched."""

    id: str
    poll: Poll
    details: Revision | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """State of a project, and the token of its commits.

    `queues`: by name. `revisions`: by the record's key; the current one when fetched.
    `listing`: result of the last list, None before the first. `is_complete`: False after a list with has_more.
    `dropped`: items omitted from the last list.
    `was_polled`: polled under the previous configuration, with records still present."""

    target: Target
    records: Mapping[str, Record] = field(default_factory=lambda: MappingProxyType({}))
    absent: Mapping[str, Absent] = field(default_factory=lambda: MappingProxyType({}))
    queues: Mapping[str, QueueState] = field(default_factory=lambda: MappingProxyType({}))
    revisions: Mapping[str, RevisionState] = field(default_factory=lambda: MappingProxyType({}))
    listing: Poll | None = None
    is_complete: bool = True
    dropped: tuple[Dropped, ...] = ()
    was_polled: bool = False

    @property
    def is_polled(self) -> bool:
        """Whether everything configured has been polled once, regardless of the result."""
        if self.target.is_listed:
            return self.listing is not None or self.target.keys == ()
        return self.was_polled or all(key in self.records for key in self.target.keys or ())

    @property
    def is_observed(self) -> bool:
        """Whether there is a result to show. A shard without deployments of the project has none, and must not hide
        what the other shards see."""
        return self.is_polled and self.target.keys != ()


class Shown(NamedTuple):
    """An exported deployment. `name`: the label `deployment`. `state`: of the record, None if stale.
    `history`: of the record, with counters of this name. `revision`: the current one, None if unknown."""

    project: str
    name: str
    record: Record
    state: State | None
    history: History
    revision: Revision | None = None


@dataclass(frozen=True, slots=True)
class ShownProject:
    """A project after its first poll. `poll.error`: why the project cannot be read."""

    name: str
    poll: Poll
    deployments: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ShownQueue:
    project: str
    name: str
    counts: Queue


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All exported data in the order of /metrics. `expires`: monotonic time when some of it becomes stale. `is_ready`:
    every project has been polled once."""

    deployments: tuple[Shown, ...] = ()
    projects: tuple[ShownProject, ...] = ()
    queues: tuple[ShownQueue, ...] = ()
    expires: float = float("inf")
    is_ready: bool = False
