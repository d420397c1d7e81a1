"""The API as HTTP: request IDs, errors, health, faults; malformed requests as rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from exporter.simulator.endpoints import ENDPOINTS
from exporter.simulator.scenario import DeploymentScenario, Fault, Scenario, SecretScenario, Step, load
from tests.conftest import SimulatorServer

CHAT = DeploymentScenario(name="chat", volume="weights", timeline=(Step(at=10, crash=2), Step(at=60, recover=True)))
OTHER = DeploymentScenario(name="other")
SCENARIO = Scenario(deployments=(CHAT, OTHER), secrets=(SecretScenario(name="hf"),))
KEY = {"Authorization": "Bearer k"}


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(SCENARIO) as server:
        yield server


def send(server: SimulatorServer, method: str, path: str, body: Any = None) -> httpx.Response:
    return server.client.request(method, f"{server.url}/v1/{path}", headers=KEY, json=body)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "deployments", 200),
        ("GET", "deployments/chat", 200),
        ("GET", "deployments/nope", 404),
        ("GET", "queue/metrics", 400),
        ("GET", "nothing/here", 404),
        ("POST", "deployments", 405),
        ("DELETE", "queue/metrics", 405),
    ],
)
def test_every_answer_is_json_with_a_request_id_of_its_own(
    server: SimulatorServer, method: str, path: str, status: int
) -> None:
    answers = [send(server, method, path) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [status, status]
    assert all(isinstance(answer.json(), dict) for answer in answers)
    assert len({answer.headers["x-request-id"] for answer in answers}) == 2


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in ENDPOINTS])
def test_every_endpoint_needs_the_key_and_has_faults_and_request_ids(
    server: SimulatorServer, method: str, path: str
) -> None:
    url = server.url + path.replace("{id:path}", "hf").replace("{id}", "chat").replace("{revision}", "1")
    without = server.client.request(method, url)
    assert (without.status_code, without.json()["error"]["message"]) == (401, "invalid API key")
    server.simulator.faults.append(Fault(at=0, lasts=1e9, status=429, retry_after=7))
    refused = server.client.request(method, url, headers=KEY)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert without.headers["x-request-id"] != refused.headers["x-request-id"]


def test_health_is_that_of_the_replicas(server: SimulatorServer) -> None:
    seen = []
    for second in (5, 15, 100):
        server.now = second
        seen.append(server.get("deployment-request/chat/health").status_code)
    assert seen == [200, 503, 200]
    assert server.get("deployment-request/nope/health").status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("limit=0", 400),
        ("limit=1", 200),
        ("limit=100", 200),
        ("limit=101", 400),
        ("limit=many", 400),
        ("before=x", 400),
        ("before=-1", 200),
    ],
)
def test_the_limits_of_the_list_of_revisions(server: SimulatorServer, path: str, status: int) -> None:
    assert server.get(f"deployments/chat/revisions?{path}").status_code == status


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"min_replicas": 9}, "min_replicas: must not be above max_replicas"),
        ({"min_replicas": -1}, "min_replicas: "),
        ({"max_replicas": "many"}, "max_replicas: "),
        ({"image": 3}, "image: "),
        ({"gpu_type": "abacus"}, "gpu_type: must be one of h100-80gb"),
        ({"capacity_type": "elastic"}, "capacity_type: "),
        ({"autoscaling": {"metric": "CustomMetric"}}, "custom_metric_name"),
        ({"environment_variables": "A=1"}, "environment_variables"),
        ({"environment_variables": [{"name": "1A", "value": ""}]}, "environment_variables.0.name"),
        ({"environment_variables": [{"name": "A"}]}, "A needs either value or value_from_secret"),
        ({"environment_variables": [{"name": "A", "value": "b", "value_from_secret": "hf"}]}, "A needs either"),
        ({"environment_variables": [{"name": "A", "value_from_secret": "nope"}]}, "there is no secret nope"),
        ({"model_mounts": [{"model_id": "ml_a", "mount_path": "/a"}]}, "not together with volumes"),
        ({"name": "with space"}, "name: must be"),
        ({"name": 7}, "name: must be"),
        ({"name": "other"}, "name: a deployment other exists already"),
        ([], "the body is not a JSON object"),
    ],
)
def test_an_update_that_cannot_be_is_refused_and_changes_nothing(
    server: SimulatorServer, body: Any, message: str
) -> None:
    before = send(server, "GET", "deployments").json()
    answer = send(server, "PATCH", "deployments/chat", body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert send(server, "GET", "deployments").json() == before


@pytest.mark.parametrize(
    "body", [{}, {"unknown": 1}, {"image": None}, {"name": "chat"}, {"environment_variables": None}]
)
def test_an_update_of_nothing_changes_nothing(server: SimulatorServer, body: dict[str, Any]) -> None:
    revision = send(server, "GET", "deployments/chat/revisions").json()
    answer = send(server, "PATCH", "deployments/chat", body)
    assert answer.status_code == 200
    assert answer.json()["status"] == "Ready"
    assert send(server, "GET", "deployments/chat/revisions").json() == revision


def test_a_body_that_is_not_json_is_refused(server: SimulatorServer) -> None:
    answer = httpx.patch(f"{server.url}/v1/deployments/chat", headers=KEY, content=b"{")
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "the body is not JSON")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"revision_identifier": ""}, 400),
        ({"revision_identifier": 1}, 400),
        ({"revision_identifier": "9"}, 404),
    ],
)
def test_a_rollback_to_nothing_is_refused(server: SimulatorServer, body: dict[str, Any], status: int) -> None:
    assert send(server, "POST", "deployments/chat/rollback", body).status_code == status


def test_a_rollback_to_the_active_revision_changes_nothing(server: SimulatorServer) -> None:
    before = send(server, "GET", "deployments/chat").json()
    assert send(server, "POST", "deployments/chat/rollback", {"revision_identifier": "1"}).json() == before


@pytest.mark.parametrize(
    "body", [{"ttl_seconds": "86400"}, {"ttl_seconds": True}, {"ttl_seconds": 86_400.5}, {"name": "new"}]
)
def test_a_secret_that_cannot_be_changed_so_stays(server: SimulatorServer, body: dict[str, Any]) -> None:
    before = send(server, "GET", "deployments/secrets/hf").json()
    assert send(server, "PATCH", "deployments/secrets/hf", body).status_code == 400
    assert send(server, "GET", "deployments/secrets/hf").json() == before


def test_an_outage_answers_as_its_fault_says() -> None:
    with SimulatorServer(load("outage")) as server:
        for second, status in ((0, 200), (30, 503), (90, 200)):
            server.now = second
            assert server.get("deployments").status_code == status
