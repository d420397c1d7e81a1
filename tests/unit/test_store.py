from __future__ import annotations

import pytest

from exporter.api.errors import NotFound, ServerError
from exporter.api.models import Deployment, Reading, Replica
from exporter.records import Instant, Limits, Record, Target
from exporter.store import Store

DOWN = ServerError("HTTP 503")


def at(second: float) -> Instant:
    return Instant(second, 1000 + second)


def each(*keys: str, **limits: object) -> Store:
    return Store([Target("p", keys, False, Limits(stale_after=60, **limits))])  # type: ignore[arg-type]  # test's own


def listed(*keys: str) -> Store:
    return Store([Target("p", keys or None, True, Limits(stale_after=60, max_deployments_per_project=3))])


def whole(*deployments: Deployment) -> list[Reading]:
    return [Reading(deployment) for deployment in deployments]


def shown(store: Store, second: float) -> dict[str, Record]:
    return {record.name: record for record in store.view(at(second)).records}


def test_a_failed_poll_keeps_the_last_state_until_it_is_stale() -> None:
    store = each("a")
    store.apply("p", "a", Deployment(name="a"), at(0))
    store.fail("p", "a", DOWN)
    assert shown(store, 59)["a"].state is not None
    assert not shown(store, 59)["a"].up
    assert shown(store, 60)["a"].state is None
    assert shown(store, 60)["a"].succeeded == at(0)


def test_a_404_ends_the_state_at_once() -> None:
    store = each("a")
    store.apply("p", "a", Deployment(name="a"), at(0))
    store.fail("p", "a", NotFound("HTTP 404"))
    assert shown(store, 1)["a"].state is None
    assert shown(store, 1)["a"].error is not None


def test_discovered_and_gone_from_the_list_is_gone() -> None:
    store = listed()
    store.apply_list("p", whole(Deployment(id="1", name="a"), Deployment(id="2", name="b")), at(0))
    result = store.apply_list("p", whole(Deployment(id="2", name="b")), at(1))
    assert [record.name for record in result.gone] == ["a"]
    assert list(shown(store, 1)) == ["b"]


def test_configured_and_not_in_the_list_is_not_found() -> None:
    store = listed("a", "2")
    result = store.apply_list("p", whole(Deployment(id="2", name="b")), at(0))
    assert [str(change.record.error) for change in result.changes if change.record.error] == [
        "not in the project's list"
    ]
    assert shown(store, 0)["b"].up
    assert not shown(store, 0)["a"].up


def test_a_failed_list_holds_for_every_deployment() -> None:
    store = listed()
    store.apply_list("p", whole(Deployment(id="1", name="a")), at(0))
    assert store.fail_list("p", DOWN) is True
    assert store.fail_list("p", DOWN) is False
    assert not shown(store, 1)["a"].up
    assert shown(store, 1)["a"].state is not None
    assert store.view(at(1)).projects[0].up is False


def test_two_of_one_name_are_shown_once() -> None:
    store = listed()
    result = store.apply_list("p", whole(Deployment(id="1", name="a"), Deployment(id="2", name="a")), at(0))
    assert [(change.record.key, change.duplicate) for change in result.changes] == [("2", True)]
    assert [record.key for record in store.view(at(0)).records] == ["1"]


def test_configured_by_name_and_by_id_is_shown_once() -> None:
    store = each("a", "1")
    deployment = Deployment(id="1", name="a")
    changes = [store.apply("p", key, deployment, at(0)) for key in ("a", "1")]
    assert [change.duplicate for change in changes if change] == [False, True]
    assert list(shown(store, 0)) == ["a"]


def test_one_made_anew_takes_over_the_name_of_the_deleted() -> None:
    store = each("1", "a")
    store.apply("p", "1", Deployment(id="1", name="a"), at(0))
    store.fail("p", "1", NotFound("HTTP 404"))
    store.apply("p", "a", Deployment(id="2", name="a", status="Ready"), at(1))
    assert shown(store, 1)["a"].state is not None
    assert not shown(store, 1)["1"].up


