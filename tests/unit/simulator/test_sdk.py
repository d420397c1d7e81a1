"""The official SDK as a client, with strict validation: it knows the API's shapes, and shares nothing with us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import together
from together.types.beta import Deployment

from exporter.simulator.resources import MAX_TTL, MIN_TTL
from exporter.simulator.scenario import DeploymentScenario, Scenario, SecretScenario, Step, VolumeScenario, load
from exporter.simulator.spec import REVISION_VARIABLE
from tests.conftest import SimulatorServer

OLD, NEW = "registry.example/chat:1", "registry.example/chat:2"
CHAT = DeploymentScenario(
    name="chat",
    image=OLD,
    replicas=2,
    variables={"TEAM": "search"},
    timeline=(Step(at=100, rollout=NEW), Step(at=200, system_update=True), Step(at=300, rollback=1)),
)


def client(server: SimulatorServer, key: str = "k") -> together.Together:
    return together.Together(api_key=key, base_url=server.url, max_retries=0, _strict_response_validation=True)


@contextmanager
def simulated(scenario: Scenario | str) -> Iterator[tuple[SimulatorServer, together.Together]]:
    with (
        SimulatorServer(load(scenario) if isinstance(scenario, str) else scenario) as server,
        client(server) as api,
    ):
        yield server, api


@contextmanager
def chat(**changes: object) -> Iterator[tuple[SimulatorServer, together.Together]]:
    with simulated(Scenario(deployments=(CHAT.model_copy(update=changes),))) as both:
        yield both


def revision(deployment: Deployment) -> str | None:
    return next(v.value for v in deployment.environment_variables or () if v.name == REVISION_VARIABLE)


def images(deployment: Deployment) -> set[str | None]:
    return {replica.image for replica in (deployment.replica_events or {}).values()}


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


def test_errors_are_the_sdks_exceptions(steady: SimulatorServer) -> None:
    with client(steady) as api, pytest.raises(together.NotFoundError):
        api.beta.jig.retrieve("nope")
    assert steady.get("deployments", key="").status_code == 401
    with (
        SimulatorServer(load("steady"), api_key="right") as locked,
        client(locked, "wrong") as api,
        pytest.raises(together.AuthenticationError),
    ):
        api.beta.jig.list()


def test_a_queue_that_two_deployments_share_and_one_that_nobody_uses() -> None:
    with simulated("queue") as (server, api):
        server.now = 30
        counts = {
            name: api.beta.jig.queue.metrics(model=name).to_dict()
            for name in ("acme/video-generator", "acme/nightly-report", "nobody")
        }
        assert counts == {
            "acme/video-generator": {"messages_waiting": 15, "messages_running": 0, "total_jobs": 15},
            "acme/nightly-report": {"messages_waiting": 3, "messages_running": 1, "total_jobs": 4},
            "nobody": {"messages_waiting": 0, "messages_running": 0, "total_jobs": 0},
        }
        with pytest.raises(together.BadRequestError):
            api.beta.jig.queue.metrics(model="")


def test_the_queue_of_a_deployment_is_the_one_of_its_name() -> None:
    with simulated("scale-to-zero") as (server, api):
        server.now = 70
        metrics = api.beta.jig.queue.metrics(model="batch-embed")
        assert (metrics.messages_waiting, metrics.messages_running) == (12, 2)


def test_revisions_follow_the_timeline() -> None:
    with chat() as (server, api):
        server.now = 400
        events = api.beta.jig.list_revisions("chat").data
        assert [(e.event_number, e.revision_number, e.action, e.image) for e in events] == [
            (4, 1, "rollback", OLD),
            (3, 3, "system", NEW),
            (2, 2, "update", NEW),
            (1, 1, "create", OLD),
        ]
        assert events[0].revision_id == events[3].revision_id == revision(api.beta.jig.retrieve("chat"))
        assert [e.activated_at for e in events] == sorted((e.activated_at for e in events), reverse=True)
        assert api.beta.jig.list_revisions("chat", limit=1).data == events[:1]
        assert api.beta.jig.list_revisions("chat", before=3, limit=1).data == events[2:3]
        assert api.beta.jig.list_revisions("chat", before=1).data == []


def test_a_revision_by_number_and_by_id_has_what_it_was_configured_with() -> None:
    with chat() as (server, api):
        server.now = 150
        first = api.beta.jig.retrieve_revision("1", id="chat")
        second = api.beta.jig.retrieve_revision("2", id="chat")
        assert (first.image, second.image) == (OLD, NEW)
        assert api.beta.jig.retrieve_revision(first.revision_id, id="chat") == first
        assert {v.name: v.value for v in second.environment_variables}[REVISION_VARIABLE] == second.revision_id
        with pytest.raises(together.NotFoundError):
            api.beta.jig.retrieve_revision("3", id="chat")


def test_200_events_and_50_revisions_are_kept() -> None:
    many = tuple(Step(at=number, rollout=f"registry.example/chat:{number}") for number in range(2, 222))
    with chat(timeline=many) as (server, api):
        server.now = 400
        newest = api.beta.jig.list_revisions("chat", limit=100).data
        older = api.beta.jig.list_revisions("chat", limit=100, before=newest[-1].event_number).data
        assert [e.event_number for e in (*newest, *older)] == [*range(221, 21, -1)]
        assert api.beta.jig.list_revisions("chat", before=older[-1].event_number).data == []
        assert api.beta.jig.retrieve_revision("172", id="chat").image == "registry.example/chat:172"
        with pytest.raises(together.NotFoundError):
            api.beta.jig.rollback("chat", revision_identifier="171")


def test_a_rollback_starts_a_rollout_to_the_earlier_image() -> None:
    with chat() as (server, api):
        server.now = 150
        before = api.beta.jig.retrieve("chat")
        answer = api.beta.jig.rollback("chat", revision_identifier="1")
        assert (answer.status, answer.image) == ("Updating", OLD)
        assert revision(answer) == api.beta.jig.retrieve_revision("1", id="chat").revision_id != revision(before)
        assert images(answer) == {OLD, NEW}
        server.now = 199
        after = api.beta.jig.retrieve("chat")
        assert (after.status, images(after)) == ("Ready", {OLD})


def test_an_update_of_the_image_starts_a_rollout() -> None:
    with chat(timeline=()) as (server, api):
        answer = api.beta.jig.update("chat", image=NEW)
        assert (answer.status, answer.image) == ("Updating", NEW)
        assert api.beta.jig.list_revisions("chat").data[0].action == "update"
        server.now = 100
        after = api.beta.jig.retrieve("chat")
        assert (after.status, images(after), after.ready_replicas) == ("Ready", {NEW}, 2)


def test_an_update_of_the_limits_scales_without_a_rollout() -> None:
    with chat(timeline=()) as (server, api):
        before = api.beta.jig.retrieve("chat")
        answer = api.beta.jig.update("chat", min_replicas=3, max_replicas=5)
        assert (answer.status, answer.desired_replicas, answer.ready_replicas) == ("Scaling", 3, 2)
        assert revision(answer) == revision(before)
        assert len(api.beta.jig.list_revisions("chat").data) == 1
        server.now = 60
        assert api.beta.jig.retrieve("chat").status == "Ready"
        assert api.beta.jig.update("chat", min_replicas=0, max_replicas=0).desired_replicas == 0
        server.now = 120
        assert api.beta.jig.retrieve("chat").status == "ScaledToZero"


def test_an_update_of_the_variables_replaces_all_but_the_revision() -> None:
    secrets = (SecretScenario(name="hf", expires_in=86_400),)
    with simulated(Scenario(deployments=(CHAT,), secrets=secrets)) as (_, api):
        before = api.beta.jig.retrieve("chat")
        variables = [{"name": "TEAM", "value": "media"}, {"name": "HF_TOKEN", "value_from_secret": "hf"}]
        answer = api.beta.jig.update("chat", environment_variables=variables)  # type: ignore[arg-type]  # as users write
        assert [v.name for v in answer.environment_variables or ()] == [REVISION_VARIABLE, "TEAM", "HF_TOKEN"]
        assert (answer.environment_variables or [])[2].value_from_secret_expires_at is not None
        assert revision(answer) != revision(before)
        sent_back = [v.to_dict() for v in answer.environment_variables or ()]
        again = api.beta.jig.update("chat", environment_variables=sent_back)  # type: ignore[arg-type]  # as above
        assert again.environment_variables == answer.environment_variables
        assert revision(again) == revision(answer)


def test_a_renamed_deployment_keeps_its_id() -> None:
    with chat(timeline=()) as (_, api):
        before = api.beta.jig.retrieve("chat")
        assert api.beta.jig.update("chat", name="talk").id == before.id == api.beta.jig.retrieve("talk").id
        with pytest.raises(together.NotFoundError):
            api.beta.jig.retrieve("chat")


def test_autoscaling_is_changed_and_disabled() -> None:
    with chat(timeline=()) as (_, api):
        custom = {"metric": "CustomMetric", "custom_metric_name": "inflight", "target": 5}
        changed = api.beta.jig.update("chat", autoscaling=custom)  # type: ignore[arg-type]  # as users write
        assert changed.autoscaling is not None
        assert changed.autoscaling.to_dict() == custom
        assert api.beta.jig.update("chat", autoscaling={}).autoscaling is None


def test_a_renewed_secret_shows_in_the_deployments_that_use_it() -> None:
    with simulated("secrets") as (_, api):
        secret = next(s for s in api.beta.jig.secrets.list().data or () if s.name == "hf-token")
        assert secret.id is not None
        assert secret.expires_at is not None
        renewed = api.beta.jig.secrets.update(secret.id, ttl_seconds=MAX_TTL)
        assert renewed == api.beta.jig.secrets.retrieve("hf-token")
        assert renewed.expires_at == secret.expires_at + timedelta(days=11)
        variables = {v.name: v for v in api.beta.jig.retrieve("chat-prod").environment_variables or ()}
        assert variables["HF_TOKEN"].value_from_secret_expires_at == renewed.expires_at
        assert variables["SIGNING_KEY"].value_from_secret_expires_at is None


def test_a_new_value_renews_a_secret_and_is_never_answered() -> None:
    with simulated("secrets") as (server, api):
        server.now = 30
        expired = api.beta.jig.secrets.retrieve("wandb-key")
        assert expired.expires_at is not None
        raw = api.beta.jig.secrets.with_raw_response.update("wandb-key", value="hunter-3", description="new")
        renewed = raw.parse()
        assert renewed.expires_at == expired.expires_at + timedelta(days=14, seconds=10)  # it expired at 20 s
        assert renewed.description == "new"
        assert "hunter-3" not in raw.text()


@pytest.mark.parametrize("ttl", [MIN_TTL - 1, MAX_TTL + 1])
def test_a_time_to_live_outside_the_limits_is_refused(ttl: int) -> None:
    with simulated("secrets") as (_, api), pytest.raises(together.BadRequestError, match="ttl_seconds"):
        api.beta.jig.secrets.update("hf-token", ttl_seconds=ttl)


def test_a_secret_whose_name_has_a_slash_is_found() -> None:
    with simulated(Scenario(secrets=(SecretScenario(name="team/hf"),))) as (_, api):
        assert api.beta.jig.secrets.retrieve("team/hf").name == "team/hf"
        with pytest.raises(together.NotFoundError):
            api.beta.jig.secrets.retrieve("nope")


def test_volumes_know_who_mounts_them() -> None:
    failed = VolumeScenario(name="broken", version=2, status="failed", status_message="the bucket is empty")
    deployments = (CHAT.model_copy(update={"volume": "weights", "timeline": ()}),)
    with simulated(Scenario(deployments=deployments, volumes=(failed,))) as (_, api):
        volumes = {volume.name: volume for volume in api.beta.jig.volumes.list().data or ()}
        broken, weights = volumes["broken"], volumes["weights"]
        assert (broken.status, broken.status_message, broken.mounted_by) == ("failed", "the bucket is empty", [])
        assert (weights.status, weights.current_version) == ("ready", 3)
        assert weights.mounted_by == [api.beta.jig.retrieve("chat").id]
        assert weights.id is not None
        assert api.beta.jig.volumes.retrieve(weights.id) == api.beta.jig.volumes.retrieve("weights") == weights
        old = api.beta.jig.volumes.retrieve("weights", version=1)
        assert old.content is not None
        assert old.content.source_prefix == "weights/v1/"
        for name, version in (("nope", 1), ("weights", 4)):
            with pytest.raises(together.NotFoundError):
                api.beta.jig.volumes.retrieve(name, version=version)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step(at=5, crash=1), "RuntimeError: CUDA error"),
        (Step(at=5, oom=1), "killed by signal 9 (exit code 137)"),
        (Step(at=5, pull_error=1), "is waiting to start: ImagePullBackOff"),
        (Step(at=5, flap=1), "GET /health 503"),
    ],
    ids=["crash", "oom", "pull_error", "flap"],
)
def test_the_logs_of_a_failing_replica_say_why_and_those_of_a_healthy_one_do_not(step: Step, expected: str) -> None:
    with chat(timeline=(step,)) as (server, api):
        server.now = 8
        healthy, failing = api.beta.jig.retrieve("chat").replica_events or {}
        assert expected in "\n".join(api.beta.jig.retrieve_logs("chat", replica_id=failing).lines or ())
        lines = api.beta.jig.retrieve_logs("chat", replica_id=healthy).lines or []
        assert any("serving on" in line for line in lines)
        assert all(f"[{healthy}]" in line for line in lines)
        assert expected not in "\n".join(lines)


def test_the_logs_of_a_healthy_replica_go_on_with_requests() -> None:
    with chat(timeline=()) as (server, api):
        server.now = 1000
        lines = api.beta.jig.retrieve_logs("chat").lines or []
        assert sum("POST /generate 200" in line for line in lines) == 2 * 20
        assert (times := [line.split()[0] for line in lines]) == sorted(times)


def test_logs_are_filtered_by_revision_and_version() -> None:
    with chat(timeline=(Step(at=10, rollout=NEW),)) as (server, api):
        old = revision(api.beta.jig.retrieve("chat"))
        assert old is not None
        server.now = 19
        counts = [
            len(api.beta.jig.retrieve_logs("chat", **wanted).lines or ())  # type: ignore[arg-type]  # names vary
            for wanted in ({}, {"revision": old}, {"version": "1"}, {"version": "2"}, {"replica_id": "nope"})
        ]
        everything, old_revision, old_image, new_image, nothing = counts
        assert old_revision == old_image > 0
        assert new_image > 0
        assert everything == old_image + new_image
        assert nothing == 0
