"""What prometheus_client makes of a snapshot, from the same rows: slow, and the measure of every byte of a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter.metrics.families import PARTS, PRICE, PROJECT, QUEUE
from exporter.metrics.family import Family, Group
from exporter.metrics.page import Format
from exporter.state.records import Snapshot

Subjects = list[tuple[tuple[str, ...], Any]]  # identity, and what the rows read


class SnapshotCollector:
    """Collects one snapshot."""

    def __init__(self, snapshot: Snapshot, prices: Mapping[str, float]) -> None:
        self._snapshot = snapshot
        self._prices = prices

    def collect(self) -> Iterator[Metric]:
        for part in PARTS:
            for source in part.sources:
                subjects = [
                    ((shown.project, shown.name, *more), subject)
                    for shown in self._snapshot.deployments
                    for more, subject in source.subjects(shown)
                ]
                yield from _families(source.group, subjects)
        yield from _families(PROJECT, [((project.name,), project) for project in self._snapshot.projects])
        yield from _families(QUEUE, [((queue.project, queue.name), queue) for queue in self._snapshot.queues])
        yield from _families(PRICE, [((), self._prices)])


def generated(snapshot: Snapshot, prices: Mapping[str, float], format_: Format) -> bytes:
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(snapshot, prices))
    if format_ == "text":
        return generate_latest(registry)
    text: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]  # has no annotations
    return text.removesuffix(b"# EOF\n")


def _families(group: Group[Any], subjects: Subjects) -> Iterator[Metric]:
    for family in group.families:
        metric = _metric(family, group.identity, subjects)
        if metric.samples:
            yield metric


def _metric(family: Family[Any], identity: tuple[str, ...], subjects: Subjects) -> Metric:
    name = family.name.removesuffix("_total") if family.type == "counter" else family.name
    metric = Metric(name, family.help, family.type, family.unit or "")
    for values, subject in subjects:
        seen: set[tuple[str, ...]] = set()
        for own, value in _without_repeats(family.samples(subject), seen):
            suffix, own_labels = (own[0], ()) if family.type == "summary" else ("", own)
            if family.has_own_labels:
                names, own_labels = (*identity, *own[::2]), own[1::2]
            else:
                names = (*identity, *family.labels)
            labels = dict(zip(names, (*values, *own_labels), strict=True))
            metric.add_sample(family.name + suffix, labels, value + 0.0)
    return metric


def _without_repeats(
    samples: Iterable[tuple[tuple[str, ...], float]], seen: set[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], float]]:
    for labels, value in samples:
        if labels not in seen:
            seen.add(labels)
            yield labels, value
