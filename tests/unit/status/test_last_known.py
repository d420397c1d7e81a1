"""The report's fields for what is not current, and for replicas that have just appeared."""

from __future__ import annotations

from exporter.api.errors import ServerError
from exporter.api.listing import Listing
from exporter.api.reading import Reading
from exporter.state.instant import Instant
from exporter.state.projects import after_list
from exporter.status.model import LastKnown
from exporter.status.report import iso, report
from tests.pipeline import run
from tests.unit.status.facts import NOW, SINCE, facts, fail, fleet, replica, value, well

POLLED = Instant(90.0, NOW.unix - 10)  # by facts.fleet
STALE = Instant(POLLED.monotonic + 301, POLLED.unix + 301)


def test_a_project_that_cannot_be_read_counts_as_one_critical() -> None:
    store = fleet(well("a"), well("b"))
    assert run(report(facts(store))).levels["critical"] == 0
    fail(store, ServerError("HTTP 500"))
    assert run(report(facts(store))).levels == {"critical": 1, "warning": 2, "busy": 0, "ok": 0}


def test_the_last_known_state_is_there_once_it_is_stale() -> None:
    store = fleet(well("a", status="Failed", ready_replicas=0))
    fail(store, ServerError("HTTP 500"))
    (current,) = run(report(facts(store))).deployments
    assert current.last_known is None
    assert current.status == "Failed"
    (stale,) = run(report(facts(store, now=STALE))).deployments
    assert stale.last_known == LastKnown(iso(POLLED.unix), "Failed", 0, 2)
    assert (stale.status, stale.id, stale.age_seconds) == (None, None, 301.0)


def test_what_was_never_read_or_is_gone_has_no_last_known_state() -> None:
    (missing,) = run(report(facts(fleet(missing="nope")))).deployments
    assert missing.last_known is None


def test_a_replica_that_appeared_says_when_until_it_was_ready() -> None:
    store = fleet(well("a", replica_events={"old": replica("Waiting")}))
    events = {"old": replica("Waiting"), "new": replica("Waiting"), "ready": replica(replica_ready_since=SINCE)}
    before = value(store)
    listing = Listing((Reading(well("a", replica_events=events)),))
    assert store.commit(before, run(after_list(before, listing, NOW)))
    (deployment,) = run(report(facts(store))).deployments
    seen = {each.replica: each.first_seen for each in deployment.replicas}
    assert seen == {"old": None, "new": iso(NOW.unix), "ready": None}
