"""promtool evaluates every rule: each alert fires when it must, with its text and labels, and resolves.

What fires is in one cluster and what must not in another, in the same Prometheus and under the same names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from exporter.rules.build import build
from exporter.rules.config import RulesConfig
from exporter.rules.groups import ALERTS
from tests.unit.rules import cases_deployments, cases_projects
from tests.unit.rules.promtool import LONG, OFF, PROMTOOLS, Case, check, firing, of_alerts, seen_by

CASES = (*cases_deployments.CASES, *cases_projects.CASES)
CLUSTER = RulesConfig(enabled=OFF)
TEAM = RulesConfig(enabled=OFF, keep_labels=("cluster", "team"))
TARGETS = ('cluster="x",team="t"', 'cluster="y",team="t"')
SHARDS = {
    "together_exporter_shards": "2+0x900",
    'together_exporter_shard_info{index="0",total="2",instance="a"}': "1+0x900",
    'together_exporter_shard_info{index="1",total="2",instance="b"}': "1+0x900",
}


def promtool_test(case: Case, exporters: str, *, shards: bool = False, **kept: str) -> dict[str, Any]:
    """One test of promtool: silent until it has lasted, firing with all that it says, resolved."""
    bad = case.lasts + LONG

    def at(minute: int, *alerts: Any) -> dict[str, Any]:
        return {"eval_time": f"{minute}m", "alertname": case.alert, "exp_alerts": list(alerts)}

    series = [
        *seen_by(case.bad, exporters, TARGETS[0], bad),
        *seen_by(case.neighbour, exporters, TARGETS[1], bad),
        *(seen_by(SHARDS, "ab", TARGETS[0]) if shards else []),
    ]
    steps = [at(case.lasts - 1), at(case.lasts, firing(case, **kept)), at(bad + 1 + case.lag)]
    return {"interval": "1m", "input_series": series, "alert_rule_test": steps}


@pytest.mark.parametrize("promtool", PROMTOOLS)
@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case.alert}" for number, case in enumerate(CASES)])
def test_an_alert_fires_when_it_must_and_only_then(case: Case, promtool: str, tmp_path: Path) -> None:
    by_two = promtool_test(case, "ab", cluster="x")
    by_shard = [] if "job" in case.labels else [promtool_test(case, "a", shards=True, cluster="x")]
    with_team = promtool_test(case, "ab", cluster="x", team="t")
    rules, rules_with_team = (of_alerts(build(config), case.alert) for config in (CLUSTER, TEAM))
    check(promtool, tmp_path, [(rules, [by_two, *by_shard]), (rules_with_team, [with_team])])


def test_every_alert_has_a_case_and_every_case_an_alert() -> None:
    assert {case.alert for case in CASES} == set(ALERTS)


WINDOW = re.compile(r"\[<(\w+)>")
LONGER = {  # why a window may be longer than `for`: one bad sample does not fire all the same
    "burn_fast_window": "a share of all samples",
    "burn_fast_short_window": "a share of all samples",
    "burn_slow_window": "a share of all samples",
    "burn_slow_short_window": "a share of all samples",
    "flapping_window": "more than 12 changes",
    "readiness_lost_window": "more than twice each replica",
    "cold_start": "min_over_time: longer is quieter",
    "memory": "what fires already, or was known at all",
    "exporter_memory": "what was known at all",
}


def test_windows_are_shorter_than_for() -> None:
    lengths = CLUSTER.thresholds.written()
    for alert in ALERTS.values():
        for window in set(WINDOW.findall(alert.expr)) - LONGER.keys():
            assert minutes(lengths[window]) < minutes(alert.hold), (alert.name, window)


def minutes(duration: str) -> int:
    number, unit = int(duration[:-1]), duration[-1]
    return number * {"m": 1, "h": 60, "d": 1440}[unit]