def test_a_change_of_status_is_counted() -> None:
    store = each("a")
    for second, status in enumerate(["Ready", "Ready", "Failed", None, "Ready"]):
        store.apply("p", "a", Deployment(name="a", status=status), at(second))
    assert shown(store, 5)["a"].status_changes == {"Failed": 1}


def test_the_same_answer_keeps_the_very_state() -> None:
    store = each("a")
    store.apply("p", "a", Deployment(name="a"), at(0))
    before = shown(store, 0)["a"].state
    store.apply("p", "a", Deployment(name="a"), at(1))
    assert shown(store, 1)["a"].state is before


def test_replicas_and_deployments_beyond_the_limit_are_dropped() -> None:
    store = each("a", max_replicas_per_deployment=1)
    change = store.apply("p", "a", Deployment(name="a", replica_events={"y": Replica(), "x": Replica()}), at(0))
    assert change is not None
    assert change.replicas_dropped == 1
    assert [name for name, _ in shown(store, 0)["a"].replicas] == ["x"]
    result = listed().apply_list("p", whole(*(Deployment(id=str(n)) for n in range(5))), at(0))
    assert result.dropped == 2


def test_a_reload_keeps_what_is_still_asked_for() -> None:
    store = each("a", "b")
    for key in ("a", "b"):
        store.apply("p", key, Deployment(name=key), at(0))
    store.configure([Target("p", ("b", "c"), False, Limits())])
    assert list(shown(store, 0)) == ["b"]
    assert store.apply("p", "a", Deployment(name="a"), at(1)) is None
    assert not store.is_ready()


def test_what_a_reload_excludes_is_gone_at_once() -> None:
    store = listed()
    store.apply_list("p", whole(Deployment(id="1", name="a"), Deployment(id="2", name="b")), at(0))
    store.configure([Target("p", None, True, Limits(), lambda d: d.name != "a")])
    assert list(shown(store, 0)) == ["b"]
    store.apply_list("p", whole(Deployment(id="1", name="a"), Deployment(id="2", name="b")), at(1))
    assert list(shown(store, 1)) == ["b"]


@pytest.mark.parametrize("works", [True, False])
def test_ready_when_everything_was_polled_whatever_the_result(works: bool) -> None:
    store = each("a")
    assert not store.is_ready()
    if works:
        store.apply("p", "a", Deployment(name="a"), at(0))
    else:
        store.fail("p", "a", DOWN)
    assert store.is_ready()


def test_a_list_is_shown_whole_or_not_at_all() -> None:
    store = listed()
    store.apply_list("p", whole(Deployment(id="1", status="Ready"), Deployment(id="2", status="Ready")), at(0))
    before = store.view(at(0))
    applying = store.applying_list("p", whole(Deployment(id="2", status="Failed"), Deployment(id="3")), at(1))
    steps = 0
    for _ in applying:
        steps += 1
        assert store.view(at(1)) is before
    assert steps
    assert list(shown(store, 1)) == ["2", "3"]


def test_what_becomes_stale_is_not_held_back_by_a_list() -> None:
    store = listed()
    store.apply_list("p", whole(Deployment(id="1")), at(0))
    assert shown(store, 59)["1"].state is not None
    applying = store.applying_list("p", whole(Deployment(id="2"), Deployment(id="3")), at(61))
    next(applying)
    assert shown(store, 61)["1"].state is None


def test_a_list_that_is_given_up_holds_nothing_back() -> None:
    store = listed()
    applying = store.applying_list("p", whole(Deployment(id="1"), Deployment(id="2")), at(0))
    next(applying)
    applying.close()
    store.apply_list("p", whole(Deployment(id="3")), at(1))
    assert list(shown(store, 1)) == ["3"]


def test_of_a_deployment_listed_twice_the_last_reading_alone_is_told_about() -> None:
    odd, fine = Reading(Deployment(id="1"), refused=("image",)), Reading(Deployment(id="1"))
    assert listed().apply_list("p", [odd, fine], at(0)).not_whole == ()
    assert listed().apply_list("p", [fine, odd], at(0)).not_whole == (("1", odd),)
    assert listed("a").apply_list("p", [odd], at(0)).not_whole == ()
