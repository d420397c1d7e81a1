"""Scenarios: what they show, that every moment of them fits the API's newest schema, that equal seeds are equal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from together.types.beta import deployment as sdk

from exporter.simulator import SHIPPED
from exporter.simulator.fleet import Fleet
from exporter.simulator.reasons import MESSAGES
from exporter.simulator.scenario import DeploymentScenario, Scenario, SecretScenario, Step, load

AUTOSCALING = {
    "HTTPTotalRequests": sdk.AutoscalingHTTPAutoscalingConfig,
    "HTTPAvgRequestDuration": sdk.AutoscalingHTTPAutoscalingConfig,
    "QueueBacklogPerWorker": sdk.AutoscalingQueueAutoscalingConfig,
    "CustomMetric": sdk.AutoscalingCustomMetricAutoscalingConfig,
}
LONG = 1800  # simulated seconds in which the fleet shows everything


def moments(name: str, seconds: int, every: int = 1, seed: int = 1) -> Iterator[list[dict[str, Any]]]:
    """Samples of all deployments' JSON."""
    fleet = Fleet(load(name), seed=seed)
    for second in range(0, seconds, every):
        fleet.advance(second)
        yield [json.loads(deployment.body()) for deployment in fleet.deployments.values()]


def parts(item: dict[str, Any]) -> Iterator[tuple[dict[str, Any], type[BaseModel]]]:
    """Each object in a deployment's JSON, and the SDK's model of it."""
    yield item, sdk.Deployment
    for variable in item["environment_variables"]:
        yield variable, sdk.EnvironmentVariable
    for volume in item.get("volumes", ()):
        yield volume, sdk.Volume
    for mount in item.get("model_mounts", ()):
        yield mount, sdk.ModelMount
    for replica in item["replica_events"].values():
        yield replica, sdk.ReplicaEvents
    if scaling := item.get("autoscaling"):
        yield scaling, AUTOSCALING[scaling["metric"]]


def only(**keys: Any) -> Fleet:
    """A fleet of one deployment, with the name `only`."""
    return Fleet(Scenario(deployments=(DeploymentScenario.model_validate({"name": "only", **keys}),)), seed=1)


def reasons(fleet: Fleet) -> list[str]:
    return [replica.reason for replica in fleet.deployments["only"].replicas.values()]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_moment_of_a_scenario_fits_the_sdks_model(name: str) -> None:
    for moment in moments(name, 400, every=3):
        for item in moment:
            for part, model in parts(item):
                assert set(part) <= {field.alias or key for key, field in model.model_fields.items()}
                model.model_validate_json(json.dumps(part), strict=False)


def test_the_fleet_shows_every_field_of_the_newest_schema() -> None:
    missing = {
        (model.__name__, field.alias or key)
        for model in (sdk.Deployment, sdk.EnvironmentVariable, sdk.Volume, sdk.ModelMount, sdk.ReplicaEvents)
        for key, field in model.model_fields.items()
    } | {(model.__name__, key) for model in AUTOSCALING.values() for key in model.model_fields}
    for moment in moments("fleet", LONG, every=5):
        missing -= {(model.__name__, key) for item in moment for part, model in parts(item) for key in part}
    assert missing == set()


def test_an_answer_never_says_whether_there_is_more() -> None:
    assert all("has_more" not in item for moment in moments("fleet", 30, every=10) for item in moment)


def test_equal_seeds_give_equal_runs() -> None:
    assert [*moments("fleet", 200)] == [*moments("fleet", 200)]
    assert [*moments("fleet", 200)] != [*moments("fleet", 200, seed=2)]


def test_a_run_does_not_depend_on_when_it_is_looked_at() -> None:
    (*_, often), (*_, rarely) = moments("fleet", 401), moments("fleet", 401, every=100)
    assert often == rarely


def values(name: str, *path: str) -> set[str]:
    """Every value at the path of each deployment over a scenario's first 300 simulated seconds."""
    found = set[str]()
    for moment in moments(name, 300):
        for item in moment:
            if path[0] == "replica_events":
                found |= {replica.get(path[1], "") for replica in item["replica_events"].values()}
            else:
                found.add(item[path[0]])
    return found


