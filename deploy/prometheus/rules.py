"""Writes the rules as they ship, for Prometheus and for its operator; `--check` says whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.made import write_or_check
from exporter.rules.build import build
from exporter.rules.config import RulesConfig
from exporter.rules.groups import ALERTS
from exporter.rules.output import as_yaml, prometheus_rule
from exporter.rules.thresholds import DURATIONS, Thresholds

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- made from the code: {name} -->\n", "<!-- end: {name} -->"


def index() -> str:
    """Every alert with what it needs to fire, for people."""
    rows = "\n".join(
        f"| [{alert.name}]({alert.name}.md) | {alert.severity}{'' if alert.enabled else ', off by default'} "
        f"| {alert.summary} | {alert.lasts} |"
        for alert in ALERTS.values()
    )
    return f"""# Alerts

Made by `make rules`. The page of an alert tells its meaning, its impact, how to diagnose it and what to do.
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


def placed(text: str, name: str, content: str) -> str:
    before, begin, rest = text.partition(BEGIN.format(name=name))
    _, end, after = rest.partition(END.format(name=name))
    return f"{before}{begin}\n{content}\n\n{end}{after}"


def main() -> int:
    content = build()
    alerting = ROOT / "docs" / "alerting.md"
    files = {
        ROOT / "deploy" / "prometheus" / "rules.yml": as_yaml(content),
        ROOT / "deploy" / "kubernetes" / "prometheusrule.yml": as_yaml(prometheus_rule(content)),
        ROOT / "docs" / "runbooks" / "README.md": index(),
        alerting: placed(alerting.read_text(encoding="utf-8"), "rules", settings()),
    }
    return write_or_check(files, __doc__ or "", "make rules")


if __name__ == "__main__":
    sys.exit(main())
