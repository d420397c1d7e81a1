"""GPU hours and cost from gauges that are recorded once a minute: exporters replaced, doubled, prices changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.rules.build import build
from exporter.rules.config import RulesConfig
from tests.unit.rules.promtool import PROMTOOLS, check

LABELS = 'project="p",deployment="d"'
READABLE = 'together_project_poll_success{project="p"'


def series(name: str, values: str) -> dict[str, str]:
    return {"series": name, "values": values}


def only(*records: str) -> dict[str, Any]:
    """These rules alone, as promtool evaluates every group at one interval."""
    groups = build(RulesConfig())["groups"]
    kept = [{**g, "rules": [r for r in g["rules"] if r.get("record") in records]} for g in groups]
    return {"groups": [group for group in kept if group["rules"]]}


def exporter(pod: str, values: str, replicas: int = 5, gpus: int = 2) -> list[dict[str, str]]:
    """What one pod of an exporter shows; `values`: 1 where it is there."""
    here = values.replace("1x", "{0}x")
    return [
        series(f'together_deployment_gpus_per_replica{{{LABELS},gpu_type="h",pod="{pod}"}}', here.format(gpus)),
        series(f'together_deployment_replicas_ready{{{LABELS},pod="{pod}"}}', here.format(replicas)),
        series(f'together_deployment_info{{{LABELS},pod="{pod}"}}', here.format(1)),
        series(f'{READABLE},pod="{pod}"}}', here.format(1)),
    ]


def expect(promtool: str, folder: Path, rules: dict[str, Any], inputs: list[dict[str, str]], *answers: Any) -> None:
    """`answers`: (query, minute, value of its only sample)."""
    labels = '{deployment="d", gpu_type="h", project="p"}'
    tests = [
        {"expr": query, "eval_time": f"{minute}m", "exp_samples": [{"labels": labels, "value": value}]}
        for query, minute, value in answers
    ]
    check(promtool, folder, [(rules, [{"interval": "1m", "input_series": inputs, "promql_expr_test": tests}])])


GPUS = ("together:deployment_gpus_ready", "together:project_observed")
HOURS = "max by (project, deployment, gpu_type) (together:deployment_gpu_hours)"


@pytest.mark.parametrize("promtool", PROMTOOLS)
def test_gpu_hours_survive_replaced_pods_and_two_exporters(promtool: str, tmp_path: Path) -> None:
    inputs = [
        *exporter("a1", "1x299 stale"),
        *exporter("b1", "_x60 1x239 stale"),
        *exporter("a2", "_x300 1x300"),
    ]
    rules = only(*GPUS, "together:deployment_gpu_hours")
    expect(
        promtool, tmp_path, rules, inputs, *((HOURS, minute, 10) for minute in (60, 61, 119, 180, 299, 330, 420, 599))
    )


@pytest.mark.parametrize("promtool", PROMTOOLS)
def test_an_exporter_that_was_away_does_not_make_the_hour_cheaper(promtool: str, tmp_path: Path) -> None:
    inputs = exporter("a", "1x90 stale _x9 1x200")
    rules = only(*GPUS, "together:deployment_gpu_hours")
    expect(promtool, tmp_path, rules, inputs, (HOURS, 119, 10), (HOURS, 180, 10))


@pytest.mark.parametrize("promtool", PROMTOOLS)
def test_polls_that_fail_for_a_while_do_not_make_the_hour_dearer(promtool: str, tmp_path: Path) -> None:
    inputs = [*exporter("a", "1x300")[:3], series(f'{READABLE},pod="a"}}', "1x90 0x4 1x200")]  # shown until stale_after
    rules = only(*GPUS, "together:deployment_gpu_hours")
    expect(promtool, tmp_path, rules, inputs, (HOURS, 119, 10))


@pytest.mark.parametrize("promtool", PROMTOOLS)
def test_a_deployment_that_was_there_for_half_an_hour_costs_half_an_hour(promtool: str, tmp_path: Path) -> None:
    inputs = [*exporter("a", "_x90 1x29 stale"), series(f'{READABLE},pod="z"}}', "1x300")]
    rules = only(*GPUS, "together:deployment_gpu_hours")
    to_two_samples = 5 * 2 / 60 * 2  # Prometheus 2 counts the samples at both ends of a range
    expect(promtool, tmp_path, rules, inputs, (f"abs({HOURS} - 5) < bool {to_two_samples:.3f}", 119, 1))


@pytest.mark.parametrize("promtool", PROMTOOLS)
def test_a_new_price_does_not_change_the_past(promtool: str, tmp_path: Path) -> None:
    recorded = "together:deployment_gpu_cost"
    inputs = [
        series(f'{recorded}{{{LABELS},gpu_type="h"}}', "20x9 30x9"),  # hours at the old price and at the new one
    ]
    month = f"sum by (project, deployment, gpu_type) (sum_over_time({recorded}[30d]))"
    content = {"interval": "1h", "input_series": inputs}
    tests = [
        {"expr": month, "eval_time": "19h", "exp_samples": [{"labels": f'{{{LABELS},gpu_type="h"}}', "value": 500}]}
    ]
    check(promtool, tmp_path, [({"groups": []}, [{**content, "promql_expr_test": tests}])])


@pytest.mark.parametrize("promtool", PROMTOOLS)
def test_cost_is_gpu_hours_at_the_price_of_that_cluster(promtool: str, tmp_path: Path) -> None:
    inputs = [
        series(f'together:deployment_gpu_hours{{{LABELS},gpu_type="h",cluster="x"}}', "10x9"),
        series('together_gpu_hourly_cost{gpu_type="h",cluster="x",instance="a"}', "2.5x9"),
        series('together_gpu_hourly_cost{gpu_type="h",cluster="x",instance="b"}', "2.5x9"),
        series('together_gpu_hourly_cost{gpu_type="h",cluster="y",instance="c"}', "9x9"),
    ]
    cost = "sum by (project, deployment, gpu_type) (together:deployment_gpu_cost)"
    expect(promtool, tmp_path, only("together:deployment_gpu_cost"), inputs, (cost, 5, 25))


def test_usage_is_recorded_once_a_minute_and_hours_once_an_hour() -> None:
    intervals = {group["name"]: group["interval"] for group in build()["groups"]}
    assert intervals == {"together-usage": "1m", "together-usage-hourly": "1h", "together-alerts": "1m"}
