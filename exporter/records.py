"""What is known of deployments and projects, as the store files it and the metrics read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from exporter.api.errors import ApiError
from exporter.api.models import Deployment, Queue, Replica

OTHER = "other"  # what an unlimited set of label values ends in


class Instant(NamedTuple):
    """One moment on two clocks, in seconds: ages come from `monotonic`, which never steps; `unix` is for show."""

    monotonic: float
    unix: float


class Transition(NamedTuple):
    before: str
    after: str


NO_CHANGES: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Limits:
    """What of a fleet is shown. `replica_metrics` False: no per-replica series, the counts stay."""

    stale_after: float = 300.0
    replica_metrics: bool = True
    max_replicas_per_deployment: int = 200
    max_deployments_per_project: int = 10_000


@dataclass(frozen=True, slots=True)
class Target:
    """One project as configured. `keys`: the names or IDs asked for; None discovers those that are `wanted`.
    `listed`: one request for all."""

    project: str
    keys: tuple[str, ...] | None = None
    listed: bool = True
    limits: Limits = Limits()
    wanted: Callable[[Deployment], bool] = lambda _: True

    def asks_for(self, record: Record) -> bool:
        """Whether what was known before a reload is still to be shown."""
        if self.keys is not None:
            return record.key in self.keys
        return record.state is None or self.wanted(record.state)


@dataclass(frozen=True, slots=True)
class Record:
    """One deployment as last known; replaced, never changed.

    `key`: how it is asked for. `name`: the label `deployment`. `state`, `replicas`, `queue`: None or empty where
    nothing is known or it is too old. `error`: why the last poll failed, None when it worked. `limits`: by which
    `replicas` were chosen."""

    project: str
    key: str
    name: str
    state: Deployment | None = None
    replicas: tuple[tuple[str, Replica], ...] = ()
    queue: Queue | None = None
    status_changes: Mapping[str, int] = field(default_factory=lambda: NO_CHANGES)
    error: ApiError | None = None
    succeeded: Instant | None = None
    queue_succeeded: Instant | None = None
    limits: Limits = Limits()

    @property
    def up(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """`up`: whether the API answered for at least one deployment at its last poll (a 404 is an answer)."""

    project: str
    up: bool
    deployments: int


@dataclass(frozen=True, slots=True)
class View:
    """Everything that can be shown at one moment. The same `generation` means the same content."""

    generation: int
    records: tuple[Record, ...]
    projects: tuple[ProjectRecord, ...]
