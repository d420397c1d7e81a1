"""What of the fleet the status page shows, and in which order: read from its address, and written back to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from exporter.status.model import LEVELS, Deployment

MAX_FILTER = 200  # characters
MAX_VALUE = 2100  # characters; a name and a value, as long as they may be
DEFAULT_SORT = "trouble"
LABEL_PREFIX = "label_"  # in the metrics
NONE = "none"  # stands for no GPU, as in the metrics


def status_of(d: Deployment) -> str:
    """Its status, or why there is none."""
    if d.last_known is not None:
        return "No current data"
    if d.error is not None and d.error.reason == "not_found":
        return "Not found"
    if d.last_success is None:
        return "Never read"
    return d.status or "No status"


def has_state(d: Deployment) -> bool:
    return d.last_known is None and d.last_success is not None and status_of(d) != "Not found"


def labels(d: Deployment) -> tuple[str, ...]:
    """Its own labels, `team=search`, named as in the configuration."""
    return tuple(f"{name.removeprefix(LABEL_PREFIX)}={value}" for name, value in d.labels.items())


# What one can filter by exactly: the values that a deployment has.
EXACT: Mapping[str, Callable[[Deployment], tuple[str, ...]]] = {
    "level": lambda d: (d.level,),
    "project": lambda d: (d.project,),
    "status": lambda d: (status_of(d),),
    "gpu_type": lambda d: (d.gpu_type or NONE,) if has_state(d) else (),
    "label": labels,
    "deployment": lambda d: (d.deployment,),
}


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of the deployments; equal ones stay by trouble, project and name. `ascending`: as people see it."""

    title: str
    key: Callable[[Deployment], Any]
    ascending: bool = True


def _share(part: float | None, whole: float | None) -> float:
    return (part or 0) / whole if whole else 1.0


def _gpus(d: Deployment) -> float:
    return (d.gpus_per_replica or 0) * (d.desired_replicas or 0)


SORTS: dict[str, Sort] = {
    "name": Sort("name", lambda d: (d.deployment, d.project)),
    DEFAULT_SORT: Sort("trouble first", lambda d: LEVELS.index(d.level), ascending=False),
    "since": Sort("latest change", lambda d: d.status_since or "", ascending=False),
    "ready": Sort("share of ready replicas", lambda d: _share(d.ready_replicas, d.desired_replicas)),
    "gpus": Sort("GPUs", lambda d: -_gpus(d), ascending=False),
    "rollout": Sort("rollout", lambda d: _share(d.replicas_updated, d.replicas_listed)),
    "queue": Sort("queue", lambda d: d.queue or "\U0010ffff"),
    "poll": Sort("oldest poll", lambda d: d.last_success or ""),
}
REVERSED = frozenset({"since"})  # their keys ascend where people want to see the opposite first


@dataclass(frozen=True, slots=True)
class Query:
    """`filter`: words that must all occur in what is shown of a deployment. `sort`: a key of SORTS, with `-` before it
    for the opposite order. The others: see EXACT; `label` is `name=value`. Empty: not filtered by."""

    filter: str = ""
    level: str = ""
    project: str = ""
    status: str = ""
    gpu_type: str = ""
    label: str = ""
    deployment: str = ""
    sort: str = DEFAULT_SORT

    @classmethod
    def of(cls, parameters: QueryParams) -> Query:
        values = {field.name: parameters.get(field.name, "")[:MAX_VALUE] for field in fields(cls)}
        sort = values["sort"] if values["sort"].removeprefix("-") in SORTS else DEFAULT_SORT
        return cls(**{**values, "filter": values["filter"].strip()[:MAX_FILTER], "sort": sort})

    @property
    def sorted_by(self) -> str:
        return self.sort.removeprefix("-")

    @property
    def is_ascending(self) -> bool:
        return SORTS[self.sorted_by].ascending is not self.sort.startswith("-")

    @property
    def filters(self) -> tuple[tuple[str, str], ...]:
        """Those in use, by parameter."""
        return tuple((name, value) for name, value in asdict(self).items() if value and name != "sort")

    def link(self, **changes: str) -> str:
        """The address of the same page with other filters or another order."""
        return address({**asdict(self), **changes})

    def sort_link(self, key: str) -> str:
        """By this column; the other way round where it is sorted by it already."""
        return self.link(sort=f"-{key}" if self.sort == key else key)

    def matcher(self) -> Callable[[Deployment], bool]:
        exact = [(EXACT[name], value) for name, value in self.filters if name != "filter"]
        words = self.filter.casefold().split()
        return lambda d: all(value in values(d) for values, value in exact) and (not words or _contains(d, words))

    def order(self, found: list[Deployment]) -> None:
        """In place."""
        is_reversed = (self.sorted_by in REVERSED) is not self.sort.startswith("-")
        found.sort(key=SORTS[self.sorted_by].key, reverse=is_reversed)


def address(parameters: Mapping[str, str]) -> str:
    """Relative, so that it works below any path."""
    given = {name: value for name, value in parameters.items() if value and (name, value) != ("sort", DEFAULT_SORT)}
    return f"./?{urlencode(given, errors='replace')}" if given else "./"


def _contains(d: Deployment, words: list[str]) -> bool:
    shown: list[str | None] = [d.project, d.deployment, d.id, d.level, status_of(d), d.gpu_type, d.image, d.revision]
    shown += [d.queue, *labels(d)]
    shown += [finding.message for finding in d.findings]
    shown += [word for r in d.replicas for word in (r.replica, r.status, r.reason, r.message)]
    haystack = "\n".join(word for word in shown if word).casefold()
    return all(word in haystack for word in words)
