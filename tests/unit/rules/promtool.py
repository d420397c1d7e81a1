"""Cases and how promtool is asked about them, every promtool that is found."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.rules.config import RUNBOOKS
from exporter.rules.groups import ALERTS, read_by
from tests.conftest import ROOT

Values = tuple[float, float] | str  # while it is bad and when it is good again; or as promtool writes them
Series = Mapping[str, Values]

PROMTOOLS = [
    pytest.param(program, marks=pytest.mark.needs(program), id=name)
    for name, program in (("installed", "promtool"), ("prometheus 3", ".tools/prometheus/promtool"))
]
OFF = tuple(name for name, alert in ALERTS.items() if not alert.enabled)
LONG = 10  # minutes for which it stays bad once it fires
D = 'project="p",deployment="d"'
DEPLOYMENT = {"project": "p", "deployment": "d"}
X, P = {"cluster": "x", **DEPLOYMENT}, {"cluster": "x", "project": "p"}


@dataclass(frozen=True)
class Case:
    """`lasts`: minutes until it fires; `lag`: minutes until it resolves, for those that look back; `neighbour`: what
    stands beside it, in another cluster, and must not fire."""

    alert: str
    lasts: int
    bad: Series
    neighbour: Series
    text: str
    labels: Mapping[str, str] = field(default_factory=lambda: DEPLOYMENT)
    lag: int = 0


Expected = tuple[int, str, Sequence[Mapping[str, str]]]


@dataclass(frozen=True)
class Timeline:
    """What happens over time; `expected`: (minute, alert, the labels of those that fire). `thresholds`: others than the
    defaults."""

    name: str
    series: Series
    expected: Sequence[Expected]
    thresholds: Mapping[str, str] = field(default_factory=dict)


def status(value: str, who: str = D) -> str:
    return f'together_deployment_status{{{who},status="{value}"}}'


def replicas(kind: str, who: str = D) -> str:
    return f"together_deployment_replicas_{kind}{{{who}}}"


def with_status(value: str) -> str:
    return f'together_deployment_replicas{{{D},status="{value}"}}'


def reason(value: str, group: str) -> str:
    return f'together_deployment_replicas_with_reason{{{D},reason="{value}",class="{group}"}}'


def seen_by(series: Series, exporters: str, labels: str, minutes: int = 0) -> list[dict[str, str]]:
    """As Prometheus has it from these exporters, a letter each, whose targets have these labels."""
    made = []
    for name, values in series.items():
        metric, _, own = name.removesuffix("}").partition("{")
        instances = [""] if "instance=" in own else [f'instance="{letter}"' for letter in exporters]
        for instance in instances:
            job = "" if "job=" in own else 'job="j"'
            parts = ",".join(part for part in (own, instance, job, labels) if part)
            text = values if isinstance(values, str) else f"{values[0]}+0x{minutes} {values[1]}+0x400"
            made.append({"series": f"{metric}{{{parts}}}", "values": text})
    return made


def firing(case: Case, **kept: str) -> dict[str, Any]:
    alert = ALERTS[case.alert]
    return {
        "exp_labels": {**kept, **case.labels, "severity": alert.severity},
        "exp_annotations": {
            "summary": alert.summary,
            "description": case.text,
            "runbook_url": f"{RUNBOOKS}{alert.name}.md",
        },
    }


def run(promtool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which(promtool) or str(ROOT / promtool)
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def of_alerts(rules: dict[str, Any], *alerts: str) -> dict[str, Any]:
    """Only these alerts, and the records that they read: promtool evaluates every rule at every minute."""
    exprs = [rule["expr"] for group in rules["groups"] for rule in group["rules"] if rule.get("alert") in alerts]
    kept = {*alerts, *(name for expr in exprs for name in read_by(expr))}
    for group in rules["groups"]:
        group["rules"] = [rule for rule in group["rules"] if (rule.get("alert") or rule["record"]) in kept]
    rules["groups"] = [group for group in rules["groups"] if any("alert" in rule for rule in group["rules"])]
    return rules


def without_annotations(rules: dict[str, Any]) -> dict[str, Any]:
    """promtool compares them wherever there are some."""
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        rule.pop("annotations", None)
    return rules


def check(promtool: str, folder: Path, tests: Sequence[tuple[dict[str, Any], Sequence[dict[str, Any]]]]) -> None:
    """`tests`: rule files with what promtool is to find of each. Fails with promtool's own words."""
    files = []
    for number, (made, content) in enumerate(tests):
        rules, file = folder / f"rules-{number}.yml", folder / f"test-{number}.yml"
        rules.write_text(yaml.safe_dump(made))
        file.write_text(
            yaml.safe_dump(
                {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": list(content)}, sort_keys=False
            )
        )
        files.append(str(file))
    done = run(promtool, "test", "rules", *files)
    assert done.returncode == 0, done.stdout + done.stderr
