from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from exporter.api.errors import InvalidResponse
from exporter.api.models import MAX_COUNT, MAX_ENTRIES, MAX_LABEL, MAX_MESSAGE, Deployment, Dropped, Replica, printable
from exporter.api.reading import MAX_DEPLOYMENT, Reading, read_deployment, read_json, read_queue
from tests.pipeline import answer

NUMBERS = (
    "ready_replicas", "desired_replicas", "min_replicas", "max_replicas", "gpu_count", "cpu", "memory", "storage",
)  # fmt: skip
TEXTS = ("name", "id", "status", "image", "gpu_type", "capacity_type")
TIMES = ("created_at", "updated_at")
OTHERS = ("replica_events", "volumes", "autoscaling", "model_mounts", "environment_variables")


def read(**fields: Any) -> Reading:
    return read_deployment(answer({"id": "1", **fields}))


def refused(*paths: str) -> tuple[Dropped, ...]:
    return tuple(Dropped("invalid_value", path) for path in paths)


def read_replica(**fields: Any) -> tuple[Replica, tuple[Dropped, ...]]:
    reading = read(replica_events={"r": fields})
    (replica,) = reading.deployment.replicas
    return replica, reading.dropped


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize(
    ("value", "number"),
    [(0, 0), (3, 3), (2.5, 2.5), ("3", 3), ("1.05", 1.05), ("1e2", 100), ("+3", 3), (MAX_COUNT, MAX_COUNT), (-0.0, 0)],
    ids=repr,
)
def test_a_number_is_read_also_from_a_string(field: str, value: Any, number: float) -> None:
    reading = read(**{field: value})
    assert getattr(reading.deployment, field) == number
    assert reading.dropped == ()


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize(
    "value",
    [True, -1, "-1", "", "three", "0x10", "1_000", " 3", "nan", "Infinity", "1e400", "٣", [], {}, float("nan"),
     float("inf"), 10**400, MAX_COUNT * 2, 1e308],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_number_that_is_none_is_left_out_and_named(field: str, value: Any) -> None:
    reading = read(**{field: value, "image": "i"})
    assert getattr(reading.deployment, field) is None
    assert reading.dropped == refused(field)
    assert reading.deployment.image == "i"


@pytest.mark.parametrize(
    ("target", "number"), [(1.05, 1.05), ("1.05", 1.05), (-3, -3), ("-3", -3), (1e308, 1e308), (None, None)]
)
def test_an_autoscaling_target_may_be_any_number(target: Any, number: float | None) -> None:
    reading = read(autoscaling={"metric": "m", "target": target})
    assert reading.deployment.autoscaling is not None
    assert reading.deployment.autoscaling.target == number
    assert reading.dropped == ()


@pytest.mark.parametrize("target", ["much", True, [], float("inf"), "1e400"], ids=repr)
def test_an_autoscaling_target_that_is_none_is_left_out_and_named(target: Any) -> None:
    reading = read(autoscaling={"metric": "m", "target": target})
    assert reading.deployment.autoscaling is not None
    assert (reading.deployment.autoscaling.metric, reading.deployment.autoscaling.target) == ("m", None)
    assert reading.dropped == refused("autoscaling.target")


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("value", [3, True, [], {}], ids=repr)
def test_a_text_that_is_none_is_left_out_and_named(field: str, value: Any) -> None:
    reading = read_deployment(answer({"cpu": 1, field: value}))
    assert getattr(reading.deployment, field) is None
    assert reading.dropped == refused(field)


@pytest.mark.parametrize("field", [*NUMBERS, *TEXTS, *TIMES, *OTHERS])
def test_null_is_absent(field: str) -> None:
    reading = read_deployment(answer({"object": "deployment", field: None}))
    assert getattr(reading.deployment, field) is None
    assert reading.dropped == ()


@pytest.mark.parametrize("field", TEXTS)
def test_an_empty_text_is_absent(field: str) -> None:
    assert read_deployment(answer({field: ""})) == Reading(Deployment())


@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize(
    ("value", "unix", "dropped"),
    [
        ("2026-04-01T00:00:00Z", 1775001600.0, False),
        ("2026-04-01 00:00:00 +0000 UTC", 1775001600.0, False),
        ("1970-01-01T00:00:00Z", 0.0, False),
        ("", None, False),
        ("0001-01-01T00:00:00Z", None, False),
        ("yesterday", None, True),
        (1775001600, None, True),
        (True, None, True),
    ],
)
def test_a_timestamp_is_seconds_since_1970(field: str, value: Any, unix: float | None, dropped: bool) -> None:
    reading = read(**{field: value})
    assert getattr(reading.deployment, field) == unix
    assert reading.dropped == (refused(field) if dropped else ())


@pytest.mark.parametrize(
    ("status", "since", "is_ready", "unix", "dropped"),
    [
        ("Running", "2026-04-01T00:00:00Z", True, 1775001600.0, False),
        ("Running", "2026-10-01 10:00:00 +0000 UTC", True, 1790848800.0, False),
        ("Running", "2026-04-01t00:00:00z", True, 1775001600.0, False),
        ("Running", "1970-01-01T00:00:00Z", True, 0.0, False),
        ("Running", "a while ago", True, None, True),
        ("Running", "0001-01-01T00:00:00Z", True, None, False),
        ("Running", "", False, None, False),
        ("Running", None, False, None, False),
        ("Running", 1767225600, True, None, True),
        ("Running", True, True, None, True),
        ("Running", 0, False, None, False),
        ("Waiting", "2026-04-01T00:00:00Z", False, 1775001600.0, False),
        (None, "2026-04-01T00:00:00Z", False, 1775001600.0, False),
    ],
)
def test_a_replica_is_ready_where_it_runs_and_any_value_says_since_when(
    status: str | None, since: Any, is_ready: bool, unix: float | None, dropped: bool
) -> None:
    replica, left_out = read_replica(replica_status=status, replica_ready_since=since)
    assert (replica.is_ready, replica.ready_timestamp) == (is_ready, unix)
    expected = refused("replica_events.*.replica_ready_since")
    assert [each.reason for each in left_out] == ([expected[0].reason] if dropped else [])


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"3", b"null", b"[" * 10_000, b'{"a":' * 10_000, b'{"name": "a', b"{}", b'{"error": {}}',
     b'{"detail": "not found"}', b"\xff\xfe{}"],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_a_body_that_is_no_deployment_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidResponse):
        read_deployment(body)


