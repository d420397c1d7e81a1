"""Where each group of rows finds its subjects in a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from exporter.metrics.families import DEPLOYMENT, HISTORY, POLL, REPLICA
from exporter.metrics.family import Group, unique
from exporter.records import Record

Subject = tuple[tuple[str, ...], Any]  # identity label values, and what the rows of the group read


@dataclass(frozen=True, slots=True)
class Source:
    """Where a group finds its subjects in a record. `is_same`: whether two records of one name have the same lines;
    the store keeps the objects of what has not changed."""

    group: Group[Any]
    is_same: Callable[[Record, Record], bool]
    subjects: Callable[[Record], Iterable[Subject]]


SOURCES = (
    Source(DEPLOYMENT, lambda a, b: a.state is b.state, lambda r: [((r.project, r.name), r.state)] if r.state else []),
    Source(
        REPLICA,
        lambda a, b: a.replicas is b.replicas,
        lambda r: [((r.project, r.name, name), x) for name, x in r.replicas],
    ),
    Source(HISTORY, lambda a, b: _history(a) == _history(b), lambda r: [((r.project, r.name), r)]),
    Source(POLL, lambda a, b: _poll(a) == _poll(b), lambda r: [((r.project, r.name), r)]),
)


def _history(record: Record) -> tuple[object, ...]:
    return record.state is None, record.status_changes, record.queue


def _poll(record: Record) -> tuple[object, ...]:
    return record.succeeded, record.error and record.error.reason


def count(record: Record) -> int:
    """How many series a record has."""
    return sum(
        len(unique(family.samples(subject)))
        for source in SOURCES
        for _, subject in source.subjects(record)
        for family in source.group.families
    )
