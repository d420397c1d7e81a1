"""promtool evaluates every rule: each alert fires when it must, with its text, stays silent beside it, and resolves.

Every series is there twice, as from two identical exporters: an alert that fires twice, or counts double, fails."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.prometheus.alerts import Alert
from deploy.prometheus.records import records
from deploy.prometheus.rules import GROUPS as RULE_GROUPS
from deploy.prometheus.rules import groups
from deploy.prometheus.thresholds import Thresholds, duration
from exporter.metrics.families import GROUPS
from exporter.self_metrics import described
from tests.unit.deploy.cases import CASES, Case, Values

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
T = Thresholds()
ALERTS: dict[str, Alert] = {alert.name: alert for group in RULE_GROUPS.values() for alert in group(T)}
LONG = 10  # minutes for which it stays bad once it fires

needs_promtool = pytest.mark.needs("promtool")


def written(values: Values, minutes: int) -> str:
    return values if isinstance(values, str) else f"{values[0]}+0x{minutes} {values[1]}+0x200"


def twice(series: Mapping[str, Values], minutes: int) -> list[dict[str, str]]:
    found = []
    for name, values in series.items():
        metric, _, labels = name.removesuffix("}").partition("{")
        who = [f'instance="{n}",job="j"' for n in "ab"] if "job=" not in labels else [""]
        for whose in who:
            both = ",".join(part for part in (labels, whose) if part)
            found.append({"series": f"{metric}{{{both}}}", "values": written(values, minutes)})
    return found


def firing(case: Case) -> dict[str, Any]:
    alert = ALERTS[case.alert]
    return {
        "exp_labels": {**case.labels, "severity": alert.severity},
        "exp_annotations": {
            "summary": alert.summary,
            "description": case.text,
            "runbook_url": f"{T.runbooks}{alert.name}.md",
        },
    }


def promtool_test(case: Case) -> dict[str, Any]:
    alert = ALERTS[case.alert]
    bad = case.lasts + LONG

    def at(minute: int, *alerts: Any) -> dict[str, Any]:
        return {"eval_time": f"{minute}m", "alertname": alert.name, "exp_alerts": list(alerts)}

    steps = [at(case.lasts, firing(case)), at(bad + 1 + case.lag)]
    if case.lasts:
        steps.insert(0, at(case.lasts - 1))
    beside = [at(minute) for minute in (0, case.lasts, bad, bad + case.lag + 1)]
    return {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {"interval": "1m", "input_series": twice(case.bad, bad), "alert_rule_test": steps},
            {"interval": "1m", "input_series": twice(case.neighbour, bad), "alert_rule_test": beside},
        ],
    }


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


@needs_promtool
@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case.alert}" for number, case in enumerate(CASES)])
def test_an_alert_fires_when_it_must_and_only_then(case: Case, tmp_path: Path) -> None:
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(promtool_test(case), sort_keys=False))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_and_a_runbook_and_the_reverse() -> None:
    assert {case.alert for case in CASES} == set(ALERTS)
    assert {file.stem for file in (ROOT / "docs" / "runbooks").glob("Together*.md")} == set(ALERTS)


def test_every_alert_that_waits_has_a_case_one_minute_before() -> None:
    waits = {alert.name for alert in ALERTS.values() if alert.lasts}
    assert {case.alert for case in CASES if case.lasts} >= waits


@needs_promtool
@pytest.mark.parametrize("factor", [1, 200])
def test_promtool_finds_nothing_wrong_with_the_rules(factor: int, tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(groups(T.faster(factor))))
    done = promtool("check", "rules", "--lint-fatal", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("amtool")
def test_amtool_finds_nothing_wrong_with_the_example() -> None:
    file = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    done = subprocess.run(["amtool", "check-config", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_inhibited_exists_and_nothing_that_pages_waits_for_what_does_not() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text())
    for rule in config["inhibit_rules"]:
        source, target = (matched(rule[f"{side}_matchers"]) for side in ("source", "target"))
        assert source, rule
        assert target, rule
        if {ALERTS[name].severity for name in target} & {"critical"}:
            assert {ALERTS[name].severity for name in source} == {"critical"}, rule


def matched(matchers: list[str]) -> set[str]:
    """The alerts of these names."""
    names = set(ALERTS)
    for matcher in matchers:
        found = re.fullmatch(r'alertname(=~|!=|=)"(.*)"', matcher)
        assert found, matcher
        fitting = {name for name in ALERTS if re.fullmatch(found[2] if found[1] == "=~" else re.escape(found[2]), name)}
        assert fitting, matcher
        names = names - fitting if found[1] == "!=" else names & fitting
    return names


METRIC = re.compile(r"\btogether_[a-z_]+|project[a-z_]*:together_[a-z_]+:[a-z0-9]+")


def shown() -> set[str]:
    """Every metric's name, as Prometheus knows it."""
    families = {family.name for group in GROUPS for family in group.families}
    own = {sample for metric in described() for sample in (metric.name, *(each.name for each in metric.samples))}
    return families | own | {record.name for record in records(T)}


def test_every_metric_that_a_rule_or_a_runbook_names_exists() -> None:
    texts = [alert.expr for alert in ALERTS.values()] + [record.expr for record in records(T)]
    runbooks = [file.read_text() for file in (ROOT / "docs" / "runbooks").glob("*.md")]
    named = {name for text in (*texts, *runbooks) for name in METRIC.findall(text)}
    assert len(named) > 20
    assert named <= shown(), named - shown()


