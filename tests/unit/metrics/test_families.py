from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.api.models import Deployment
from exporter.api.reading import read_object
from exporter.metrics.families import GROUPS, replicas_by_reason, replicas_by_status, replicas_updated, series_of
from exporter.metrics.family import Sample
from exporter.state.history import MAX_STATUSES, OTHER
from exporter.state.records import Target
from tests.pipeline import Pipeline, deployment, listing

FAMILIES = [(family, group) for group in GROUPS for family in group.families]
REVISION = "TOGETHER_DEPLOYMENT_REVISION_ID"


def read(**fields: Any) -> Deployment:
    return read_object(deployment("1", "chat", **fields)).deployment


def lines(family: str, **fields: Any) -> list[str]:
    """A family's samples of one deployment, without its identity."""
    pipeline = Pipeline(Target("p"))
    pipeline.list("p", listing(deployment("1", "chat", **fields)))
    page = pipeline.text().splitlines()
    return [
        line.removeprefix(family)
        .replace('deployment="chat",', "")
        .replace(',project="p"', "")
        .replace('project="p",', "")
        for line in page
        if line.startswith((f"{family}{{", f"{family} "))
    ]


def test_each_metric_has_one_row_with_unique_labels() -> None:
    names = [family.name for family, _ in FAMILIES]
    assert len(names) == len(set(names))
    for family, group in FAMILIES:
        labels = (*group.identity, *family.labels)
        assert len(labels) == len(set(labels)), family.name
        assert (family.type == "counter") == family.name.endswith("_total"), family.name
        assert family.name.startswith("together_")


@pytest.mark.parametrize("family", [family for family, _ in FAMILIES], ids=lambda family: family.name)
def test_help_is_a_sentence(family: Any) -> None:
    assert family.help[0].isupper() or family.help[0].isdigit()
    assert family.help.endswith(".")
    assert "\n" not in family.help


def test_counters_between_polls_say_that_they_are_lower_bounds() -> None:
    (history,) = [group for group in GROUPS if "between polls" in group.subject]
    assert all("lower bound" in family.help or family.name.endswith("_lost_total") for family in history.families)


def test_what_is_about_deployments_has_project_and_deployment_as_identity() -> None:
    for family, group in FAMILIES:
        if family.name.startswith("together_deployment_"):
            assert group.identity == ("project", "deployment"), family.name
        if family.name.startswith("together_replica_"):
            assert group.identity == ("project", "deployment", "replica"), family.name


VALUES = {
    "ready_replicas": ("together_deployment_replicas_ready", 2, "2.0"),
    "desired_replicas": ("together_deployment_replicas_desired", 3, "3.0"),
    "min_replicas": ("together_deployment_replicas_min", 0, "0.0"),
    "max_replicas": ("together_deployment_replicas_max", "4", "4.0"),
    "cpu": ("together_deployment_cpu_cores", 7.5, "7.5"),
    "memory": ("together_deployment_memory_bytes", 1, "1.073741824e+09"),
    "storage": ("together_deployment_storage_bytes", 0.5, "5.36870912e+08"),
    "created_at": ("together_deployment_created_timestamp_seconds", "2026-04-01T00:00:00Z", "1.7750016e+09"),
    "updated_at": ("together_deployment_updated_timestamp_seconds", "1970-01-01T00:00:00Z", "0.0"),
}


@pytest.mark.parametrize("field", VALUES)
def test_a_value_is_one_sample(field: str) -> None:
    family, value, text = VALUES[field]
    assert lines(family, **{field: value}) == [
        f'{{deployment="chat",project="p"}} {text}'.replace('deployment="chat",', "")
    ]


@pytest.mark.parametrize("odd", [None, "", "text", [], {}, True, 1e308, -1], ids=repr)
@pytest.mark.parametrize("field", VALUES)
def test_a_field_that_is_absent_null_or_none_gives_no_series(field: str, odd: Any) -> None:
    family, _, _ = VALUES[field]
    assert lines(family, **{field: odd}) == []
    assert lines(family) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"gpu_count": 2, "gpu_type": "h100"}, ['{gpu_type="h100"} 2.0']),
        ({"gpu_count": 0}, ['{gpu_type="none"} 0.0']),
        ({"gpu_type": "h100"}, []),
    ],
)
def test_gpus_per_replica(fields: dict[str, Any], expected: list[str]) -> None:
    assert lines("together_deployment_gpus_per_replica", **fields) == [
        each.replace(',project="p"', "") for each in expected
    ]


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ({"metric": "HTTPTotalRequests", "target": "1.05"}, ['{custom_metric="",metric="HTTPTotalRequests"} 1.05']),
        (
            {"metric": "CustomMetric", "custom_metric_name": "tokens", "target": 3},
            ['{custom_metric="tokens",metric="CustomMetric"} 3.0'],
        ),
        ({"target": 3}, ['{custom_metric="",metric=""} 3.0']),
        ({"metric": "HTTPTotalRequests"}, []),
        (None, []),
    ],
)
def test_the_autoscaling_target_is_absent_while_it_is_off(scaling: Any, expected: list[str]) -> None:
    assert lines("together_deployment_autoscaling_target", autoscaling=scaling) == expected


@pytest.mark.parametrize(
    ("volumes", "expected"),
    [
        (
            [{"name": "w", "mount_path": "/w", "version": 3}, {"name": "w", "mount_path": "/w", "version": "3"}],
            ['{mount_path="/w",version="3",volume="w"} 1.0'],
        ),
        ([{}], ['{mount_path="",version="",volume=""} 1.0']),
        ([], []),
        (None, []),
    ],
)
def test_each_volume_is_one_series(volumes: Any, expected: list[str]) -> None:
    assert lines("together_deployment_volume_info", volumes=volumes) == expected


