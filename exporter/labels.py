"""Configured labels of deployments, with exported names as in kube-state-metrics."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exporter.patterns import matches

PREFIX = "label_"


@dataclass(frozen=True, slots=True)
class LabelRule:
    """`labels` of deployments whose name matches; with exported names."""

    match: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Labels:
    """A project's labels; all names are exported names except the keys of `variables` and `deployments`.

    `variables`: the exported name for each environment variable of a deployment whose value becomes a label.
    `deployments`: labels of configured deployments, by configured name or ID."""

    common: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[LabelRule, ...] = ()
    deployments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, *, key: str, name: str, environment: Mapping[str, str]) -> dict[str, str]:
        """Labels of a deployment. Precedence: deployment, last matching rule, variables, project.

        `key`: as configured; `environment`: its plain environment variables."""
        labels = dict(self.common)
        labels.update({label: environment[var] for var, label in self.variables.items() if var in environment})
        for rule in self.rules:
            if matches(rule.match, name):
                labels.update(rule.labels)
        labels.update(self.deployments.get(key, {}))
        return labels


def exported_name(name: str) -> str:
    """`label_cost_center` for `Cost-Center`: lower case, with "_" for every character that a label cannot have."""
    return PREFIX + re.sub(r"[^a-zA-Z0-9_]", "_", name).lower()


def exported(labels: Mapping[str, str]) -> dict[str, str]:
    return {exported_name(name): value for name, value in labels.items()}


def collision(names: Iterable[str]) -> str | None:
    """Error message for names that collide when exported; None without a collision."""
    taken: dict[str, str] = {}
    for name in names:
        if not name.strip():
            return "has an empty label name; write one such as team"
        label = exported_name(name)
        if label in taken:
            return f'has "{taken[label]}" and "{name}", which are both exported as {label}; keep one'
        taken[label] = name
    return None
