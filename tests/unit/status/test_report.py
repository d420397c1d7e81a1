from __future__ import annotations

import json

from exporter.api.errors import ApiError, NotFound, RateLimited, Unauthorized
from exporter.api.reading import read_deployment
from exporter.state.projects import after_failed_one
from exporter.state.records import Target
from exporter.state.store import Store
from exporter.status.facts import ProjectFacts
from exporter.status.model import STATUS, Status
from exporter.status.report import MAX_LISTED_REPLICAS, report, to_json
from tests.hostile import hostile
from tests.pipeline import run
from tests.unit.status.facts import NOW, SINCE, URL, facts, fail, fleet, project, replica, value, well


def fail_one(store: Store, key: str, error: ApiError) -> None:
    before = value(store)
    assert store.commit(before, after_failed_one(before, key, error))


def made(store: Store, *projects: ProjectFacts, **more: object) -> Status:
    return run(report(facts(store, *projects, **more)))


def test_trouble_comes_first_then_the_names() -> None:
    status = made(fleet(well("b"), well("c", status="Failed"), well("a"), well("d", ready_replicas=1)))
    assert [(d.deployment, d.level) for d in status.deployments] == [
        ("c", "critical"),
        ("d", "warning"),
        ("a", "ok"),
        ("b", "ok"),
    ]
    assert status.levels == {"critical": 1, "warning": 1, "busy": 0, "ok": 2}


def test_a_deployment_says_what_the_api_says_and_how_old_it_is() -> None:
    (d,) = made(fleet(well("a b", gpu_type="h100-80gb", gpu_count=2, image="app:1"))).deployments
    assert (d.id, d.url) == ("id-a b", f"{URL}/deployments/id-a%20b")
    assert (d.ready_replicas, d.desired_replicas, d.min_replicas, d.max_replicas) == (2, 2, None, 4)
    assert (d.gpu_type, d.gpus_per_replica, d.image) == ("h100-80gb", 2, "app:1")
    assert (d.age_seconds, d.last_success) == (10.0, "2026-03-31T23:33:10.000Z")
    assert (d.poll_success, d.error, d.replicas_listed) == (True, None, None)


def test_whole_counts_have_no_point_in_json() -> None:
    text = run(to_json(made(fleet(well("a"))))).decode()
    assert '"ready_replicas":2,' in text


def test_a_configured_one_that_does_not_exist_is_there_with_what_to_do() -> None:
    missing, there = made(fleet(well("a"), missing="nope")).deployments
    assert (missing.deployment, missing.level, missing.poll_success, missing.status) == (
        "nope",
        "critical",
        False,
        None,
    )
    assert missing.error is not None
    assert (missing.error.reason, missing.error.hint) == ("not_found", NotFound.hint)
    assert there.level == "ok"


def test_what_is_stale_is_not_shown() -> None:
    store = fleet(well("a"))
    fail(store, Unauthorized("HTTP 401"))
    later = NOW._replace(monotonic=1e6)
    (d,) = made(store, now=later).deployments
    assert (d.status, d.ready_replicas, d.age_seconds) == (None, None, 1e6 - 90)
    assert (d.level, len(d.findings)) == ("critical", 2)


def test_a_project_says_why_it_cannot_be_read() -> None:
    error = Unauthorized("HTTP 401 Unauthorized")
    store = fleet(well("a"))
    fail(store, error)
    (shown,) = made(store).projects
    assert shown.poll_success is False
    assert shown.error is not None
    assert (shown.error.reason, shown.error.hint) == ("unauthorized", Unauthorized.hint)
    assert (shown.last_poll, shown.next_poll) == ("2026-03-31T23:33:15.000Z", "2026-03-31T23:33:45.000Z")


def test_a_project_of_single_deployments_tells_their_common_error() -> None:
    store = Store([Target("p", ("a", "b"), is_listed=False)])
    fail_one(store, "a", NotFound("HTTP 404"))
    fail_one(store, "b", RateLimited("HTTP 429"))
    (answered,) = made(store).projects
    assert (answered.poll_success, answered.error) == (True, None), "that one does not exist is an answer"
    fail_one(store, "a", RateLimited("HTTP 429"))
    (down,) = made(store).projects
    assert down.poll_success is False
    assert down.error is not None
    assert down.error.reason == "rate_limited"


def test_before_the_first_poll_nothing_is_claimed() -> None:
    status = made(Store([Target("p")]), ProjectFacts("p", URL, "list", 30.0, None, None))
    (shown,) = status.projects
    assert (status.ready, shown.poll_success, shown.last_poll, shown.next_poll, shown.deployments) == (
        False,
        None,
        None,
        None,
        0,
    )


def test_a_snapshot_from_before_a_reload_shows_no_project_that_is_gone() -> None:
    status = made(fleet(well("a")), project("another"))
    assert ([p.project for p in status.projects], status.deployments) == (["another"], ())


def test_replicas_that_are_not_ready_come_first_and_their_number_is_bounded() -> None:
    events = {f"r{n:04d}": replica(replica_ready_since=SINCE) for n in range(MAX_LISTED_REPLICAS + 5)}
    events["z"] = replica("Waiting", replica_status_reason="CrashLoopBackOff")
    (d,) = made(fleet(well("a", replica_events=events))).deployments
    assert (d.replicas_listed, len(d.replicas)) == (MAX_LISTED_REPLICAS + 6, MAX_LISTED_REPLICAS)
    assert (d.replicas[0].replica, d.replicas[0].reason, d.replicas[0].is_ready) == ("z", "CrashLoopBackOff", False)


def test_a_moment_that_no_calendar_has_in_utc_is_left_out() -> None:
    events = {"r": replica(replica_ready_since="9999-12-31T23:30:00-08:00")}
    (d,) = made(fleet(well("a", replica_events=events))).deployments
    assert (d.replicas[0].is_ready, d.replicas[0].ready_since) == (True, None)


def test_json_in_pieces_is_the_json_of_the_whole() -> None:
    for status in (made(fleet()), made(fleet(well("a"), well("b", status="Failed"), missing="c"))):
        assert run(to_json(status)) == STATUS.dump_json(status)


def test_whatever_the_api_says_can_be_told() -> None:
    odd = [read_deployment(each.body).deployment for row in hostile().values() for each in row]
    parsed = json.loads(run(to_json(made(fleet(*odd)))))
    assert len(parsed["deployments"]) == len(odd)