def test_a_body_above_a_mebibyte_is_refused() -> None:
    body = answer({"id": "1", "description": "x" * MAX_DEPLOYMENT})
    with pytest.raises(InvalidResponse, match="exceeds 1,048,576"):
        read_deployment(body)
    fits = answer({"id": "1", "description": ""})
    assert read_deployment(fits.replace(b'""', b'"' + b"x" * (MAX_DEPLOYMENT - len(fits)) + b'"')).id == "1"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"id": "1"}', {"id": "1"}),
        (b'{"id": "\\ud800"}', {"id": "\ud800"}),
        (b'{"id": "\xff"}', {"id": "\ufffd"}),
        (b'{"n": 1' + b"0" * 5000 + b"}", {"n": float("inf")}),
        (b'{"n": 12345678901234567890}', {"n": 12345678901234567890}),
        (b' {"n": [1, 2.5, null, true]} ', {"n": [1, 2.5, None, True]}),
    ],
    ids=["BOM", "lone surrogate", "no UTF-8", "5,000 digits", "20 digits", "spaces"],
)
def test_odd_json_is_read(body: bytes, value: object) -> None:
    assert read_json(body) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 🚀", "plain é 🚀"),
        ("line\nfeed", "line\nfeed"),
        *((f"a{odd}b", "a\ufffdb") for odd in "\0\t\r\x1c\x1f\x7f\x85\x9f\u2028\u2029\ud800\udfff"),
    ],
)
def test_control_characters_are_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("field", TEXTS)
def test_a_label_holds_no_control_character(field: str) -> None:
    assert getattr(read(**{field: "a\r\0\u2028\x85b"}).deployment, field) == "a\ufffd\ufffd\ufffd\ufffdb"


@pytest.mark.parametrize("field", TEXTS)
def test_a_label_that_is_too_long_is_cut_and_named(field: str) -> None:
    reading = read(**{field: "x" * (MAX_LABEL + 1)})
    assert getattr(reading.deployment, field) == "x" * (MAX_LABEL - 1) + "…"
    assert reading.dropped == (Dropped("label_length_limit", field),)
    assert read(**{field: "x" * MAX_LABEL}).dropped == ()


def test_every_cut_value_is_named() -> None:
    long = "x" * 5000
    replicas = {long: {"image": long, "replica_status": 3}}
    reading = read(name=long, replica_events=replicas, volumes=[{"name": "v", "mount_path": long}])
    cut = [each.field for each in reading.dropped if each.reason == "label_length_limit"]
    assert sorted(cut) == ["image", "mount_path", "name", "replica_events"]
    assert refused("replica_events.*.replica_status")[0] in reading.dropped


def test_a_replicas_message_is_cut_and_not_counted() -> None:
    replica, dropped = read_replica(replica_status_message="m" * 1000 + "\0")
    assert replica.replica_status_message == "m" * (MAX_MESSAGE - 1) + "…"
    assert dropped == ()
    for message in ("m", "m" * MAX_MESSAGE):
        assert read_replica(replica_status_message=message)[0].replica_status_message == message


def test_no_value_of_a_variable_is_kept_but_the_revision() -> None:
    variables = [{"name": "A", "value": "hunter2"}, {"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": "rev"}]
    deployment = read(environment_variables=variables).deployment
    assert deployment.revision == "rev"
    assert "hunter2" not in json.dumps(asdict(deployment))
    assert "rev" not in repr(deployment.environment_variables)


