"""Which names of metrics there are."""

from __future__ import annotations

import re

from exporter.metrics.families import GROUPS
from exporter.rules.groups import RECORDS
from exporter.self_metrics import described

METRIC = re.compile(r"\btogether[_:][a-z_]+")


def shown() -> set[str]:
    """Every metric of the exporter, as Prometheus knows it."""
    families = {family.name for group in GROUPS for family in group.families}
    summaries = {
        f"{name}_{part}" for name in families for part in ("sum", "count") if name.endswith("_startup_seconds")
    }
    own = {sample for metric in described() for sample in (metric.name, *(each.name for each in metric.samples))}
    return families | summaries | own


def known() -> set[str]:
    return shown() | set(RECORDS)