@pytest.mark.parametrize(
    ("scenario", "path", "expected"),
    [
        ("steady", ("status",), {"Ready"}),
        ("rollout", ("status",), {"Ready", "Updating"}),
        ("rollout", ("replica_events", "replica_status"), {"Running", "Waiting", "Terminated"}),
        ("rollout", ("replica_events", "volume_preload_status"), {"", "InProgress", "Completed"}),
        ("crashloop", ("status",), {"Ready", "Scaling", "Failed"}),
        ("crashloop", ("replica_events", "replica_status_reason"), {"CrashLoopBackOff"}),
        ("scale-to-zero", ("status",), {"Ready", "Scaling", "ScaledToZero"}),
        ("oom", ("replica_events", "replica_status_reason"), {"", "OOMKilled"}),
        ("no-capacity", ("replica_events", "replica_status_reason"), {"", "Unschedulable", "Evicted"}),
        ("secrets", ("replica_events", "replica_status_reason"), {"", "CreateContainerConfigError"}),
        ("flapping", ("status",), {"Ready", "Scaling"}),
        ("queue", ("status",), {"Ready", "Scaling"}),
        ("fleet", ("status",), {"Ready", "Scaling", "Updating"}),
        ("fleet", ("replica_events", "replica_status_reason"), {"CrashLoopBackOff", "Preempted", "ContainerCreating"}),
    ],
)
def test_a_scenario_shows_what_it_is_for(scenario: str, path: tuple[str, ...], expected: set[str]) -> None:
    assert expected <= values(scenario, *path)


def test_every_reason_occurs_in_a_scenario_with_its_message() -> None:
    seen = dict[str, str]()
    for name, seconds in (("fleet", LONG), ("secrets", 300)):
        for moment in moments(name, seconds, every=2):
            for replica in (replica for item in moment for replica in item["replica_events"].values()):
                if reason := replica.get("replica_status_reason"):
                    seen[reason] = replica["replica_status_message"]
    assert seen.keys() == MESSAGES.keys()
    assert not [message for message in seen.values() if not message or "{" in message]


def test_numbers_of_autoscaling_are_strings_in_some_deployments() -> None:
    (moment,) = moments("fleet", 1)
    assert {type(item["autoscaling"]["target"]) for item in moment if "autoscaling" in item} >= {str, int}


def test_a_rollout_ends_with_the_new_revision_alone() -> None:
    fleet = Fleet(load("rollout"), seed=1)
    fleet.advance(11)
    (deployment,) = fleet.deployments.values()
    assert len({r.revision for r in deployment.replicas.values()}) == 2
    fleet.advance(115)
    assert len({r.revision for r in deployment.replicas.values()}) == 1
    assert deployment.status() == "Ready"


def test_enough_replicas_are_ready_during_a_rollout() -> None:
    for (item,) in moments("rollout", 110):
        assert item["ready_replicas"] >= item["desired_replicas"]


def test_a_replica_that_ends_stays_listed_as_terminated_for_a_while() -> None:
    fleet = only(replicas=2, timeline=[{"at": 10, "scale": 1}])
    (_, last) = fleet.deployments["only"].replicas.values()
    shown = []
    for second in (9, 11, 14, 25, 40):
        fleet.advance(second)
        replica = fleet.deployments["only"].as_json()["replica_events"].get(last.name, {})
        shown.append((replica.get("replica_status"), "replica_ready_since" in replica))
    assert shown == [("Running", True), ("Running", False), ("Terminated", False), ("Terminated", False), (None, False)]


def test_a_rollout_with_a_missing_image_is_stuck_until_the_rollback() -> None:
    timeline = [
        {"at": 10, "rollout": "registry.example/app:missing", "pull_error": 1},
        {"at": 200, "rollback": 1},
    ]
    fleet = only(replicas=3, timeline=timeline)
    fleet.advance(190)
    deployment = fleet.deployments["only"]
    assert (deployment.status(), deployment.ready) == ("Updating", 3)
    assert set(reasons(fleet)) & {"ErrImagePull", "ImagePullBackOff"}
    fleet.advance(230)
    assert (deployment.status(), deployment.ready, reasons(fleet)) == ("Ready", 3, ["", "", ""])
    assert deployment.spec.image == "registry.example/app:1"


def test_what_starts_without_capacity_waits_and_starts_when_it_is_there() -> None:
    timeline = [{"at": 10, "no_capacity": True, "scale": 4}, {"at": 100, "no_capacity": False}]
    fleet = only(replicas=2, timeline=timeline)
    fleet.advance(99)
    assert reasons(fleet) == ["", "", "Unschedulable", "Unschedulable"]
    assert fleet.deployments["only"].status() == "Scaling"
    fleet.advance(130)
    assert fleet.deployments["only"].status() == "Ready"


def test_an_expired_secret_keeps_new_replicas_from_starting_until_it_is_renewed() -> None:
    deployment = {"name": "only", "secret_variables": {"TOKEN": "s"}, "timeline": [{"at": 20, "scale": 3}]}
    secrets = [{"name": "s", "expires_in": 10, "ttl_seconds": 86_400}]
    fleet = Fleet(Scenario.model_validate({"deployments": [deployment], "secrets": secrets}), seed=1)
    fleet.advance(60)
    assert reasons(fleet) == ["", "", "CreateContainerConfigError"]
    assert list(fleet.deployments["only"].replicas.values())[2].message == 'secret "s" not found'
    fleet.set_expiry("s", 86_400)
    fleet.advance(90)
    assert reasons(fleet) == ["", "", ""]