def test_names_are_there_once_and_say_what_prometheus_expects() -> None:
    rules = [rule for group in groups(T)["groups"] for rule in group["rules"]]
    names = Counter(rule.get("alert") or rule["record"] for rule in rules)
    assert set(names.values()) == {1}
    assert all(rule["record"].count(":") == 2 for rule in rules if "record" in rule)
    assert {alert.severity for alert in ALERTS.values()} == {"critical", "warning", "info"}


GPUS = 'together_deployment_gpus_per_replica{project="p",deployment="%s",gpu_type="h100"}'
READY, DESIRED = 'together_deployment_replicas_%s{project="p",deployment="%s"}', "desired"
RECORDED = (
    ("project_gpu_type:together_gpus_ready:sum", "120m", {'project="p",gpu_type="h100"': 10}),
    ("project_gpu_type:together_gpus_desired:sum", "120m", {'project="p",gpu_type="h100"': 14}),
    ("project_gpu_type:together_gpus_max:sum", "120m", {'project="p",gpu_type="h100"': 24}),
    ("project_gpu_type:together_gpu_hours:sum1h", "120m", {'project="p",gpu_type="h100"': 10}),
    ("project_gpu_type:together_gpu_cost_per_hour:sum", "120m", {'project="p",gpu_type="h100"': 35}),
    (
        "project_deployment:together_availability:ratio",
        "120m",
        {'project="p",deployment="a"': 0.5, 'project="p",deployment="b"': 1},
    ),
    (
        "project_deployment_status:together_status:ratio1h",
        "120m",
        {'project="p",deployment="a",status="Ready"': 0.5, 'project="p",deployment="a",status="Failed"': 0.5},
    ),
)


@needs_promtool
def test_the_recording_rules_say_what_they_are_called(tmp_path: Path) -> None:
    series: dict[str, Values] = {
        GPUS % "a": "2+0x200",
        GPUS % "b": "6+0x200",
        READY % ("ready", "a"): "2+0x200",
        READY % ("desired", "a"): "4+0x200",
        READY % ("max", "a"): "6+0x200",
        READY % ("ready", "b"): "1+0x200",
        READY % ("desired", "b"): "1+0x100 1+0x100",
        READY % ("max", "b"): "2+0x200",
        READY % ("desired", "c"): "0+0x200",
        READY % ("ready", "c"): "0+0x200",
        'together_deployment_status{project="p",deployment="a",status="Ready"}': "1+0x60 0+0x29 1+0x200",
        'together_deployment_status{project="p",deployment="a",status="Failed"}': "0+0x60 1+0x29 0+0x200",
        'together_gpu_hourly_cost{gpu_type="h100"}': "3.5+0x200",
    }
    tests = [
        {
            "expr": name,
            "eval_time": moment,
            "exp_samples": [{"labels": f"{name}{{{labels}}}", "value": value} for labels, value in expected.items()],
        }
        for name, moment, expected in RECORDED
    ]
    content = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": twice(series, 200), "promql_expr_test": tests}],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(content))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("seconds", "text"), [(7 * 86400, "7d"), (7200, "2h"), (5400, "90m"), (90, "90s"), (0.5, "500ms"), (0.3, "300ms")]
)
def test_durations_are_written_as_prometheus_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


D = 'project="p",deployment="d"'
LASTING: dict[str, dict[str, str]] = {
    "TogetherDeploymentFailed": {f'together_deployment_status{{{D},status="Failed"}}': "1"},
    "TogetherDeploymentNoReadyReplica": {
        f'together_deployment_status{{{D},status="Scaling"}}': "1",
        f"together_deployment_replicas_ready{{{D}}}": "0",
        f"together_deployment_replicas_desired{{{D}}}": "2",
    },
}
UP, BUILD = f"together_deployment_poll_success{{{D}}}", 'together_exporter_build_info{version="1"}'
NOT_FOUND = f'together_deployment_poll_error{{{D},reason="not_found"}}'


@needs_promtool
@pytest.mark.parametrize("alert", LASTING)
@pytest.mark.parametrize(
    ("others", "still_fires"),
    [
        ({UP: "1+0x9 0+0x90", BUILD: "1+0x99"}, True),
        ({UP: "1+0x9 stale", BUILD: "1+0x9 stale"}, True),
        ({UP: "1+0x9 stale", BUILD: "1+0x99"}, False),
        ({UP: "1+0x9 0+0x90", NOT_FOUND: "_x9 1+0x90", BUILD: "1+0x99"}, False),
    ],
    ids=["polls fail", "the exporter is gone", "the deployment is gone", "the deployment is not found"],
)
def test_that_nothing_is_known_any_more_does_not_read_as_health(
    alert: str, others: dict[str, str], still_fires: bool, tmp_path: Path
) -> None:
    series: dict[str, Values] = {name: f"{value}+0x9 stale" for name, value in LASTING[alert].items()}
    case = next(case for case in CASES if case.alert == alert)
    steps = [
        {"eval_time": "9m", "alertname": alert, "exp_alerts": [firing(case)]},
        {"eval_time": "30m", "alertname": alert, "exp_alerts": [firing(case)] if still_fires else []},
    ]
    content = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": twice({**series, **others}, 90), "alert_rule_test": steps}],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(content))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
