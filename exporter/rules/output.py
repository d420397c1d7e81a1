"""Rules as text: a rule file, a PrometheusRule, the list of alerts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from exporter.rules.build import PLACEHOLDER, build, templates
from exporter.rules.config import RulesConfig

HEADER = "# Made by `together-exporter rules`; change it by options or a configuration, not here.\n"
NAME = "together-exporter"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def as_yaml(content: Any) -> str:
    return HEADER + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)


def prometheus_rule(content: dict[str, Any]) -> dict[str, Any]:
    """The same rules for the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": NAME}},
        "spec": content,
    }


def listed(config: RulesConfig) -> str:
    """Every alert with its severity, its `for` and the thresholds that it depends on."""
    rows = [("ALERT", "SEVERITY", "FOR", "THRESHOLDS"), *_rows(config)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ("  ".join((*map(str.ljust, row[:3], widths), row[3])).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def _rows(config: RulesConfig) -> Iterator[tuple[str, str, str, str]]:
    built = {rule["alert"]: rule for group in build(config)["groups"] for rule in group["rules"] if "alert" in rule}
    values = config.thresholds.written()
    for rule in (rule for group in templates() for rule in group["rules"] if "alert" in rule):
        used = [name for name in dict.fromkeys(PLACEHOLDER.findall(rule["expr"])) if name in values]
        settings = ", ".join(f"{name}={values[name]}" for name in used)
        active = built.get(rule["alert"])
        severity = active["labels"]["severity"] if active else "off"
        yield rule["alert"], severity, active["for"] if active else rule["for"], settings
