"""The rules as Prometheus reads them, from the table and what the user changes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from exporter.rules.alert import ITSELF, Alert, Record
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
    """The groups with their placeholders; beside what Prometheus knows, `by` and `enabled` of each alert."""
    return [{"name": g.name, "interval": g.interval, "rules": [*_rules(g)]} for g in GROUPS]


def build(config: RulesConfig | None = None, *, faster: float = 1.0) -> dict[str, Any]:
    """A rule file. `faster`: every duration so many times shorter, for tests and demonstrations."""
    config = config or RulesConfig()
    values = _values(config, faster)
    built = [{**group, "rules": [*_built(group["rules"], config, faster)]} for group in templates()]
    return {"groups": [_filled(group, values) for group in built]}


def lists(config: RulesConfig) -> dict[str, str]:
    """The lists of labels, by placeholder."""
    kept = {name: ", ".join(dict.fromkeys((*config.keep_labels, *labels))) for name, labels in LISTS.items()}
    own = ", ".join(f"label_{label}" for label in config.deployment_labels)
    return {**kept, "keep": ", ".join(config.keep_labels), "own": own}


def in_words(duration: str) -> str:
    """5 minutes of 5m; a duration of several units stays as it is."""
    match = re.fullmatch(r"(\d+)([smhd])", duration)
    return f"{match[1]} {UNITS[match[2]]}{'' if match[1] == '1' else 's'}" if match else duration


def _rules(group: Group) -> Iterator[Rule]:
    for rule in group.rules:
        yield {"record": rule.name, "expr": rule.expr} if isinstance(rule, Record) else _template(rule)


def _template(alert: Alert) -> Rule:
    return {
        "alert": alert.name,
        "expr": f"{alert.expr}\nor (\n{_indented(_held(alert))}\n)" if alert.known else alert.expr,
        "for": alert.lasts,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "description": alert.description},
        "by": alert.by,
        "enabled": alert.enabled,
    }


def _held(alert: Alert) -> str:
    """What already fires goes on while nothing is known of the deployment."""
    blind = "<deployment>" if alert.by.startswith("<deployment>") else "<project>"
    firing = alert.firing if alert.known == ITSELF else f"{alert.known}\nand on ({alert.by}) {alert.firing}"
    return f"{firing}\nand on ({blind}) together:deployment_blind"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _values(config: RulesConfig, faster: float) -> dict[str, str]:
    values = {**INTERVALS, **config.thresholds.written()}
    for name in (*INTERVALS, *DURATIONS, *(name for name in values if name.endswith("_seconds"))):
        values[name] = _shorter(values[name], faster)
    return {**values, **lists(config)}


def _shorter(value: str, faster: float) -> str:
    if faster == 1:
        return value
    return f"{float(value) / faster:.15g}" if value[-1].isdigit() else show(max(parse(value) / faster, 0.001))


def _built(rules: list[Rule], config: RulesConfig, faster: float) -> Iterator[Rule]:
    for rule in rules:
        if "record" in rule:
            if rule["record"] != OWN_LABELS or config.deployment_labels:
                yield rule
        elif rule["alert"] not in config.disabled and (rule["enabled"] or rule["alert"] in config.enabled):
            yield _alert(rule, config, faster)


def _alert(rule: Rule, config: RulesConfig, faster: float) -> Rule:
    name, override = rule["alert"], config.overrides.get(rule["alert"])
    lasts = show(override.lasts) if override and override.lasts else rule["for"]
    labels = {**config.labels, **rule["labels"], **(override.labels if override else {})}
    if override and override.severity:
        labels["severity"] = override.severity
    summary, description = rule["annotations"].values()
    return {
        "alert": name,
        "expr": _joined(rule) if config.deployment_labels and rule["by"].startswith("<deployment>") else rule["expr"],
        "for": _shorter(lasts, faster),
        "labels": labels,
        "annotations": {
            "summary": summary,
            "description": description.replace("<for>", in_words(lasts)),
            "runbook_url": f"{config.runbook_url}{name}.md",
            **config.annotations,
            **(override.annotations if override else {}),
        },
    }


def _joined(rule: Rule) -> str:
    return f"(\n{_indented(rule['expr'])}\n)\n* on (<deployment>) group_left (<own>) {OWN_LABELS}"


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    return PLACEHOLDER.sub(lambda match: values[match[1]], value)
