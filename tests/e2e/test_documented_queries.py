"""Every query in the documentation is run by a real Prometheus, over a fleet that has all that they ask for."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.metrics.families import GROUPS
from exporter.rules.build import build
from exporter.self_metrics import described
from exporter.simulator.scenario import load
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Start
from tests.e2e.contract import Exporter
from tests.e2e.documentation import Line, fenced, inline
from tests.e2e.monitoring import Prometheus
from tests.e2e.test_dashboards import FASTER, answer_all, answered, two
from tests.unit.rules.names import known

METRIC = re.compile(r"\b(?:together[_:][a-z0-9_]+|process_[a-z_]+)\b")
PLACEHOLDER = re.compile(r'(\w+)="\.\.\."')
OWN = {sample.name for metric in described() for sample in metric.samples} | {metric.name for metric in described()}
FAMILIES = [family for group in GROUPS for family in group.families]
SUMMARIES = {f"{family.name}_{part}" for family in FAMILIES if family.type == "summary" for part in ("sum", "count")}
KNOWN = {family.name for family in FAMILIES} | SUMMARIES | known() | OWN | {f"{name}_total" for name in OWN}
SCENARIO = """
deployments:
  - {name: chat, replicas: 2, max_replicas: 3, gpu_count: 2, volume: weights, secret_expires_in: 864000,
     timeline: [{at: 20, rollout: "registry.example/chat:2"}, {at: 60, scale: 3}, {at: 75, scale: 2}], repeat: 90}
  - {name: embed, replicas: 2, autoscaling: {metric: QueueBacklogPerWorker, target: 1.01}, queue: [5, 1],
     timeline: [{at: 10, crash: 1}, {at: 40, fail: true}, {at: 80, fail: false, recover: true}], repeat: 120}
  - {name: loads, replicas: 1, volume: weights, timeline: [{at: 5, scale: 2}, {at: 60, preload_error: 1}]}
  - {name: judge, replicas: 1, model_mount: {model_id: acme/judge, revision_id: rev-3}}
"""
NEVER_HERE = {  # query: why it has no data over this fleet
    "increase(together_exporter_polls_missed_total[1h])": "no poll is missed, and the hour is not there; it is valid",
    "together_exporter_poll_duration_seconds": "a histogram's name; its series are _bucket, _sum and _count",
    "together_deployment_replica_startup_seconds": "a summary's name; its series are _sum and _count",
    "max by (project, deployment) (together_deployment_replicas_ready) > 0 and on (project, deployment) "
    "probe_success == 0": "there is no blackbox_exporter; tests/e2e/test_discovery.py probes",
}


def queries() -> list[Line]:
    blocks = list(fenced("promql"))
    spans = [line for line in inline() if METRIC.search(line.text) or line.text.startswith("up{")]
    return [*blocks, *(line for line in spans if is_query(line.text))]


def is_query(text: str) -> bool:
    """Not a name cut short, such as `together_exporter_...`."""
    return "…" not in text and not text.endswith(("_", "..."))


def is_of_rules(line: Line) -> bool:
    """Asks for what takes longer than a test, or two exporters."""
    return line.file.parent.name in {"runbooks", "dashboards"} or line.file.name in {"recipes.md", "alerting.md"}


def filled(query: str) -> str:
    return PLACEHOLDER.sub(r'\1=~".+"', query)


def test_there_are_queries_to_run() -> None:
    assert len(queries()) > 60


@pytest.mark.parametrize("line", [line for line in inline() if METRIC.search(line.text)], ids=lambda line: line.name)
def test_every_metric_that_is_named_exists(line: Line) -> None:
    unknown = {name for name in METRIC.findall(line.text) if name not in KNOWN and not name.startswith("process_")}
    assert unknown == set() or line.text.endswith(("_", "...")), unknown


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Exporter(["chat", "embed"]), Exporter(["chat", "embed"])),
        (Exporter(["chat"], (0, 2)), Exporter(["embed"], (1, 2))),
    ],
    ids=["identical", "shards"],
)
def test_recipes_and_runbooks_have_answers_from_two_exporters(
    first: Exporter, second: Exporter, tmp_path: Path
) -> None:
    asked = {line.text: line.name for line in queries() if is_of_rules(line)}
    rules = build(faster=FASTER)
    with first, second, Prometheus("", tmp_path, two(first, second), rules=rules) as prometheus:
        until(lambda: bool(prometheus.query("together_deployment_poll_success")), "they are scraped")
        answer_all(prometheus, {name: filled(text) for text, name in asked.items()}, ())


@pytest.mark.needs("prometheus")
def test_every_query_has_an_answer(start: Start, tmp_path: Path) -> None:
    (tmp_path / "scenario.yml").write_text(SCENARIO)
    with ExitStack() as entered:
        fleet, outage = (
            entered.enter_context(SimulatorServer(load(name))) for name in (str(tmp_path / "scenario.yml"), "outage")
        )
        pace = "max_requests_per_second: 100"
        daemon = start(
            "poll_interval: 250ms\ngpu_hourly_cost: {h100-80gb: 3.5}\nmax_replicas_per_deployment: 2\nprojects:\n"
            f"- {{name: fleet, base_url: '{fleet.url}', queue: true, revisions: true, {pace}}}\n"
            f"- {{name: named, base_url: '{fleet.url}', deployments: [chat, nope], {pace}}}\n"
            f"- {{name: outage, base_url: '{outage.url}', {pace}}}\n",
            TOGETHER_API_KEY="k",
        )
        rules = build()
        target = daemon.url().removeprefix("http://")
        prometheus = entered.enter_context(Prometheus(target, tmp_path, rules=rules))
        until(lambda: bool(prometheus.query("together_deployment_poll_success")), "it is scraped")
        by_text = {line.text: line.name for line in queries() if not is_of_rules(line)}
        assert by_text.keys() >= NEVER_HERE.keys(), "an exception that nobody needs any more"
        for query in NEVER_HERE:
            answered(prometheus, query)
        open_ = {name: filled(text) for text, name in by_text.items() if text not in NEVER_HERE}
        answer_all(prometheus, open_, (fleet, outage))