def test_a_replica_out_of_memory_is_killed_again_and_again_and_recovers() -> None:
    fleet = only(replicas=1, timeline=[{"at": 10, "oom": 1}, {"at": 300, "recover": True}])
    seen = list[tuple[str, str, bool]]()
    for second in range(300):
        fleet.advance(second)
        (replica,) = fleet.deployments["only"].replicas.values()
        state = (replica.status, replica.reason, replica.is_ready)
        if not seen or seen[-1] != state:
            seen.append(state)
    killed, starts, ready = ("Terminated", "OOMKilled", False), ("Running", "", False), ("Running", "", True)
    assert seen[:7] == [ready, killed, starts, ready, killed, starts, ready]
    fleet.advance(400)
    assert fleet.deployments["only"].status() == "Ready"


def test_a_flapping_replica_loses_and_regains_its_readiness() -> None:
    fleet = only(replicas=2, timeline=[{"at": 10, "flap": 1}, {"at": 200, "recover": True}])
    ready = set()
    for second in range(10, 200):
        fleet.advance(second)
        ready.add(fleet.deployments["only"].ready)
        assert {replica.status for replica in fleet.deployments["only"].replicas.values()} == {"Running"}
    assert ready == {1, 2}
    for second in range(220, 300):
        fleet.advance(second)
        assert fleet.deployments["only"].ready == 2


def test_a_stuck_queue_grows_and_a_draining_one_ends_at_zero() -> None:
    timeline = [
        {"at": 10, "queue": [5, 0], "queue_growth": 2},
        {"at": 20, "queue_growth": -10},
        {"at": 60, "queue": [7, 1]},
    ]
    fleet = only(timeline=timeline)
    shown = []
    for second in (0, 10, 15, 20, 21, 50, 70):
        fleet.advance(second)
        counts = fleet.queue_json("only")
        shown.append((counts["messages_waiting"], counts["messages_running"]))
    assert shown == [(0, 0), (5, 0), (15, 0), (25, 0), (15, 0), (0, 0), (7, 1)]


def test_a_scenario_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    timeline = "[{at: 5, preload_error: 1}, {at: 9, delete: true}, {at: 12, crash: 1}]"
    file.write_text(f"deployments: [{{name: mine, volume: v, timeline: {timeline}, repeat: 20}}]")
    fleet = Fleet(load(str(file)), seed=1)
    fleet.advance(6)
    replicas = fleet.deployments["mine"].as_json()["replica_events"].values()
    assert [replica.get("volume_preload_status") for replica in replicas] == [None, "Failed"]
    fleet.advance(100)
    assert fleet.deployments == {}
    assert fleet.find("mine") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deployments: [{nam: a}]", "nam"),
        ("deployments: [{name: a}, {name: a}]", "two deployments have the name a"),
        ("deployments: [{name: a, secret_variables: {TOKEN: b}}]", "a: secret b is not one of secrets"),
        ("deployments: [{name: a, autoscaling: {metric: Nonsense}}]", "metric"),
        ("deployments: [{name: a, timeline: [{at: 1, explode: 1}]}]", "explode"),
        ("faults: [{at: 1}]", "lasts"),
        ("deployments: [", "mine.yml"),
    ],
)
def test_a_mistake_in_a_scenario_is_named(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"mine\.yml: ") as raised:
        load(str(file))
    assert message in str(raised.value)


def test_a_file_that_is_not_there_is_named_with_the_scenarios_that_are() -> None:
    with pytest.raises(ValueError, match="scenario nope: No such file or directory; write a file's name or steady"):
        load("nope")


def test_every_shipped_scenario_says_what_it_shows() -> None:
    assert all(load(name).description.endswith(".") for name in SHIPPED)
    folder = Path(__file__).parents[3] / "exporter" / "simulator" / "scenarios"
    assert {file.stem for file in folder.glob("*.yml")} == set(SHIPPED)


def test_a_crash_loop_ends_when_the_replicas_recover() -> None:
    fleet = Fleet(load("crashloop"), seed=1)
    fleet.advance(170)
    assert {d.status() for d in fleet.deployments.values()} == {"Ready"}


def test_a_step_after_the_deletion_changes_nothing() -> None:
    fleet = only()
    deployment = fleet.deployments["only"]
    deployment.apply(Step(at=0, delete=True))
    deployment.apply(Step(at=0, scale=4))
    assert deployment.desired == 2


def test_secrets_of_a_scenario_exist_without_a_deployment() -> None:
    fleet = Fleet(Scenario(secrets=(SecretScenario(name="s"),)), seed=1)
    assert list(fleet.secrets) == ["s"]
