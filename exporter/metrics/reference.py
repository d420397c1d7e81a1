"""The metrics reference as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric

from exporter.metrics.families import GROUPS


def reference(own: Iterable[Metric]) -> str:
    """Table of all metrics in the order of /metrics; `own`: metrics about the exporter, without those of the client
    library."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    lines += [_row(*row) for row in _rows()]
    lines += [_row(_own_name(m), m.type, _own_labels(m), m.documentation) for m in own]
    return "\n".join(lines) + "\n"


def _rows() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    for group in GROUPS:
        for family in group.families:
            yield family.name, family.type, (*group.identity, *family.labels), family.help


def _row(name: str, kind: str, labels: tuple[str, ...], text: str) -> str:
    named = ", ".join(f"`{label}`" for label in labels)
    return f"| `{name}` | {kind} | {named} | {text} |"


def _own_name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _own_labels(metric: Metric) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for sample in metric.samples for name in sample.labels if name != "le"))
