"""What a reload keeps of a project, and by which key; pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.api.errors import Forbidden, InvalidResponse
from exporter.api.listing import Item, Unreadable
from exporter.api.models import Dropped, Replica
from exporter.api.reading import Reading, read_object
from exporter.labels import LabelRule, Labels
from exporter.state.projects import after_failed_list, after_failed_one, reconfigured, without_refusals
from exporter.state.records import Limits, Poll, Project, QueueState, RevisionState, Target
from tests.pipeline import at
from tests.unit.state.test_projects import DOWN, EACH, LISTED, errors, item, listed, polled, state_of

JANUARY, MAY = "2026-01-01T00:00:00Z", "2026-05-01T00:00:00Z"
LARGE = InvalidResponse("too large")


def dated(id_: str, name: str, created: str | None) -> Reading:
    return item(id_, name, created_at=created)


def test_a_reload_to_the_same_target_keeps_the_very_project() -> None:
    before = listed(Project(LISTED), item("1", "a"))
    assert reconfigured(before, Target("p", stale_after=60.0, has_scaling_queues=True)) is before


def test_a_new_project_is_empty() -> None:
    assert reconfigured(None, LISTED) == Project(LISTED)


def test_a_reload_to_another_fetch_keeps_what_is_known() -> None:
    target = replace(EACH, keys=("a", "b"))
    before = polled(polled(Project(target), "a", item("1", "a")), "b", item("2", "b"))
    listed_now = reconfigured(before, Target("p"))
    assert {key: record.state for key, record in listed_now.records.items()} == {
        "1": before.records["a"].state,
        "2": before.records["b"].state,
    }
    assert (listed_now.is_polled, listed_now.listing) == (True, Poll())
    refused = after_failed_one(after_failed_one(before, "a", DOWN), "b", DOWN)
    assert reconfigured(refused, Target("p")).listing == Poll(DOWN)
    back = reconfigured(listed_now, replace(EACH, keys=("2",)))
    assert {key: record.state for key, record in back.records.items()} == {"2": before.records["b"].state}


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        pytest.param(Target("p"), "12", id="everything"),
        pytest.param(Target("p", exclude=("a",)), "2", id="exclude"),
        pytest.param(Target("p", include=("a",)), "1", id="include"),
        pytest.param(Target("p", ("2",)), "2", id="configured by ID"),
        pytest.param(Target("p", ()), "", id="nothing configured"),
        pytest.param(Target("p", shard_index=0, shard_total=2), "1", id="a shard"),
        pytest.param(Target("p", shard_index=1, shard_total=2), "2", id="the other shard"),
    ],
)
def test_a_reload_keeps_what_is_still_wanted(target: Target, kept: str) -> None:
    before = listed(Project(Target("p", stale_after=10)), item("1", "a"), item("2", "b"))
    after = reconfigured(before, target)
    assert "".join(after.records) == kept
    for key in kept:
        assert after.records[key] == before.records[key]
        assert after.records[key].state is before.records[key].state
    assert after.target is target
    assert after.listing is before.listing


def test_a_reload_of_one_by_one_keeps_what_is_still_configured() -> None:
    before = Project(Target("p", ("a", "b"), is_listed=False))
    before = after_failed_one(polled(before, "a", item("1", "a")), "b", DOWN)
    after = reconfigured(before, Target("p", ("b", "c"), is_listed=False))
    assert after.records == {"b": before.records["b"]}


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        pytest.param(Target("p"), Target("p", ("a",)), "a", id="discovered, then configured by name"),
        pytest.param(Target("p", ("a",)), Target("p"), "1", id="configured by name, then discovered"),
        pytest.param(Target("p", ("a",)), Target("p", ("1",)), "1", id="configured by name, then by ID"),
    ],
)
def test_a_deployment_that_is_wanted_in_another_way_goes_on(before: Target, after: Target, key: str) -> None:
    """Its counters belong to ID and shown name, which are the same; a list that fails now is a failed poll of it."""
    project = listed(Project(before), item("1", "a", status="Ready"))
    project = reconfigured(listed(project, item("1", "a", status="Failed"), second=1), after)
    assert list(project.records) == [key]
    failed = after_failed_list(project, DOWN)
    assert errors(failed) == {key: "server_error"}
    project = listed(project, item("1", "a", status="Ready"), second=2)
    assert project.records[key].history.counts.status_changes == {"Failed": 1, "Ready": 1}


def test_after_a_reload_a_configured_name_is_still_of_the_oldest() -> None:
    old, young = item("2", "a", created_at="2026-01-01T00:00:00Z"), item("1", "a", created_at="2026-05-01T00:00:00Z")
    before = listed(Project(Target("p")), young, old)
    after = reconfigured(before, Target("p", ("a",)))
    assert {key: state_of(record).id for key, record in after.records.items()} == {"a": "2", "1": "1"}
    assert {key: state_of(record).id for key, record in reconfigured(after, Target("p")).records.items()} == {
        "1": "1",
        "2": "2",
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(Target("p", ("x",)), Target("p"), id="a configured one that was not found"),
        pytest.param(Target("p", ("x",)), Target("p", ("y",)), id="one that is not configured any more"),
        pytest.param(Target("p"), Target("p", exclude=("x",)), id="an unreadable one that is excluded"),
    ],
)
def test_a_reload_keeps_no_record_without_state_that_nobody_asks_for(before: Target, after: Target) -> None:
    items = [Unreadable("1", "x", InvalidResponse("too large"))] if before.keys is None else []
    project = listed(Project(before), *items)
    assert len(project.records) == 1
    assert reconfigured(project, after).records == {}


@pytest.mark.parametrize(
    ("before", "items", "after", "keys"),
    [
        pytest.param(
            Target("p"),
            [dated("1", "a", None), dated("2", "a", MAY)],
            ("a",),
            {"a": "2", "1": "1"},
            id="a dated one first",
        ),
        pytest.param(
            Target("p"), [dated("2", "a", None), dated("1", "a", None)], ("a",), {"a": "1", "2": "2"}, id="else by ID"
        ),
        pytest.param(
            Target("p"), [dated("2", "a", JANUARY), dated("1", "a", MAY)], ("a",), {"a": "2", "1": "1"}, id="the older"
        ),
        pytest.param(
            Target("p", ("a",)),
            [dated("a", "x", MAY), dated("1", "a", JANUARY)],
            ("a", "y"),
            {"a": "a", "1": "1"},
            id="one that has the key keeps it",
        ),
        pytest.param(
            Target("p", ("n", "m")),
            [dated("a", "n", MAY), dated("m", "a", JANUARY)],
            ("a",),
            {"a": "a", "m": "m"},
            id="an ID before a name",
        ),
        pytest.param(
            Target("p", ("a",)), [dated("1", "a", MAY)], ("a", "1"), {"a": "1"}, id="the present key before the ID"
        ),
    ],
)
def test_after_a_reload_a_configured_key_is_whose_a_list_would_give_it_to(
    before: Target, items: list[Item], after: tuple[str, ...], keys: dict[str, str]
) -> None:
    project = reconfigured(listed(Project(before), *items), Target("p", after))
    assert {key: state_of(record).id for key, record in project.records.items()} == keys
    assert all(record.key == key for key, record in project.records.items())


def test_a_configured_one_that_was_not_found_stays_so_until_the_next_list() -> None:
    before = listed(Project(Target("p", ("x",))))
    after = reconfigured(before, Target("p", ("x", "y")))
    assert after.records == before.records
    both = reconfigured(listed(before, item("1", "x")), Target("p", ("y", "x")))
    assert list(both.records) == ["x"]


@pytest.mark.parametrize(
    ("target", "is_kept"),
    [
        pytest.param(replace(LISTED, stale_after=90.0), True, id="another time"),
        pytest.param(replace(LISTED, include=("x",)), True, id="included by its name"),
        pytest.param(replace(LISTED, include=("y",)), False, id="not included"),
        pytest.param(replace(LISTED, shard_index=1, shard_total=2), True, id="of this shard by its ID"),
        pytest.param(replace(LISTED, shard_index=0, shard_total=2), False, id="of another shard by its ID"),
        pytest.param(Target("p", ("x",)), False, id="configured by name, which nobody has read"),
        pytest.param(Target("p", ("2",)), True, id="configured by ID"),
    ],
)
def test_an_unreadable_deployment_is_kept_where_it_is_still_wanted(target: Target, is_kept: bool) -> None:
    before = listed(Project(LISTED), Unreadable("2", "x", LARGE))
    assert reconfigured(before, target).records == (before.records if is_kept else {})


def test_another_limit_of_replicas_leaves_what_else_was_dropped() -> None:
    events = {name: Replica() for name in "abc"}
    invalid = Dropped("invalid_value", "cpu")
    reading = Reading(item("1", "a", replica_events=events).deployment, (invalid,))
    one, two = (replace(LISTED, limits=Limits(max_replicas_per_deployment=number)) for number in (1, 2))
    project = reconfigured(listed(Project(one), reading), two)
    state = project.records["1"].state
    assert state is not None
    assert state.dropped == (invalid, Dropped("replica_limit", "replica_events"))
    unlimited = reconfigured(project, LISTED).records["1"].state
    assert unlimited is not None
    assert unlimited.dropped == (invalid,)
    assert "".join(name for name, _ in unlimited.replicas) == "abc"


def test_labels_follow_a_reload_by_key_name_and_variable_and_equal_ones_are_the_same_object() -> None:
    chat = {"id": "1", "name": "chat-prod", "environment_variables": [{"name": "TEAM", "value": "chat"}]}
    before = listed(Project(LISTED), read_object(chat, frozenset({"TEAM"})))
    own = Labels(
        variables={"TEAM": "label_team"},
        rules=(LabelRule("chat-.*", {"label_tier": "1"}),),
        deployments={"1": {"label_by": "id"}, "chat-prod": {"label_by": "name"}},
    )
    project = reconfigured(before, replace(LISTED, labels=own))
    assert project.records["1"].labels == (("label_by", "id"), ("label_team", "chat"), ("label_tier", "1"))
    later = reconfigured(project, replace(LISTED, labels=own, limits=Limits(max_replicas_per_deployment=1)))
    assert later.records["1"].labels is project.records["1"].labels
    by_name = reconfigured(project, Target("p", ("chat-prod",), labels=own))
    assert by_name.records["chat-prod"].labels == (("label_by", "name"), ("label_team", "chat"), ("label_tier", "1"))


def test_a_record_that_a_reload_does_not_change_is_the_same_object() -> None:
    before = listed(Project(LISTED), item("1", "a"))
    assert reconfigured(before, replace(LISTED, stale_after=90.0)).records["1"] is before.records["1"]


def test_refusals_are_forgotten() -> None:
    refused = Poll(Forbidden("HTTP 403"), None, at(0))
    before = Project(LISTED, queues={"q": QueueState(refused)}, revisions={"1": RevisionState("r", refused)})
    assert not before.queues["q"].poll.is_due(at(1))
    after = without_refusals(before)
    assert [part["q" if "q" in part else "1"].poll.is_due(at(1)) for part in (after.queues, after.revisions)] == [
        True
    ] * 2
