"""The official SDK as a client: it knows the API's shapes, and shares nothing with us."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import together
from together.types.beta.deployment import Deployment

from exporter.simulator.fleet import Fleet
from exporter.simulator.scenario import SHIPPED, load
from tests.conftest import SimulatorServer


def client(server: SimulatorServer, key: str = "k") -> together.Together:
    return together.Together(api_key=key, base_url=server.url, max_retries=0)


def test_the_list_and_the_single_get_by_name_and_by_id(steady: SimulatorServer) -> None:
    with client(steady) as api:
        listed = api.beta.jig.list().data
        assert listed is not None
        first = listed[0]
        assert first.id is not None
        assert first.name is not None
        assert api.beta.jig.retrieve(first.id) == api.beta.jig.retrieve(first.name) == first
        assert first.ready_replicas == 3
        assert first.status == "Ready"


def test_errors_are_what_the_sdk_takes_for_them(steady: SimulatorServer) -> None:
    with client(steady) as api, pytest.raises(together.NotFoundError):
        api.beta.jig.retrieve("nope")
    assert steady.get("deployments", key="").status_code == 401
    with (
        SimulatorServer(load("steady"), api_key="right") as locked,
        client(locked, "wrong") as api,
        pytest.raises(together.AuthenticationError),
    ):
        api.beta.jig.list()


def test_the_queue() -> None:
    with SimulatorServer(load("scale-to-zero")) as server, client(server) as api:
        server.now = 70
        metrics = api.beta.jig.queue.metrics(model="batch-embed")
        assert (metrics.messages_waiting, metrics.messages_running) == (12, 2)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_moment_of_a_scenario_fits_the_sdks_model(name: str) -> None:
    fleet = Fleet(load(name), seed=1)
    for second in range(0, 400, 3):
        fleet.advance(second)
        for deployment in fleet.deployments.values():
            item = deployment.as_json()
            assert set(item) <= {field.alias or key for key, field in Deployment.model_fields.items()}
            Deployment.model_validate_json(json.dumps(item), strict=False)


def history(name: str, seed: int) -> list[list[str]]:
    fleet = Fleet(load(name), seed=seed)
    moments = []
    for second in range(200):
        fleet.advance(second)
        moments.append([deployment.body().decode() for deployment in fleet.deployments.values()])
    return moments


def test_the_same_seed_lives_the_same_life() -> None:
    assert history("fleet", 1) == history("fleet", 1)
    assert history("fleet", 1) != history("fleet", 2)


def seen(name: str, *path: str) -> set[str]:
    """Every value at the path of each deployment over a scenario's first 300 story seconds."""
    fleet, values = Fleet(load(name), seed=1), set[str]()
    for second in range(300):
        fleet.advance(second)
        for deployment in fleet.deployments.values():
            found = deployment.as_json()
            if path[0] == "replica_events":
                values |= {replica.get(path[1], "") for replica in found["replica_events"].values()}
            else:
                values.add(found[path[0]])
    return values


@pytest.mark.parametrize(
    ("scenario", "path", "values"),
    [
        ("steady", ("status",), {"Ready"}),
        ("rollout", ("status",), {"Ready", "Updating"}),
        ("rollout", ("replica_events", "volume_preload_status"), {"", "InProgress", "Completed"}),
        ("crashloop", ("status",), {"Ready", "Scaling", "Failed"}),
        ("scale-to-zero", ("status",), {"Ready", "Scaling", "ScaledToZero"}),
        ("fleet", ("status",), {"Ready", "Scaling", "Updating"}),
        ("fleet", ("replica_events", "replica_status_reason"), {"CrashLoopBackOff", "Preempted", "ContainerCreating"}),
    ],
)
def test_a_scenario_shows_what_it_is_for(scenario: str, path: tuple[str, ...], values: set[str]) -> None:
    assert values <= seen(scenario, *path)


def test_a_rollout_ends_with_the_new_revision_alone() -> None:
    fleet = Fleet(load("rollout"), seed=1)
    fleet.advance(11)
    (deployment,) = fleet.deployments.values()
    assert len({r.revision for r in deployment.replicas.values()}) == 2
    fleet.advance(115)
    assert len({r.revision for r in deployment.replicas.values()}) == 1
    assert deployment.status() == "Ready"


def test_ones_own_story_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text("deployments: [{name: mine, volume: v, story: [{at: 5, preload_error: 1}, {at: 9, delete: true}]}]")
    fleet = Fleet(load(str(file)), seed=1)
    fleet.advance(6)
    replicas = fleet.deployments["mine"].as_json()["replica_events"].values()
    assert [replica.get("volume_preload_status") for replica in replicas] == [None, "Failed"]
    fleet.advance(10)
    assert fleet.deployments == {}


@pytest.mark.parametrize("text", ["deployments: [{nam: a}]", "faults: [{at: 1}]", "deployments: ["])
def test_a_mistake_in_ones_own_story_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"mine\.yml: "):
        load(str(file))


def test_an_outage_answers_as_its_fault_says() -> None:
    with SimulatorServer(load("outage")) as server:
        for second, status in ((0, 200), (30, 503), (90, 200)):
            server.now = second
            assert server.get("deployments").status_code == status


def test_a_crash_loop_is_seen_and_ends() -> None:
    assert "CrashLoopBackOff" in seen("crashloop", "replica_events", "replica_status_reason")
    fleet = Fleet(load("crashloop"), seed=1)
    fleet.advance(170)
    assert {d.status() for d in fleet.deployments.values()} == {"Ready"}
