"""The same rows as a plain prometheus_client collector: slow, and the oracle that the exposition is held to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.metrics_core import Metric

from exporter.metrics.families import PRICE, PROJECT
from exporter.metrics.family import Family, Group, unique
from exporter.metrics.sources import SOURCES
from exporter.records import View


class ViewCollector:
    """Register it with a CollectorRegistry; collects one view."""

    def __init__(self, view: View, prices: Mapping[str, float]) -> None:
        self._view = view
        self._prices = prices

    def collect(self) -> Iterator[Metric]:
        for source in SOURCES:
            yield from _families(source.group, [s for r in self._view.records for s in source.subjects(r)])
        yield from _families(PROJECT, [((p.project,), p) for p in self._view.projects])
        yield from _families(PRICE, [((), self._prices)])


def _families(group: Group[Any], subjects: Iterable[tuple[tuple[str, ...], Any]]) -> Iterator[Metric]:
    known = list(subjects)
    for family in group.families:
        metric = _metric(family, group.identity, known)
        if metric.samples:
            yield metric


def _metric(family: Family[Any], identity: tuple[str, ...], subjects: list[tuple[tuple[str, ...], Any]]) -> Metric:
    name = family.name.removesuffix("_total") if family.type == "counter" else family.name
    metric = Metric(name, family.help, family.type)
    for identity_values, subject in subjects:
        for labels, value in unique(family.samples(subject)):
            names = (*identity, *family.labels)
            metric.add_sample(family.name, dict(zip(names, (*identity_values, *labels), strict=True)), value + 0.0)
    return metric
