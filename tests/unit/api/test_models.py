from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from exporter.api.errors import InvalidResponse
from exporter.api.listing import read_list
from exporter.api.models import MAX_LABEL, read_deployment

NUMBERS = (
    "ready_replicas",
    "desired_replicas",
    "min_replicas",
    "max_replicas",
    "gpu_count",
    "cpu",
    "memory",
    "storage",
)
TEXTS = ("name", "id", "status", "image", "gpu_type", "capacity_type")


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", ["3", True, -1, [], {}, float("nan"), float("inf"), 10**400], ids=repr)
def test_a_number_that_is_none_is_left_out_and_named(field: str, value: Any) -> None:
    reading = read_deployment(json.dumps({"name": "a", field: value}).encode())
    assert getattr(reading.deployment, field) is None
    assert reading.refused == (field,)
    assert reading.deployment.name == "a"


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("value", [3, True, [], {}], ids=repr)
def test_a_text_that_is_none_is_left_out_and_named(field: str, value: Any) -> None:
    reading = read_deployment(json.dumps({field: value}).encode())
    assert getattr(reading.deployment, field) is None
    assert reading.refused == (field,)


@pytest.mark.parametrize("field", [*NUMBERS, *TEXTS, "replica_events", "volumes", "autoscaling", "created_at"])
def test_null_is_absent(field: str) -> None:
    reading = read_deployment(json.dumps({field: None}).encode())
    assert getattr(reading.deployment, field) is None
    assert reading.refused == ()


@pytest.mark.parametrize(
    ("text", "unix"),
    [
        ("2026-04-01T00:00:00Z", 1775001600.0),
        ("2026-04-01T02:00:00.5+02:00", 1775001600.5),
        ("2026-04-01T00:00:00.123456789Z", 1775001600.123456),
        ("2026-04-01T00:00:00", 1775001600.0),
        ("", None),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_a_timestamp_is_seconds_since_1970(text: str, unix: float | None) -> None:
    assert read_deployment(json.dumps({"created_at": text}).encode()).deployment.created_at == unix


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"3", b"null", b"[" * 10_000, b'{"name": "a', b"{}", b'{"error": {}}']
)
def test_a_body_that_is_no_deployment_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        read_deployment(body)


@pytest.mark.parametrize("body", [b"{}", b'{"data": {}}', b'{"data": null}'])
def test_a_list_without_its_data_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        read_list(body)


def test_one_odd_item_in_a_list_costs_no_other() -> None:
    body = b'{"data": [{"name": "a\\ud800"}, null, 3, {"name": "b", "ready_replicas": 1' + b"0" * 5000 + b"}]}"
    assert [r.deployment.name for r in read_list(body)] == ["a\ufffd", None, None, "b"]


def test_a_label_holds_no_nul_and_has_an_end() -> None:
    reading = read_deployment(json.dumps({"image": "a\0b", "status": "x" * 5000}).encode())
    assert reading.deployment.image == "a\ufffdb"
    assert len(reading.deployment.status or "") == MAX_LABEL
    assert reading.losses.cut == ["status"]


def test_every_cut_value_is_named() -> None:
    long = "x" * 5000
    answer = {"name": long, "replica_events": {long: {"image": long, "replica_status": 3}}, "volumes": [{"name": "v"}]}
    reading = read_deployment(json.dumps(answer).encode())
    assert sorted(reading.losses.cut) == ["image", "name", "replica_events"]
    assert reading.refused == ("replica_events.*.replica_status",)


def test_no_value_of_a_variable_is_kept_but_the_revision() -> None:
    variables = [{"name": "A", "value": "hunter2"}, {"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": "rev"}]
    deployment = read_deployment(json.dumps({"environment_variables": variables}).encode()).deployment
    assert deployment.revision == "rev"
    assert "hunter2" not in json.dumps(asdict(deployment))


def test_what_is_refused_inside_a_replica_is_named_without_its_name() -> None:
    body = json.dumps({"replica_events": {"r1": {"replica_status": 5, "image": "i"}, "r2": []}}).encode()
    reading = read_deployment(body)
    assert reading.refused == ("replica_events.*.replica_status", "replica_events.*")
    assert list(reading.deployment.replica_events or {}) == ["r1"]


def test_lists_have_an_end() -> None:
    answer = {"volumes": [{"name": "v"}] * 1003, "environment_variables": [{"name": "E"}] * 5}
    reading = read_deployment(json.dumps(answer).encode())
    assert len(reading.deployment.volumes or ()) == 1000
    assert reading.losses.over == ["volumes"] * 3


@pytest.mark.parametrize("event", [[], {}, {"[key]": 1}, None, 3, "text"])
def test_a_replica_without_a_name_is_refused(event: object) -> None:
    reading = read_deployment(json.dumps({"id": "d", "replica_events": {"": event, "r": {}}}).encode())
    assert reading.deployment.id == "d"
    assert set(reading.refused) & {"replica_events.*", "replica_events"}


@pytest.mark.parametrize("odd", ["\ud800", "\0", ""])
def test_an_unknown_field_may_have_any_name(odd: str) -> None:
    answer = {odd: 1, "name": "d", "autoscaling": {odd: 1, "target": 3}, "replica_events": {"r": {odd: 1, "image": 5}}}
    reading = read_deployment(json.dumps(answer).encode())
    assert (reading.deployment.name, reading.deployment.autoscaling and reading.deployment.autoscaling.target) == (
        "d",
        3,
    )
    assert reading.refused == ("replica_events.*.image",)
