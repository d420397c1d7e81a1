from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from exporter.api.models import Deployment, Replica
from exporter.state.history import MAX_STATUSES, OTHER, Counts, History
from tests.pipeline import at

RUNNING = "Running"


def ready(since: float | str = 5.0) -> Replica:
    return Replica(replica_status=RUNNING, replica_ready_since=_time(since))


def _time(since: float | str) -> str:
    return since if isinstance(since, str) else datetime.fromtimestamp(since, UTC).isoformat()


def waiting(reason: str | None = None) -> Replica:
    return Replica(replica_status="Waiting", replica_status_reason=reason)


def counted(*answers: Mapping[str, Replica | None] | None, first: float = 0.0) -> Counts:
    """After answers that list these replicas, ten seconds apart."""
    history = History()
    for number, replicas in enumerate(answers):
        events = None if replicas is None else dict(replicas)
        history = history.after(Deployment(id="1", replica_events=events), at(first + 10 * number))
    return history.counts


def statuses(*seen: str | None) -> Mapping[str, int]:
    history = History()
    for status in seen:
        history = history.after(Deployment(id="1", status=status), at(0))
    return history.counts.status_changes


@pytest.mark.parametrize(
    ("seen", "changes"),
    [
        pytest.param(["Ready"], {}, id="the first status is no change"),
        pytest.param(["Ready", "Ready"], {}, id="the same again is no change"),
        pytest.param(["Ready", "Failed", "Ready"], {"Failed": 1, "Ready": 1}, id="there and back"),
        pytest.param(["Ready", None, "Ready"], {}, id="an absent status is no change"),
        pytest.param([None, "Ready"], {}, id="nothing was known before"),
        pytest.param(["Ready", None, "Failed"], {"Failed": 1}, id="a change over a gap"),
        pytest.param(["Ready", "Brand New"], {"Brand New": 1}, id="an unknown status"),
    ],
)
def test_changes_into_each_status_are_counted(seen: list[str | None], changes: dict[str, int]) -> None:
    assert statuses(*seen) == changes


def test_statuses_without_end_are_counted_together() -> None:
    changes = statuses("Ready", *(f"s{number}" for number in range(MAX_STATUSES + 3)))
    assert len(changes) == MAX_STATUSES + 1
    assert changes[OTHER] == 3
    assert changes["s0"] == 1


def test_a_known_status_is_counted_by_itself_however_many_unknown_ones_there_were() -> None:
    assert statuses(*(f"s{number}" for number in range(MAX_STATUSES + 3)), "Ready")["Ready"] == 1


@pytest.mark.parametrize(
    ("answers", "started"),
    [
        pytest.param([{"a": ready()}], 0, id="those of the first sight did not start"),
        pytest.param([{"a": ready()}, {"a": ready(), "b": waiting()}], 1, id="one more"),
        pytest.param([{}, {"a": waiting()}], 1, id="the first of an empty deployment"),
        pytest.param([None, {"a": waiting()}], 0, id="unknown before is not empty before"),
        pytest.param([{"a": waiting()}, None, {"a": waiting()}], 0, id="unknown between"),
        pytest.param([{"a": waiting()}, {}, {"a": waiting()}], 1, id="gone and back"),
    ],
)
def test_replicas_that_appear_later_are_started(answers: list[dict[str, Replica] | None], started: int) -> None:
    assert counted(*answers).started == started


@pytest.mark.parametrize(
    ("answers", "ended"),
    [
        pytest.param([{"a": ready()}, {}], {"other": 1}, id="without a reason"),
        pytest.param([{"a": waiting("Evicted")}, {}], {"evicted": 1}, id="with its reason"),
        pytest.param([{"a": waiting("OOMKilled")}, {"a": ready()}, {}], {"memory": 1}, id="with the last reason seen"),
        pytest.param([{"a": waiting("Brand New")}, {}], {"other": 1}, id="with an unknown one"),
        pytest.param(
            [{"a": waiting("Error"), "b": waiting("Error")}, {"b": waiting("Completed")}, {}],
            {"crash": 1, "completed": 1},
            id="each by its own",
        ),
        pytest.param([{"a": ready()}, None], {}, id="unknown is not ended"),
        pytest.param([{}, {"a": waiting("Error")}, {}], {"crash": 1}, id="one that had appeared"),
    ],
)
def test_replicas_that_leave_the_list_are_ended(
    answers: list[dict[str, Replica] | None], ended: dict[str, int]
) -> None:
    assert counted(*answers).ended == ended


@pytest.mark.parametrize(
    ("answers", "lost"),
    [
        pytest.param([ready(5.0), ready(5.0)], 0, id="still ready"),
        pytest.param([ready(5.0), waiting()], 1, id="no longer ready"),
        pytest.param([ready(5.0), ready(9.0)], 1, id="ready since another time"),
        pytest.param([ready(5.0), ready("unreadable")], 1, id="ready since no time"),
        pytest.param([ready(5.0), waiting(), ready(9.0), waiting()], 2, id="again"),
        pytest.param([waiting(), ready(5.0)], 0, id="became ready"),
        pytest.param(
            [ready(5.0), Replica(replica_status="Waiting", replica_ready_since=_time(5.0))],
            1,
            id="not Running any more",
        ),
    ],
)
def test_a_listed_replica_that_is_no_longer_ready_has_lost_it(answers: list[Replica], lost: int) -> None:
    assert counted(*({"a": each} for each in answers)).readiness_lost == lost