@pytest.mark.parametrize(
    ("variables", "revision"),
    [
        (None, None),
        ([], None),
        ([{"name": "A", "value": "rev"}], None),
        ([{"name": "TOGETHER_DEPLOYMENT_REVISION_ID"}], None),
        ([{"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": ""}], None),
        ([{"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": 5}], None),
        ([None, 3, {"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": "rev"}], "rev"),
    ],
)
def test_the_revision_is_where_the_api_names_it(variables: Any, revision: str | None) -> None:
    assert read(environment_variables=variables).deployment.revision == revision


@pytest.mark.parametrize(
    ("autoscaling", "queue"),
    [
        ({"metric": "QueueBacklogPerWorker", "target": 1}, "chat"),
        ({"metric": "QueueBacklogPerWorker", "model": "m"}, "m"),
        ({"metric": "QueueBacklogPerWorker", "model": ""}, "chat"),
        ({"metric": "HTTPTotalRequests", "model": "m"}, None),
        ({"model": "m"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_queue_is_the_one_that_scales_the_deployment(autoscaling: Any, queue: str | None) -> None:
    assert read(name="chat", autoscaling=autoscaling).deployment.queue == queue


def test_what_is_refused_inside_a_replica_is_named_without_its_name() -> None:
    reading = read(replica_events={"r1": {"replica_status": 5, "image": "i"}, "r2": [], "r3": {"image": 3}})
    assert sorted(each.field for each in reading.dropped) == [
        "replica_events.*", "replica_events.*.image", "replica_events.*.replica_status"
    ]  # fmt: skip
    assert reading.deployment.replica_events == {"r1": Replica(image="i"), "r2": None, "r3": Replica()}


@pytest.mark.parametrize("field", ["volumes", "model_mounts", "environment_variables"])
def test_lists_have_an_end(field: str) -> None:
    reading = read(**{field: [{"name": "v"}] * (MAX_ENTRIES + 3)})
    assert len(getattr(reading.deployment, field)) == MAX_ENTRIES
    assert reading.dropped == (Dropped("entry_limit", field, 3),)
    assert read(**{field: [{}] * MAX_ENTRIES}).dropped == ()


@pytest.mark.parametrize("event", [[], {}, {"[key]": 1}, None, 3, "text"])
def test_a_replica_without_a_name_is_listed_all_the_same(event: object) -> None:
    reading = read(replica_events={"": event, "r": {}})
    assert reading.deployment.id == "1"
    assert {each.field for each in reading.dropped} & {"replica_events.*", "replica_events"}
    assert list(reading.deployment.replica_events or {}) == ["\N{REPLACEMENT CHARACTER}", "r"]


@pytest.mark.parametrize("odd", ["\ud800", "\0", ""])
def test_an_unknown_field_may_have_any_name(odd: str) -> None:
    volumes = [{odd: 1, "name": "v"}]
    replicas = {"r": {odd: 1, "image": 5}}
    reading = read(**{odd: 1}, autoscaling={odd: 1, "target": 3}, replica_events=replicas, volumes=volumes)
    assert reading.deployment.autoscaling is not None
    assert [volume.name for volume in reading.deployment.volumes or ()] == ["v"]
    assert (reading.deployment.id, reading.deployment.autoscaling.target) == ("1", 3)
    assert reading.dropped == refused("replica_events.*.image")


@pytest.mark.parametrize(
    ("body", "waiting", "running"),
    [
        ({"messages_waiting": 3, "messages_running": 1, "total_jobs": 4}, 3, 1),
        ({"messages_waiting": "3"}, 3, None),
        ({"messages_waiting": None, "messages_running": 0}, None, 0),
        ({"messages_waiting": -1, "messages_running": 2}, None, 2),
    ],
)
def test_a_queue_has_what_can_be_read(body: object, waiting: float | None, running: float | None) -> None:
    queue = read_queue(answer(body))
    assert (queue.messages_waiting, queue.messages_running) == (waiting, running)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([], "a JSON list"),
        (None, "a JSON NoneType"),
        (3, "a JSON int"),
        ({}, "response has no field of queue metrics"),
        ({"error": {}}, "response has no field of queue metrics"),
        ({"messages_waiting": None}, "response has no field of queue metrics"),
        ({"messages_waiting": "x"}, "response has no field of queue metrics"),
    ],
)
def test_a_body_that_is_no_queue_is_refused_with_the_reason(body: object, reason: str) -> None:
    with pytest.raises(InvalidResponse, match=reason):
        read_queue(answer(body))


@pytest.mark.parametrize(
    "body",
    [
        {"object": "error", "message": "boom"},
        {"object": "list", "data": [{"id": "1"}]},
        {"status": "error", "message": "boom"},
        {"name": "InternalServerError", "code": 500},
        {"id": "req-1", "error": {"message": "boom"}},
        {"object": "error", "id": "1", "ready_replicas": 1},
    ],
    ids=str,
)
def test_an_object_of_another_kind_is_no_deployment(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidResponse):
        read_deployment(json.dumps(body).encode())


def test_a_deployment_may_have_an_error_or_a_message() -> None:
    assert read(error={"message": "boom"}, message="m", code=5, ready_replicas=1).deployment.ready_replicas == 1