def test_a_model_mount_is_one_series() -> None:
    mounts = [{"model_id": "llama", "mount_path": "/m", "revision_id": "r"}, {"model_id": None}]
    assert lines("together_deployment_model_mount_info", model_mounts=mounts) == [
        '{model="llama",mount_path="/m",revision="r"} 1.0',
        '{model="",mount_path="",revision=""} 1.0',
    ]


def test_a_secret_is_shown_by_its_name_and_expiry_and_never_by_its_value() -> None:
    expiry = {"value_from_secret_expires_at": "2026-04-01T00:00:00Z"}
    variables = [
        {"name": "T", "value": "v", "value_from_secret": "s", **expiry},
        {"name": "U", "value_from_secret": "s"},
    ]
    found = lines("together_deployment_secret_expiry_timestamp_seconds", environment_variables=variables)
    assert found == ['{secret="s",variable="T"} 1.7750016e+09']


@pytest.mark.parametrize(("name", "id_"), [("together_deployment_info", "1")])
def test_the_info_is_there_while_the_state_is_known(name: str, id_: str) -> None:
    assert lines(name) == [f'{{capacity_type="",gpu_type="none",id="{id_}",image="",revision=""}} 1.0']


def events(*replicas: dict[str, Any]) -> dict[str, Any]:
    return {"replica_events": {f"r-{number}": replica for number, replica in enumerate(replicas)}}


def by_status(*statuses: str | None) -> list[Sample]:
    return list(replicas_by_status(read(**events(*({"replica_status": status} for status in statuses)))))


def test_replicas_are_counted_by_status_the_known_ones_always() -> None:
    assert by_status("Running", "Evicted", "Running") == [
        (("Running",), 2.0), (("Waiting",), 0.0), (("Terminated",), 0.0), (("Evicted",), 1.0)
    ]  # fmt: skip
    assert [count for _, count in by_status()] == [0.0, 0.0, 0.0]
    assert list(replicas_by_status(read())) == []


@pytest.mark.parametrize("unknown", [{}, None, 5, {"replica_status": None}, {"replica_status": 5}])
def test_no_status_is_said_to_have_no_replica_while_one_is_unknown(unknown: object) -> None:
    listed = {"a": {"replica_status": "Running", "revision_id": "new"}, "b": unknown}
    assert list(replicas_by_status(read(replica_events=listed))) == [(("Running",), 1.0)]
    assert list(replicas_by_status(read(replica_events={"b": unknown}))) == []
    variables = [{"name": REVISION, "value": "new"}]
    assert replicas_updated(read(replica_events=listed, environment_variables=variables)) is None


def test_statuses_without_end_are_counted_together_and_the_known_ones_by_themselves() -> None:
    unknown = [f"s{number}" for number in range(MAX_STATUSES + 10)]
    counted = {labels[0]: count for labels, count in by_status(*unknown, *unknown, "Running")}
    assert len(counted) <= MAX_STATUSES + 4
    assert counted["Running"] == 1
    assert counted[OTHER] > 0
    assert sum(counted.values()) == 2 * len(unknown) + 1


def test_which_statuses_are_counted_together_does_not_depend_on_their_order() -> None:
    statuses = [f"s{number}" for number in range(MAX_STATUSES + 10)]
    assert by_status(*statuses) == by_status(*reversed(statuses))


def test_replicas_are_counted_by_reason_with_its_class() -> None:
    found = read(**events(*({"replica_status_reason": reason} for reason in ("Error", "Odd", "Error", "", None))))
    assert list(replicas_by_reason(found)) == [(("Error", "crash"), 2.0), (("Odd", "other"), 1.0)]
    assert list(replicas_by_reason(read())) == []


@pytest.mark.parametrize(
    ("revision", "replicas", "expected"),
    [
        pytest.param("new", [("new", "Running"), ("old", "Running"), ("new", "Waiting")], 2, id="two of three"),
        pytest.param("new", [("new", "Terminated"), ("new", "Running")], 1, id="Terminated ones are left out"),
        pytest.param("new", [("new", "Running"), (None, "Running")], None, id="one of an unknown revision"),
        pytest.param("new", [], 0, id="no replica"),
        pytest.param(None, [(None, "Running")], None, id="the revision is not known"),
        pytest.param("new", None, None, id="the replicas are not known"),
    ],
)
def test_updated_replicas_are_of_the_current_revision(
    revision: str | None, replicas: list[tuple[str | None, str]] | None, expected: int | None
) -> None:
    variables = [{"name": REVISION, "value": revision}]
    listed = {} if replicas is None else events(*({"revision_id": of, "replica_status": s} for of, s in replicas))
    assert replicas_updated(read(environment_variables=variables, **listed)) == expected


def test_the_series_of_a_deployment_are_those_on_the_page() -> None:
    pipeline = Pipeline(Target("p"))
    volumes = [{"name": "v"}, {"name": "v"}]
    pipeline.list("p", listing(deployment("1", "chat", volumes=volumes, status="Ready", **events({}, {}))))
    page = pipeline.text().splitlines()
    assert series_of(pipeline.shown()["chat"]) == sum('deployment="chat"' in line for line in page)


def test_no_series_is_on_the_page_without_what_it_is_about() -> None:
    """Nothing of an empty answer but the infos, the counters and how the poll went."""
    pipeline = Pipeline(Target("p"))
    pipeline.list("p", json.dumps({"data": [{"id": "1"}]}).encode())
    shown = {line.partition("{")[0] for line in pipeline.text().splitlines() if 'deployment="1"' in line}
    assert {name for name in shown if "_total" not in name and "startup" not in name} == {
        "together_deployment_info", "together_deployment_poll_success",
        "together_deployment_last_success_timestamp_seconds", "together_deployment_labels",
    }  # fmt: skip
