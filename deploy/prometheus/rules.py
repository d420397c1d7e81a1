"""Writes the rules as YAML, for Prometheus and for its operator; `--check` says whether they are up to date."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.made import write_or_check
from deploy.prometheus.alerts import Alert, deployment_alerts, exporter_alerts, polling_alerts, replica_alerts
from deploy.prometheus.records import records
from deploy.prometheus.thresholds import Thresholds, duration

GROUPS: dict[str, Callable[[Thresholds], Iterator[Alert]]] = {
    "together-deployments": deployment_alerts,
    "together-replicas": replica_alerts,
    "together-polling": polling_alerts,
    "together-exporter": exporter_alerts,
}


def groups(t: Thresholds) -> dict[str, Any]:
    """A rule file."""
    recorded = [{"record": record.name, "expr": record.expr} for record in records(t)]
    return {
        "groups": [
            {"name": "together-records", "rules": recorded},
            *({"name": name, "rules": [_rule(alert, t) for alert in group(t)]} for name, group in GROUPS.items()),
        ]
    }


def _rule(alert: Alert, t: Thresholds) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": alert.name, "expr": alert.expr}
    if alert.lasts:
        rule["for"] = duration(alert.lasts)
    rule["labels"] = {"severity": alert.severity}
    rule["annotations"] = {
        "summary": alert.summary,
        "description": alert.text,
        "runbook_url": f"{t.runbooks}{alert.name}.md",
    }
    return rule


class _Dumper(yaml.SafeDumper):
    """Long texts as blocks, in the order in which they were given."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def written(content: dict[str, Any]) -> str:
    return "# Made by `make rules` from thresholds.py, alerts.py and records.py.\n" + yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, width=1000
    )


def operators(content: dict[str, Any]) -> dict[str, Any]:
    """The same rules for the Prometheus operator."""
    metadata = {"name": "together-exporter", "labels": {"app.kubernetes.io/name": "together-exporter"}}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata,
        "spec": content,
    }


def index(t: Thresholds) -> str:
    """Every alert with what it needs to fire, for people."""
    lines = [
        "# Alerts",
        "",
        "Made by `make rules`. Each alert's page says what it means, how to look and what to do.",
        "",
        "| alert | severity | what is so | for |",
        "|---|---|---|---|",
    ]
    for alert in (each for group in GROUPS.values() for each in group(t)):
        lasts = duration(alert.lasts) if alert.lasts else ""
        lines.append(f"| [{alert.name}]({alert.name}.md) | {alert.severity} | {alert.summary} | {lasts} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    here = Path(__file__).parent
    content = groups(Thresholds())
    files = {
        here / "rules.yml": written(content),
        here.parent / "kubernetes" / "prometheusrule.yml": written(operators(content)),
        here.parents[1] / "docs" / "runbooks" / "README.md": index(Thresholds()),
    }
    return write_or_check(files, __doc__ or "", "make rules")


if __name__ == "__main__":
    sys.exit(main())
