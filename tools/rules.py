"""The rules as they ship, for Prometheus and for its operator, and what the docs tell of them."""

from __future__ import annotations

from pathlib import Path

from exporter.rules.build import build
from exporter.rules.config import RulesConfig
from exporter.rules.groups import ALERTS
from exporter.rules.output import as_yaml, prometheus_rule
from exporter.rules.thresholds import DURATIONS, Thresholds
from tools.docs import DOCS, placed

DEPLOY = Path(__file__).parents[1] / "deploy"


def index() -> str:
    """Every alert with what it needs to fire, for people."""
    rows = "\n".join(
        f"| [{alert.name}]({alert.name}.md) | {alert.severity}{'' if alert.enabled else ', off by default'} "
        f"| {alert.summary} | {alert.hold} |"
        for alert in ALERTS.values()
    )
    return f"""# Alerts

Made by `make generate`. The page of an alert tells its meaning, its impact, how to diagnose it and what to do.
[Alerting](../alerting.md) tells how to change the rules.

| alert | severity | summary | for |
|---|---|---|---|
{rows}
"""


def settings() -> str:
    """The keys of the configuration and the thresholds."""
    written = Thresholds().written()
    rows = [
        f"| `{name}` | {field.description} |" for name, field in RulesConfig.model_fields.items() if field.description
    ]
    thresholds = [
        f"| `{name}` | `{written[name]}` | {'duration' if name in DURATIONS else 'number'} | {field.description} |"
        for name, field in Thresholds.model_fields.items()
    ]
    return "\n".join(
        (
            "| key | meaning |",
            "|---|---|",
            *rows,
            "| `thresholds` | The numbers and windows of the next table. |",
            "",
            "| threshold | default | type | meaning |",
            "|---|---|---|---|",
            *thresholds,
        )
    )


def files() -> dict[Path, str]:
    """Path to content."""
    content, alerting = build(), DOCS / "alerting.md"
    return {
        DEPLOY / "prometheus" / "rules.yml": as_yaml(content),
        DEPLOY / "kubernetes" / "prometheusrule.yml": as_yaml(prometheus_rule(content)),
        DOCS / "runbooks" / "README.md": index(),
        alerting: placed(alerting, "rules", settings() + "\n"),
    }