def test_a_ready_replica_that_leaves_has_ended_and_lost_nothing() -> None:
    counts = counted({"a": ready()}, {})
    assert (counts.readiness_lost, counts.ended) == (0, {"other": 1})


@pytest.mark.parametrize("unknown", [None, Replica(), Replica(replica_ready_since=_time(9.0), image="i")])
def test_a_replica_whose_status_is_unknown_is_listed_all_the_same(unknown: Replica | None) -> None:
    assert counted({"a": ready(), "b": ready()}, {"a": unknown, "b": ready()}, {"a": ready(), "b": ready()}) == Counts()
    assert counted({"a": ready()}, {"a": unknown}, {}).ended == {"other": 1}
    assert counted({"a": ready()}, {"a": unknown}, {"a": waiting()}).readiness_lost == 1


def test_a_replica_that_is_unreadable_at_first_is_counted_once() -> None:
    assert counted({"a": None}, {"a": ready()}) == Counts()
    counts = counted({}, {"a": None}, {"a": ready(UNIX + 17.0)})
    assert (counts.started, counts.startup_seconds, counts.startups) == (1, 7.0, 1)


UNIX = at(0).unix


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([{}, {"a": waiting()}, {"a": ready(UNIX + 17.0)}], (7.0, 1), id="since its first sight"),
        pytest.param([{}, {"a": ready(UNIX + 4.0)}], (0.0, 1), id="not below 0"),
        pytest.param([{"a": waiting()}, {"a": ready(UNIX + 7.0)}], (0.0, 0), id="not of those of the first sight"),
        pytest.param([{}, {"a": waiting()}, {"a": ready("unreadable")}], (0.0, 0), id="not where the time is none"),
        pytest.param(
            [{}, {"a": ready(UNIX + 12.0)}, {"a": waiting()}, {"a": ready(UNIX + 30.0)}], (2.0, 1), id="the first only"
        ),
        pytest.param(
            [{}, {"a": ready("unreadable")}, {"a": ready(UNIX + 30.0)}], (0.0, 0), id="the second is no first one"
        ),
        pytest.param(
            [{}, {"a": waiting(), "b": waiting()}, {"a": ready(UNIX + 11.0), "b": ready(UNIX + 13.5)}],
            (4.5, 2),
            id="summed",
        ),
    ],
)
def test_startup_is_the_time_from_first_sight_to_first_readiness(
    answers: list[dict[str, Replica]], expected: tuple[float, int]
) -> None:
    counts = counted(*answers)
    assert (counts.startup_seconds, counts.startups) == expected


def test_an_answer_that_shows_nothing_new_keeps_the_very_history() -> None:
    shown = Deployment(id="1", status="Ready", replica_events={"a": ready(), "b": waiting("Error")})
    before = History().after(shown, at(0))
    assert before.after(shown, at(10)) is before
    assert before.after(Deployment(), at(10)) is before
    assert before.named("x") is not before


def test_the_time_of_a_status_is_that_of_its_first_sight() -> None:
    def seen(history: History, status: str, second: float) -> History:
        return history.after(Deployment(id="1", status=status, ready_replicas=second), at(second))

    first = seen(seen(History(), "Ready", 0), "Ready", 10)
    assert (first.since, first.saw_change) == (at(0).unix, False)
    changed = seen(seen(first, "Failed", 20), "Failed", 30)
    assert (changed.since, changed.saw_change) == (at(20).unix, True)


def test_another_id_starts_afresh() -> None:
    before = History().after(Deployment(id="1", status="Ready", replica_events={}), at(0)).named("chat")
    before = before.after(Deployment(id="1", status="Failed", replica_events={"a": waiting()}), at(1))
    after = before.after(Deployment(id="2", status="Ready", replica_events={"b": waiting()}), at(2))
    assert (after.counts, after.id, after.shown_as, after.status) == (Counts(), "2", None, "Ready")


def test_an_absent_id_is_no_other_one() -> None:
    before = History().after(Deployment(id="1", status="Ready"), at(0))
    after = before.after(Deployment(status="Failed"), at(1))
    assert (after.id, after.counts.status_changes) == ("1", {"Failed": 1})


def test_counters_go_on_under_their_first_name_and_start_again_under_another() -> None:
    history = History().after(Deployment(id="1", status="Ready"), at(0)).after(Deployment(status="Failed"), at(1))
    chat = history.named("chat")
    assert chat.counts.status_changes == {"Failed": 1}
    other = chat.named("other")
    assert (other.counts, other.status, other.shown_as) == (Counts(), "Failed", "other")


def test_what_was_seen_is_kept_under_another_name() -> None:
    history = History().after(Deployment(id="1", replica_events={"a": ready()}), at(0)).named("chat").named("other")
    assert history.after(Deployment(id="1", replica_events={}), at(1)).counts.ended == {"other": 1}
