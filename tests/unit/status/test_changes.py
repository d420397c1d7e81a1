"""The report's fields for what changed last, since when, and what belongs to a deployment beside it."""

from __future__ import annotations

from typing import Any

from exporter.labels import Labels
from exporter.state.records import Target
from exporter.status.model import Queue, Revision, Status
from exporter.status.report import iso, report
from tests.pipeline import Pipeline, answer, at, deployment, failure, listing, run
from tests.unit.status.facts import facts

SCALED = {"metric": "QueueBacklogPerWorker", "target": 1.0, "model": "jobs"}
OWN = Labels(common={"label_team": "search"})
CURRENT = [{"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": "rev-1"}]


def of(*items: dict[str, Any]) -> Pipeline:
    pipeline = Pipeline(
        Target("p", stale_after=60.0, queues=("other",), has_scaling_queues=True, has_revisions=True, labels=OWN)
    )
    pipeline.list("p", listing(*items))
    return pipeline


def status(pipeline: Pipeline, second: float = 0.0) -> Status:
    return run(report(facts(pipeline.store, now=at(second))))


def test_a_status_is_older_than_the_first_sight_of_it_unless_its_change_was_seen() -> None:
    pipeline = of(deployment("1", "a", status="Ready"))
    (first,) = status(pipeline).deployments
    assert (first.status_since, first.saw_status_change) == (iso(at(0).unix), False)
    pipeline.list("p", listing(deployment("1", "a", status="Failed")), 30)
    pipeline.list("p", listing(deployment("1", "a", status="Failed", ready_replicas=0)), 50)
    (second,) = status(pipeline, 50).deployments
    assert (second.status_since, second.saw_status_change) == (iso(at(30).unix), True)


def test_what_changed_is_the_current_revision() -> None:
    pipeline = of(deployment("1", "a", environment_variables=CURRENT))
    assert status(pipeline).deployments[0].changed is None
    newest = {"revision_id": "rev-1", "revision_number": 4, "action": "rollback", "image": "app:3"}
    pipeline.revision("p", "1", answer({"data": [{**newest, "activated_at": "2026-03-01T00:00:00Z"}]}))
    assert status(pipeline).deployments[0].changed == Revision(
        "rev-1", 4, "rollback", "2026-03-01T00:00:00.000Z", "app:3"
    )
    pipeline.list("p", failure("timeout"), 70)
    assert status(pipeline, 70).deployments[0].changed is None, "its state is stale"


def test_each_queue_is_there_beside_the_deployments_that_it_scales() -> None:
    pipeline = of(deployment("2", "b", autoscaling=SCALED), deployment("1", "a", autoscaling=SCALED), deployment("3"))
    for queue, waiting in (("jobs", 20), ("other", 5)):
        pipeline.queue("p", queue, answer({"messages_waiting": waiting}))
    shown = status(pipeline)
    assert shown.queues == (Queue("p", "jobs", 20, None, ("a", "b")), Queue("p", "other", 5, None, ()))
    assert [d.queue for d in shown.deployments] == [None, "jobs", "jobs"]


def test_own_labels_are_there_also_without_a_state() -> None:
    pipeline = of(deployment("1", "a"))
    pipeline.list("p", failure("timeout"), 70)
    assert status(pipeline, 70).deployments[0].labels == {"label_team": "search"}


def test_a_message_is_cut_at_300_characters() -> None:
    event = {"replica_status": "Waiting", "replica_status_message": "x" * 1000}
    (replica,) = status(of(deployment("1", "a", replica_events={"r": event}))).deployments[0].replicas
    assert replica.message == "x" * 299 + "…"
