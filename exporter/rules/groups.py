"""THE table: every group of rules, in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.rules.alert import Alert, Record
from exporter.rules.deployments import DEPLOYMENT_ALERTS
from exporter.rules.exporters import EXPORTER_ALERTS
from exporter.rules.projects import POLL_ALERTS, QUEUE_ALERTS, SECRET_ALERTS
from exporter.rules.records import ALERT_RECORDS, HOURLY_RECORDS, USAGE_RECORDS
from exporter.rules.replicas import REPLICA_ALERTS


@dataclass(frozen=True, slots=True)
class Group:
    """`interval`: a placeholder."""

    name: str
    interval: str
    rules: Sequence[Record | Alert]


GROUPS = (
    Group("together-usage", "<minute>", USAGE_RECORDS),
    Group("together-usage-hourly", "<hour>", HOURLY_RECORDS),
    # One group: alerts read the records of the same evaluation and the alerts of the previous one.
    Group(
        "together-alerts",
        "<minute>",
        (
            *ALERT_RECORDS,
            *DEPLOYMENT_ALERTS,
            *REPLICA_ALERTS,
            *SECRET_ALERTS,
            *QUEUE_ALERTS,
            *POLL_ALERTS,
            *EXPORTER_ALERTS,
        ),
    ),
)
ALERTS = {rule.name: rule for group in GROUPS for rule in group.rules if isinstance(rule, Alert)}
RECORDS: dict[str, Record] = {rule.name: rule for group in GROUPS for rule in group.rules if isinstance(rule, Record)}


def read_by(expr: str) -> dict[str, str]:
    """The expressions of all records that an expression depends on, by name."""
    found: dict[str, str] = {}
    texts = [expr]
    while texts:
        names = set(re.findall(r"together:\w+", texts.pop())) & RECORDS.keys() - found.keys()
        found |= {name: RECORDS[name].expr for name in names}
        texts += [RECORDS[name].expr for name in names]
    return found
