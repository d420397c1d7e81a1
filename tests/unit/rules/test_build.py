"""What a user changes is what is built, and what does not exist is refused with the closest name."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.rules.build import build, long_form, templates
from exporter.rules.config import Override, RulesConfig
from exporter.rules.groups import ALERTS, RECORDS
from exporter.rules.output import as_yaml, listed, prometheus_rule
from exporter.rules.thresholds import Thresholds
from tests.conftest import ROOT
from tests.unit.rules.promtool import OFF, PROMTOOLS, D, check, run, seen_by, without_annotations

EVERYTHING = RulesConfig(enabled=OFF, keep_labels=("cluster", "team"), deployment_labels=("team", "env"))
CONFIGS = {"default": RulesConfig(), "nothing kept": RulesConfig(keep_labels=()), "everything": EVERYTHING}


def alerts(config: RulesConfig) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in build(config)["groups"] for rule in group["rules"] if "alert" in rule}


@pytest.mark.parametrize("promtool", PROMTOOLS)
@pytest.mark.parametrize("faster", [1.0, 200.0])
@pytest.mark.parametrize("name", CONFIGS)
def test_promtool_finds_nothing_wrong(name: str, faster: float, promtool: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(as_yaml(build(CONFIGS[name], faster=faster)))
    done = run(promtool, "check", "rules", "--lint-fatal", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "<" not in re.sub(r" <=? ", "", file.read_text())


def test_names_are_there_once() -> None:
    names = Counter(rule.get("alert") or rule["record"] for group in templates() for rule in group["rules"])
    assert set(names.values()) == {1}
    assert all(name.startswith("together:") for name in RECORDS)


def test_the_kept_labels_are_everywhere_and_nothing_is_aggregated_without() -> None:
    for group in build(RulesConfig(keep_labels=("cluster", "team")))["groups"]:
        for rule in group["rules"]:
            assert "without" not in rule["expr"]
            for kind, labels in re.findall(r"\b(by|on) \(([^)]*)\)", rule["expr"]):
                assert labels.startswith("cluster, team") or (kind, labels) == ("on", ""), (rule, labels)


def test_no_matcher_is_a_regular_expression_of_one_value() -> None:
    for rule in (rule for group in templates() for rule in group["rules"]):
        assert not re.findall(r'[=!]~"[\w-]+"', rule["expr"]), rule


def test_each_alert_can_be_changed_by_itself() -> None:
    override = Override.model_validate(
        {"severity": "info", "for": "1h", "labels": {"page": "no"}, "annotations": {"summary": "Mine."}}
    )
    config = RulesConfig(
        overrides={"TogetherDeploymentFailed": override},
        labels={"product": "together"},
        annotations={"dashboard": "https://grafana.example"},
        runbook_url="https://wiki.example/",
    )
    rule, other = alerts(config)["TogetherDeploymentFailed"], alerts(config)["TogetherDataStale"]
    assert rule["for"] == "1h"
    assert rule["labels"] == {"product": "together", "severity": "info", "page": "no"}
    assert rule["annotations"] == {
        "summary": "Mine.",
        "description": "{{ $labels.project }}/{{ $labels.deployment }}: in status Failed for 1 hour.",
        "runbook_url": "https://wiki.example/TogetherDeploymentFailed.md",
        "dashboard": "https://grafana.example",
    }
    assert other["labels"] == {"product": "together", "severity": "critical"}


def test_alerts_are_left_out_and_added() -> None:
    changed = alerts(RulesConfig(disabled=("TogetherDataStale",), enabled=OFF))
    assert set(ALERTS) - set(changed) == {"TogetherDataStale"}
    assert OFF == ("TogetherDeploymentDisappeared",)
    assert set(ALERTS) - set(alerts(RulesConfig())) == set(OFF)


def test_a_threshold_is_what_its_alert_compares_with() -> None:
    config = RulesConfig.model_validate({"thresholds": {"cold_start": "1h30m", "rate_limited_ratio": 0.2}})
    assert "[1h30m]" in alerts(config)["TogetherDeploymentNoReadyReplica"]["expr"]
    assert alerts(config)["TogetherRateLimited"]["expr"].splitlines()[1].endswith("> 0.2")


def test_every_threshold_is_used() -> None:
    texts = " ".join(rule["expr"] for group in templates() for rule in group["rules"])
    assert {name for name in Thresholds.model_fields if f"<{name}>" not in texts} == set()


@pytest.mark.parametrize(
    ("config", "hint"),
    [
        ({"disabled": ["TogetherDeploymentFaild"]}, "did you mean TogetherDeploymentFailed?"),
        ({"overrides": {"TogetherKeyRefusd": {}}}, "did you mean TogetherKeyRefused?"),
        ({"disabled": ["x"]}, "see together-exporter rules --list"),
        ({"thresholds": {"cold_strat": "5m"}}, "Extra inputs"),  # the command line names the closest
        ({"thresholds": {"cold_start": "5"}}, "write 5s"),
        ({"thresholds": {"availability_target": 1}}, "less than 1"),
        ({"keep_labels": ["project"]}, "part of the rules already"),
        ({"keep_labels": ["a-b"]}, "not a label name"),
        ({"labels": {"a-b": ""}}, "not a label name"),
    ],
)
def test_what_does_not_exist_is_refused(config: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(hint)):
        RulesConfig.model_validate(config)


@pytest.mark.parametrize("promtool", PROMTOOLS)
def test_alerts_carry_the_deployments_own_labels_also_while_nothing_is_known(promtool: str, tmp_path: Path) -> None:
    failed = f'together_deployment_status{{{D},status="Failed"}}'
    config = RulesConfig(deployment_labels=("team",))
    series = {
        failed: "1+0x9 stale",
        failed.replace('"d"', '"e"'): "1+0x9 stale",
        f"together_deployment_info{{{D}}}": "1+0x9 stale",
        f"together_deployment_poll_success{{{D}}}": "1+0x9 stale",
        'together_deployment_poll_success{project="p",deployment="e"}': "1+0x9 stale",  # has no labels at all
    }
    moved = {f'together_deployment_labels{{{D},label_team="old",label_env="prod"}}': "1+0x4 stale"}
    now = {f'together_deployment_labels{{{D},label_team="search",label_env="prod"}}': "_x5 1+0x4 stale"}
    who = {"cluster": "x", "project": "p", "deployment": "d", "severity": "critical"}

    def at(minute: int, *labels: dict[str, str]) -> dict[str, Any]:
        fires = [{"exp_labels": each} for each in labels]
        return {"eval_time": f"{minute}m", "alertname": "TogetherDeploymentFailed", "exp_alerts": fires}

    unlabelled = {**who, "deployment": "e"}
    steps = [
        at(4, {**who, "label_team": "old"}, unlabelled),
        at(9, {**who, "label_team": "search"}, unlabelled),
        at(30, {**who, "label_team": "search"}),
    ]
    test = {
        "interval": "1m",
        "input_series": seen_by({**series, **moved, **now}, "ab", 'cluster="x"'),
        "alert_rule_test": steps,
    }
    check(promtool, tmp_path, [(without_annotations(build(config)), [test])])


def test_the_list_shows_every_alert_with_its_settings() -> None:
    config = RulesConfig.model_validate(
        {"thresholds": {"cold_start": "20m"}, "overrides": {"TogetherDataStale": {"severity": "info", "for": "1h"}}}
    )
    lines = {line.split()[0]: line.split()[1:] for line in listed(config).splitlines()[1:]}
    assert set(lines) == set(ALERTS)
    assert lines["TogetherDeploymentNoReadyReplica"] == ["critical", "5m", "cold_start=20m,", "memory=1h"]
    assert lines["TogetherDataStale"] == ["info", "1h", "memory=1h,", "data_stale_seconds=900"]
    assert lines["TogetherDeploymentDisappeared"][0] == "off"


def test_the_operator_gets_the_same_rules() -> None:
    made = prometheus_rule(build())
    assert (made["kind"], made["spec"]) == ("PrometheusRule", build())


@pytest.mark.parametrize(
    ("duration", "words"),
    [("5m", "5 minutes"), ("1h", "1 hour"), ("30s", "30 seconds"), ("7d", "7 days"), ("1h30m", "1h30m")],
)
def test_descriptions_say_how_long_long_form(duration: str, words: str) -> None:
    assert long_form(duration) == words


def test_summaries_are_sentences_and_descriptions_begin_with_who() -> None:
    for alert in ALERTS.values():
        assert re.fullmatch(r"[A-Z][^!]*\.", alert.summary), alert.name
        assert alert.description.endswith("."), alert.name
        if alert.by.startswith("<deployment>"):
            assert alert.description.startswith("{{ $labels.project }}/{{ $labels.deployment }}: "), alert.name


def test_every_alert_has_a_runbook_and_the_reverse() -> None:
    assert {file.stem for file in (ROOT / "docs" / "runbooks").glob("Together*.md")} == set(ALERTS)
