"""prometheus_client's metrics that say when they are written to: what has not changed need not be put in text again."""

from __future__ import annotations

from typing import Any

import prometheus_client
from prometheus_client import disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

# prometheus_client would add a second series to each counter, which nobody asked for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # has no annotations

_changes = 0


def changes() -> int:
    """How often any of these metrics has been written to, in the whole process."""
    return _changes


def _note() -> None:
    global _changes  # noqa: PLW0603 - the children that labels() makes know nothing but their class
    _changes += 1


class _Counted(MetricWrapperBase):
    """What is written to a metric, and which series it has."""

    def labels(self, *values: Any, **named: Any) -> Any:
        _note()  # it may be a new series
        return super().labels(*values, **named)

    def remove(self, *values: Any) -> None:
        _note()
        super().remove(*values)

    def remove_by_labels(self, labels: dict[str, str]) -> None:
        _note()
        super().remove_by_labels(labels)

    def clear(self) -> None:
        _note()
        super().clear()


class Counter(_Counted, prometheus_client.Counter):
    def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
        _note()
        super().inc(amount, exemplar)


class Gauge(_Counted, prometheus_client.Gauge):
    def set(self, value: float) -> None:
        _note()
        super().set(value)


class Histogram(_Counted, prometheus_client.Histogram):
    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        _note()
        super().observe(amount, exemplar)
