"""What the API answered in, the whole page out. `make golden` rewrites; read the diff."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from functools import cache

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from exporter.api.errors import REASONS
from exporter.api.models import DROP_REASONS
from exporter.metrics.families import GROUPS, PRELOAD_STATUSES, REPLICA_STATUSES
from exporter.metrics.page import FORMATS, Format
from exporter.simulator import SHIPPED
from exporter.state.history import STATUSES
from exporter.state.reasons import CLASSES
from tests.unit.metrics.client_library import generated
from tests.unit.metrics.goldens import GOLDEN, MOMENTS, PRICES, SCENARIOS, cases, page_of, scenario_polls, snapshot_of

IS_REWRITTEN = bool(os.environ.get("GOLDEN"))
CASES = cases()
# Every known value of a label: the series that has it must mean something in some golden, not stand there with a 0.
KNOWN: dict[tuple[str, str], tuple[str, ...]] = {
    ("together_deployment_status", "status"): STATUSES,
    ("together_deployment_status_changes_total", "status"): STATUSES,
    ("together_deployment_replicas", "status"): REPLICA_STATUSES,
    ("together_replica_status", "status"): REPLICA_STATUSES,
    ("together_replica_volume_preload_status", "status"): PRELOAD_STATUSES,
    ("together_deployment_replicas_with_reason", "class"): CLASSES,
    ("together_deployment_replicas_ended_total", "class"): CLASSES,
    ("together_deployment_poll_error", "reason"): REASONS,
    ("together_project_poll_error", "reason"): tuple(reason for reason in REASONS if reason != "not_found"),
    ("together_project_items_dropped", "reason"): DROP_REASONS,
    ("together_queue_jobs", "state"): ("waiting", "running"),
    ("together_deployment_info", "gpu_type"): ("none", "h100-80gb"),
}


@cache
def page(case: str, format_: Format) -> bytes:
    return b"".join(page_of(case).pieces(format_))


@cache
def parsed(case: str, format_: Format) -> list[Metric]:
    text = page(case, format_).decode()
    if format_ == "text":
        return list(text_families(text))
    return list(openmetrics_families(text + "# EOF\n"))  # type: ignore[no-untyped-call]  # has no annotations


def test_every_shipped_scenario_has_a_golden() -> None:
    assert set(MOMENTS) == set(SHIPPED)
    assert {f"scenario-{name}" for name in SHIPPED} <= set(CASES)


@pytest.mark.parametrize("case", SCENARIOS)
def test_what_a_scenario_answers_is_as_it_was(case: str) -> None:
    polls = scenario_polls(SCENARIOS[case])
    if IS_REWRITTEN:
        lines = ",\n".join(f"  {json.dumps(poll)}" for poll in polls)
        (GOLDEN / f"{case}.json").write_text(f'{{\n "polls": [\n{lines}\n ]\n}}\n', encoding="utf-8")
    assert json.loads((GOLDEN / f"{case}.json").read_bytes())["polls"] == polls


@pytest.mark.parametrize("case", CASES)
def test_the_page_of_an_answer(case: str) -> None:
    golden = GOLDEN / f"{case}.txt"
    if IS_REWRITTEN:
        golden.write_bytes(page(case, "text"))
    assert page(case, "text").decode() == golden.read_text(encoding="utf-8")


def test_every_page_has_its_answer() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("case", CASES)
def test_promtool_finds_nothing(case: str) -> None:
    done = subprocess.run(["promtool", "check", "metrics"], input=page(case, "text"), capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_every_byte_is_what_prometheus_client_would_write(case: str, format_: Format) -> None:
    assert page(case, format_) == generated(snapshot_of(case), PRICES, format_)


@pytest.mark.parametrize("case", CASES)
def test_both_formats_have_the_same_samples(case: str) -> None:
    text, openmetrics = (
        [(sample.name, sample.labels, sample.value) for metric in parsed(case, format_) for sample in metric.samples]
        for format_ in FORMATS
    )
    assert text == openmetrics


def _shown(format_: Format) -> Iterator[tuple[str, dict[str, str], float]]:
    for case in CASES:
        for metric in parsed(case, format_):
            for sample in metric.samples:
                yield sample.name, sample.labels, sample.value


@pytest.mark.parametrize("format_", FORMATS)
def test_every_family_is_in_some_golden(format_: Format) -> None:
    shown = {name for name, _, _ in _shown(format_)}
    for family in (family for group in GROUPS for family in group.families):
        suffixes = ("_sum", "_count") if family.type == "summary" else ("",)
        assert {family.name + suffix for suffix in suffixes} <= shown


@pytest.mark.parametrize("format_", FORMATS)
def test_every_label_is_in_some_golden_with_a_value(format_: Format) -> None:
    shown = {(name, label) for name, labels, _ in _shown(format_) for label, value in labels.items() if value}
    for group in GROUPS:
        for family in group.families:
            names = {f"{family.name}_sum"} if family.type == "summary" else {family.name}
            assert {(name, label) for name in names for label in (*group.identity, *family.labels)} <= shown


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(("family", "label"), KNOWN)
def test_every_known_label_value_is_in_some_golden(family: str, label: str, format_: Format) -> None:
    shown = {labels[label] for name, labels, value in _shown(format_) if name == family and value > 0}
    assert set(KNOWN[family, label]) <= shown


def test_every_label_that_states_something_is_looked_at() -> None:
    """A new family with a status, a reason, a class or a state belongs into KNOWN, or here with why not."""
    free = {("together_deployment_replicas_with_reason", "reason"), ("together_replica_status_reason", "reason")}
    stating = {
        (family.name, label)
        for group in GROUPS
        for family in group.families
        for label in {"status", "reason", "class", "state"} & set(family.labels)
    }
    assert stating - free <= set(KNOWN)


@pytest.mark.parametrize("case", CASES)
def test_units_are_named_in_openmetrics(case: str) -> None:
    lines = page(case, "openmetrics").decode().splitlines()
    units = {name: unit for _, _, name, unit in (line.split(" ") for line in lines if line.startswith("# UNIT "))}
    shown = [metric.name for metric in parsed(case, "openmetrics")]
    assert units == {name: name.rpartition("_")[2] for name in shown if name.endswith(("_seconds", "_bytes", "_cores"))}
    assert "# UNIT" not in page(case, "text").decode()


@pytest.mark.parametrize("case", CASES)
def test_no_secret_is_on_a_page(case: str) -> None:
    for secret in ("hunter2", "postgres://", "simulated-plain-secret"):
        assert secret not in page(case, "text").decode()


@pytest.mark.parametrize("case", CASES)
def test_infos_and_state_sets_are_gauges_in_both_formats(case: str) -> None:
    for format_ in FORMATS:
        for metric in parsed(case, format_):
            if metric.name.endswith(("_info", "_status", "_success")):
                assert metric.type == "gauge"
