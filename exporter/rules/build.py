"""Builds rule files from the table of rules and the user's configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from exporter.rules.alert import NO_VALUE, Alert, Record, indented
from exporter.rules.config import LISTS, RulesConfig
from exporter.rules.groups import GROUPS, Group
from exporter.rules.records import OWN_LABELS
from exporter.rules.thresholds import DURATIONS
from exporter.settings.durations import parse, show

PLACEHOLDER = re.compile(r"<([a-z_]+)>")
UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
INTERVALS = {"minute": "1m", "hour": "1h"}

Rule = dict[str, Any]


def templates() -> list[Rule]:
    """The groups with placeholders, and with `by` and `enabled` of each alert in addition to Prometheus' fields."""
    return [{"name": g.name, "interval": g.interval, "rules": [*_rules(g)]} for g in GROUPS]


def build(config: RulesConfig | None = None, *, faster: float = 1.0) -> dict[str, Any]:
    """A rule file. `faster`: divisor of all durations, for tests and demonstrations."""
    config = config or RulesConfig()
    values = _values(config, faster)
    groups = [
        {
            **group,
            "interval": values[group["interval"].strip("<>")],
            "rules": [*_built(group["rules"], config, faster, values)],
        }
        for group in templates()
    ]
    return {"groups": groups}


def lists(config: RulesConfig) -> dict[str, str]:
    """The lists of labels, by placeholder."""
    kept = {name: ", ".join(dict.fromkeys((*config.keep_labels, *labels))) for name, labels in LISTS.items()}
    own = ", ".join(f"label_{label}" for label in config.deployment_labels)
    return {**kept, "keep": ", ".join(config.keep_labels), "own": own}


def long_form(duration: str) -> str:
    """5m as 5 minutes; durations with several units are returned unchanged."""
    match = re.fullmatch(r"(\d+)([smhd])", duration)
    return f"{match[1]} {UNITS[match[2]]}{'' if match[1] == '1' else 's'}" if match else duration


def _rules(group: Group) -> Iterator[Rule]:
    for rule in group.rules:
        yield {"record": rule.name, "expr": rule.expr} if isinstance(rule, Record) else _template(rule)


def _template(alert: Alert) -> Rule:
    return {
        "alert": alert.name,
        "expr": f"{alert.expr}\nor (\n{indented(_held(alert))}\n)" if alert.last_value else alert.expr,
        "for": alert.hold,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "description": alert.description},
        "by": alert.by,
        "enabled": alert.enabled,
    }


def _held(alert: Alert) -> str:
    """A firing alert keeps firing while there is no current data of the deployment."""
    blind = "<deployment>" if alert.by.startswith("<deployment>") else "<project>"
    firing = alert.firing if alert.last_value == NO_VALUE else f"{alert.last_value}\nand on ({alert.by}) {alert.firing}"
    return f"{firing}\nand on ({blind}) together:deployment_blind"


def _values(config: RulesConfig, faster: float) -> dict[str, str]:
    values = {**INTERVALS, **config.thresholds.written()}
    for name in (*INTERVALS, *DURATIONS, *(name for name in values if name.endswith("_seconds"))):
        values[name] = _shorter(values[name], faster)
    return {**values, **lists(config)}


def _shorter(value: str, faster: float) -> str:
    if faster == 1:
        return value
    return f"{float(value) / faster:.15g}" if value[-1].isdigit() else show(max(parse(value) / faster, 0.001))


def _built(rules: list[Rule], config: RulesConfig, faster: float, values: Mapping[str, str]) -> Iterator[Rule]:
    for rule in rules:
        if "record" in rule:
            if rule["record"] != OWN_LABELS or config.deployment_labels:
                yield _filled(rule, values)
        elif rule["alert"] not in config.disabled and (rule["enabled"] or rule["alert"] in config.enabled):
            yield _alert(rule, config, faster, values)


def _alert(rule: Rule, config: RulesConfig, faster: float, values: Mapping[str, str]) -> Rule:
    """Only the template is filled in, not what the user adds."""
    name, override = rule["alert"], config.overrides.get(rule["alert"])
    hold = show(override.hold) if override and override.hold else rule["for"]
    labels = {**config.labels, **rule["labels"], **(override.labels if override else {})}
    if override and override.severity:
        labels["severity"] = override.severity
    expr = _joined(rule) if config.deployment_labels and rule["by"].startswith("<deployment>") else rule["expr"]
    return {
        "alert": name,
        "expr": _filled(expr, values),
        "for": _shorter(hold, faster),
        "labels": labels,
        "annotations": {
            **_filled(rule["annotations"], {**values, "for": long_form(hold)}),
            "runbook_url": f"{config.runbook_url}{name}.md",
            **config.annotations,
            **(override.annotations if override else {}),
        },
    }


def _joined(rule: Rule) -> str:
    return f"(\n{indented(rule['expr'])}\n)\n* on (<deployment>) group_left (<own>) {OWN_LABELS}"


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    return PLACEHOLDER.sub(lambda match: values[match[1]], value)
