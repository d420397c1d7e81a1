"""Filters and sort order of the status page, encoded in its URL."""

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
NO_GPU_VALUE = "none"  # gpu_type of deployments without GPUs, as in the metrics


def status_of(d: Deployment) -> str:
    """The status, or the reason that there is none."""
    if d.has_state:
        return d.status or "No status"
    if d.error is not None and d.error.reason == "not_found":
        return "Not found"
    return "Never read" if d.last_success is None else "No current data"


def labels(d: Deployment) -> tuple[str, ...]:
    """Configured labels as `team=search`, named as in the configuration."""
    return tuple(f"{name.removeprefix(LABEL_PREFIX)}={value}" for name, value in d.labels.items())


# Exact filters: the values of a deployment.
EXACT: Mapping[str, Callable[[Deployment], tuple[str, ...]]] = {
    "level": lambda d: (d.level,),
    "project": lambda d: (d.project,),
    "status": lambda d: (status_of(d),),
    "gpu_type": lambda d: (d.gpu_type or NO_GPU_VALUE,) if d.has_state else (),
    "label": labels,
    "deployment": lambda d: (d.deployment,),
}


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort order; ties are sorted by level, project and name. `ascending`: as displayed."""

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
    "rollout": Sort("rollout", lambda d: _share(d.replicas_updated, d.replicas_not_terminated)),
    "queue": Sort("queue", lambda d: d.queue or "\U0010ffff"),
    "poll": Sort("oldest poll", lambda d: d.last_success or ""),
}
REVERSED = frozenset({"since"})  # sort keys that are displayed in reverse


@dataclass(frozen=True, slots=True)
class Query:
    """`filter`: words that must all occur in the displayed values of a deployment. `sort`: a key of SORTS, prefixed
    with `-` for the reverse order. Others: see EXACT; `label` is `name=value`. Empty: no filter."""

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
        """Active filters by parameter."""
        return tuple((name, value) for name, value in asdict(self).items() if value and name != "sort")

    def link(self, **changes: str) -> str:
        """URL of the page with changed filters or sort order."""
        return address({**asdict(self), **changes})

    def sort_link(self, key: str) -> str:
        """URL of the page sorted by this column; reversed if already sorted by it."""
        return self.link(sort=f"-{key}" if self.sort == key else key)

    def matcher(self) -> Callable[[Deployment], bool]:
        exact = [(EXACT[name], value) for name, value in self.filters if name != "filter"]
        words = self.filter.casefold().split()
        return lambda d: all(value in values(d) for values, value in exact) and (not words or _contains(d, words))

    def order(self, matching: list[Deployment]) -> None:
        """Sorts in place."""
        is_reversed = (self.sorted_by in REVERSED) is not self.sort.startswith("-")
        matching.sort(key=SORTS[self.sorted_by].key, reverse=is_reversed)


def address(parameters: Mapping[str, str]) -> str:
    """Relative URL, valid below any path prefix."""
    chosen = {name: value for name, value in parameters.items() if value and (name, value) != ("sort", DEFAULT_SORT)}
    return f"./?{urlencode(chosen, errors='replace')}" if chosen else "./"


def _contains(d: Deployment, words: list[str]) -> bool:
    shown: list[str | None] = [d.project, d.deployment, d.id, d.level, status_of(d), d.gpu_type, d.image, d.revision]
    shown += [d.queue, *labels(d)]
    shown += [finding.message for finding in d.findings]
    shown += [word for r in d.replicas for word in (r.replica, r.status, r.reason, r.message)]
    haystack = "\n".join(word for word in shown if word).casefold()
    return all(word in haystack for word in words)
