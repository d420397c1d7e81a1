"""Label values stand in several places: metrics, alerts, dashboards, log messages, types, docs. They agree."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from dashboards.parts import STATUSES as DASHBOARD_STATUSES
from exporter.api.client import HTTPX_ERRORS, STATUS_ERRORS
from exporter.api.errors import ERRORS, REASONS, InternalError, InvalidResponse
from exporter.api.models import DROP_REASONS, READY_STATUS, DropReason
from exporter.metrics.families import GROUPS, PRELOAD_STATUSES, REPLICA_STATUSES, TERMINATED
from exporter.polling.fetches import FETCHES, Name
from exporter.polling.reporting import DROP_MESSAGES
from exporter.self_metrics import CODES, REFUSALS
from exporter.state.history import STATUSES
from exporter.state.reasons import CLASSES, ReasonClass
from exporter.web.refusals import Reason
from tests.conftest import ROOT
from tests.unit.metrics.goldens import cases, snapshot_of

FAMILIES = {family.name: family for group in GROUPS for family in group.families}
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
VALUES = {  # of a label of a metric, wherever somebody selects by it
    ("together_deployment_status", "status"): STATUSES,
    ("together_deployment_status_changes_total", "status"): STATUSES,
    ("together_deployment_replicas", "status"): REPLICA_STATUSES,
    ("together_replica_status", "status"): REPLICA_STATUSES,
    ("together_replica_volume_preload_status", "status"): PRELOAD_STATUSES,
    ("together_deployment_replicas_with_reason", "class"): CLASSES,
    ("together_deployment_replicas_ended_total", "class"): CLASSES,
    ("together_deployment_poll_error", "reason"): REASONS,
    ("together_project_poll_error", "reason"): REASONS,
    ("together_exporter_poll_failures_total", "reason"): REASONS,
    ("together_exporter_poll_failures_total", "fetch"): tuple(FETCHES),
    ("together_exporter_polls_total", "fetch"): tuple(FETCHES),
    ("together_exporter_api_requests_total", "code"): CODES,
    ("together_project_items_dropped", "reason"): DROP_REASONS,
    ("together_exporter_http_clients_refused_total", "reason"): REFUSALS,
    ("together_queue_jobs", "state"): ("waiting", "running"),
}
Selections = dict[tuple[str, str], set[tuple[str, str]]]  # by metric and label: (operator, value)


def selections(text: str) -> Selections:
    """What PromQL in a text selects; dashboards' variables are left out."""
    found: Selections = defaultdict(set)
    for metric, matchers in re.findall(r"(together_\w+)\{([^{}]*)\}", text):
        for label, operator, value in re.findall(r"""(\w+)(=~|!~|!=|=)["']([^"']*)["']""", matchers):
            if "$" not in value:
                found[metric, label].add((operator, value))
    return found


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def queries(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    return "\n".join(strings(json.loads(text))) if file.suffix == ".json" else text


DOCUMENTS = sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("file", [RULES, *DASHBOARDS, *DOCUMENTS], ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_selected_by_exists(file: Path) -> None:
    for (metric, label), chosen in selections(queries(file)).items():
        known = VALUES.get((metric, label), ())
        for operator, value in chosen:
            if known and operator in {"=", "=~"}:
                assert set(value.split("|")) <= set(known), (metric, label)


def test_alerts_and_dashboards_select_by_something_that_is_known() -> None:
    """Else the test above would look at nothing."""
    found = {key for file in (RULES, *DASHBOARDS) for key in selections(queries(file))}
    assert len(found & set(VALUES)) >= 4


@pytest.mark.parametrize(
    ("metric", "known"),
    [("together_deployment_status", STATUSES), ("together_deployment_replicas", REPLICA_STATUSES)],
)
def test_the_alert_about_unknown_statuses_knows_all_that_are_known(metric: str, known: tuple[str, ...]) -> None:
    excluded = [value for operator, value in selections(queries(RULES))[metric, "status"] if operator == "!~"]
    assert [value.split("|") for value in excluded] == [list(known)]


def test_the_classes_that_alerts_select_by_are_known() -> None:
    chosen = re.findall(r'\bclass=~?"([a-z|]+)"', queries(RULES))
    assert chosen
    assert {name for value in chosen for name in value.split("|")} <= set(CLASSES)


def test_the_dashboards_have_a_number_for_every_status() -> None:
    assert set(DASHBOARD_STATUSES) == set(STATUSES)
    numbers = [number for number, _ in DASHBOARD_STATUSES.values()]
    assert len(set(numbers)) == len(numbers)
    for dashboard in DASHBOARDS:
        text = queries(dashboard)
        if "together_deployment_status{" in text and " * max by" in text:
            shown = {value for _, value in selections(text)["together_deployment_status", "status"]}
            assert set(STATUSES) <= shown, dashboard.name


@pytest.mark.parametrize(
    ("literal", "values"),
    [(DropReason, DROP_REASONS), (Reason, REFUSALS), (ReasonClass, CLASSES), (Name, tuple(FETCHES))],
    ids=["drop reasons", "refusals", "reason classes", "fetches"],
)
def test_a_literal_has_the_values_that_are_counted(literal: object, values: tuple[str, ...]) -> None:
    assert get_args(literal) == values


def test_every_drop_reason_has_a_message() -> None:
    assert set(DROP_MESSAGES) == set(DROP_REASONS)


def test_every_error_that_a_request_can_end_with_is_in_the_table() -> None:
    assert {*STATUS_ERRORS.values(), *HTTPX_ERRORS.values()} <= set(ERRORS)
    assert {InvalidResponse, InternalError} <= set(ERRORS)
    assert {str(status) for status in STATUS_ERRORS} <= set(CODES)


def test_statuses_with_a_meaning_of_their_own_are_known() -> None:
    assert {READY_STATUS, TERMINATED} <= set(REPLICA_STATUSES)


@pytest.mark.parametrize(
    ("family", "values"),
    [("together_project_items_dropped", DROP_REASONS), ("together_deployment_replicas_with_reason", CLASSES)],
)
def test_the_help_names_every_value(family: str, values: tuple[str, ...]) -> None:
    words = set(re.findall(r"\w+", FAMILIES[family].help))
    assert set(values) <= words


@pytest.mark.parametrize(
    ("page", "values"),
    [
        ("reliability.md", REASONS),
        ("troubleshooting.md", REASONS),
        ("reliability.md", DROP_REASONS),
        ("reliability.md", REFUSALS),
        ("metrics.md", DROP_REASONS),
        ("metrics.md", CLASSES),
    ],
)
def test_the_docs_name_every_value(page: str, values: tuple[str, ...]) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(r"\w+" if page == "metrics.md" else r"`(\w+)`", text))
    assert set(values) - named == set()


def test_the_simulator_tells_no_status_that_is_not_known() -> None:
    for case in cases():
        if case.startswith("scenario-"):
            for shown in snapshot_of(case).deployments:
                assert shown.state is not None
                replicas = shown.state.deployment.replicas
                assert shown.state.deployment.status in STATUSES
                assert {replica.replica_status for replica in replicas} <= set(REPLICA_STATUSES)
                assert {replica.volume_preload_status for replica in replicas} <= {None, *PRELOAD_STATUSES}
