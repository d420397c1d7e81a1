"""The values that the store holds: replaced whole and never changed.

A part (`State`, `History`, `Poll`, `QueueState`, `RevisionState`) that equals the one before *is* the one before, so
that what must be rendered again is known by `is`.
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
    """What of a deployment and a project is shown. `replica_metrics` False: no per-replica series."""

    replica_metrics: bool = True
    max_replicas_per_deployment: int = 200
    max_deployments_per_project: int = 10_000


NO_LABELS = Labels()
OwnLabels = tuple[tuple[str, str], ...]  # exported names and values, sorted
REFUSALS = (Forbidden, NotFound, InvalidResponse)  # by which an opt-in endpoint shows that it is of no use
RETRY_REFUSED = 3600.0  # s after which it is tried again


@dataclass(frozen=True, slots=True)
class Target:
    """One project as configured; plain data, so that two that are alike are equal.

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
        """Whether a deployment in the list is this exporter's."""
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
    """The API's answer about one deployment. `replicas`: those with series of their own, by name. `dropped`: what of
    the answer is not shown. `limits`: by which both were chosen."""

    deployment: Deployment
    replicas: tuple[tuple[str, Replica], ...] = ()
    dropped: tuple[Dropped, ...] = ()
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Poll:
    """How the last poll went. `error`: None where it succeeded. `succeeded`: when one last did. `failed`: when the last
    one failed, noted for opt-in endpoints only."""

    error: ApiError | None = None
    succeeded: Instant | None = None
    failed: Instant | None = None

    def is_due(self, now: Instant) -> bool:
        """Whether an opt-in endpoint is to be read again."""
        if self.failed is None or not isinstance(self.error, REFUSALS):
            return True
        return now.monotonic - self.failed.monotonic >= RETRY_REFUSED


@dataclass(frozen=True, slots=True)
class Record:
    """One deployment. `key`: how it is asked for, or found in the list. `name`: what the API calls it, else the key.

    `state`: None where nothing is known, or it was deleted. `labels`: the user's own."""

    key: str
    name: str
    history: History
    poll: Poll
    state: State | None = None
    labels: OwnLabels = ()


@dataclass(frozen=True, slots=True)
class Absent:
    """A discovered deployment that left the list: its counters go on if it is back with the same ID."""

    history: History
    name: str
    since: Instant


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue. `counts`: None where nothing is known."""

    poll: Poll
    counts: Queue | None = None


@dataclass(frozen=True, slots=True)
class RevisionState:
    """The revision `id` of a deployment. `details`: None where they could not be read."""

    id: str
    poll: Poll
    details: Revision | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """Everything about one project; also the token that a commit is compared with.

    `queues`: by name. `revisions`: by the record's key; the one that was current when it was read.
    `listing`: how the last list went, None before the first. `dropped`: items of the last list that are not shown.
    `was_polled`: under the configuration before, and some of it is still there."""

    target: Target
    records: Mapping[str, Record] = field(default_factory=lambda: MappingProxyType({}))
    absent: Mapping[str, Absent] = field(default_factory=lambda: MappingProxyType({}))
    queues: Mapping[str, QueueState] = field(default_factory=lambda: MappingProxyType({}))
    revisions: Mapping[str, RevisionState] = field(default_factory=lambda: MappingProxyType({}))
    listing: Poll | None = None
    dropped: tuple[Dropped, ...] = ()
    was_polled: bool = False

    @property
    def is_polled(self) -> bool:
        """Whether everything configured at the start has been polled once, whatever the result."""
        if self.target.is_listed:
            return self.listing is not None or self.target.keys == ()
        return self.was_polled or all(key in self.records for key in self.target.keys or ())


class Shown(NamedTuple):
    """One deployment as it is shown. `name`: the label `deployment`. `state`: the record's, None where it is stale.
    `history`: the record's, with counters that belong to this name. `revision`: the state's
    current one, None where it is not known."""

    project: str
    name: str
    record: Record
    state: State | None
    history: History
    revision: Revision | None = None


@dataclass(frozen=True, slots=True)
class ShownProject:
    """One project after its first poll. `poll.error`: why nothing of it could be read."""

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
    """Everything that is shown at one moment, in the order of /metrics. `expires`: when some of it becomes stale, in
    monotonic seconds. `is_ready`: every project has been polled once."""

    deployments: tuple[Shown, ...] = ()
    projects: tuple[ShownProject, ...] = ()
    queues: tuple[ShownQueue, ...] = ()
    expires: float = float("inf")
    is_ready: bool = False
