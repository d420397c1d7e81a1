from __future__ import annotations

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from exporter.metrics.families import GROUPS
from exporter.metrics.reference import reference


def test_every_metric_has_one_row_with_its_labels() -> None:
    head, line, *rows = reference([]).splitlines()
    assert (head, line) == ("| metric | type | labels | meaning |", "|---|---|---|---|")
    families = [(family, group) for group in GROUPS for family in group.families]
    assert len(rows) == len(families)
    for row, (family, group) in zip(rows, families, strict=True):
        labels = ", ".join(f"`{label}`" for label in (*group.identity, *family.labels))
        assert row == f"| `{family.name}` | {family.type} | {labels} | {family.help} |"


def test_the_exporters_own_metrics_follow() -> None:
    counter = CounterMetricFamily("together_exporter_polls", "Polls.", labels=["project", "fetch"])
    counter.add_metric(["p", "list"], 1)
    gauge = GaugeMetricFamily("together_exporter_shards", "Shards.", value=1)
    histogram = HistogramMetricFamily("together_exporter_took_seconds", "Took.", labels=["project"])
    histogram.add_metric(["p"], [("1", 1.0), ("+Inf", 2.0)], 3.0)
    assert reference([counter, gauge, histogram]).splitlines()[-3:] == [
        "| `together_exporter_polls_total` | counter | `project`, `fetch` | Polls. |",
        "| `together_exporter_shards` | gauge |  | Shards. |",
        "| `together_exporter_took_seconds` | histogram | `project` | Took. |",
    ]
