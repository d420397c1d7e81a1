"""Which names of metrics there are."""

from __future__ import annotations

import re

from exporter.instrumentation import described
from exporter.metrics.families import GROUPS
from exporter.rules.groups import RECORDS

METRIC = re.compile(r"\btogether[_:][a-z_]+")
ARRIVING = frozenset(
    {
        "together_deployment_labels",
        "together_deployment_queue_info",
        "together_deployment_readiness_lost_total",
        "together_deployment_replica_startup_seconds_count",
        "together_deployment_replica_startup_seconds_sum",
        "together_deployment_replicas_ended_total",
        "together_deployment_replicas_with_reason",
        "together_exporter_poll_interval_seconds",
        "together_project_items_dropped",
        "together_project_poll_error",
    }
)  # of the contract; the exporter does not show them yet


def shown() -> set[str]:
    """Every metric of the exporter, as Prometheus knows it."""
    families = {family.name for group in GROUPS for family in group.families}
    summaries = {
        f"{name}_{part}" for name in families for part in ("sum", "count") if name.endswith("_startup_seconds")
    }
    own = {sample for metric in described() for sample in (metric.name, *(each.name for each in metric.samples))}
    return families | summaries | own


def known() -> set[str]:
    return shown() | ARRIVING | set(RECORDS)
