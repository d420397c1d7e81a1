"""Where each group of rows finds its subjects in a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from exporter.metrics.families import DEPLOYMENT, HISTORY, POLL, REPLICA
from exporter.metrics.family import Group, Sample
from exporter.store import Record

Subject = tuple[tuple[str, ...], Any]  # identity label values, and what the rows of the group read


@dataclass(frozen=True, slots=True)
class Source:
    """Where a group finds its subjects in a record. Equal `key`: equal lines."""

    group: Group[Any]
    key: Callable[[Record], object]
    subjects: Callable[[Record], Iterable[Subject]]


SOURCES = (
    Source(DEPLOYMENT, lambda r: r.state, lambda r: [((r.project, r.name), r.state)] if r.state else []),
    Source(REPLICA, lambda r: r.replicas, lambda r: [((r.project, r.name, name), x) for name, x in r.replicas]),
    Source(HISTORY, lambda r: (r.state is None, r.transitions, r.queue), lambda r: [((r.project, r.name), r)]),
    Source(POLL, lambda r: r, lambda r: [((r.project, r.name), r)]),
)


def unique(samples: Iterable[Sample]) -> Iterable[Sample]:
    """The first sample of each label set: Prometheus refuses a whole scrape for one series that comes twice."""
    found: dict[tuple[str, ...], float] = {}
    for labels, value in samples:
        found.setdefault(labels, value)
    return found.items()
