"""Each rule speaks where it should and is silent where it should be."""

from __future__ import annotations

import pytest

from exporter.api.errors import ERRORS, ApiError, NotFound, PollTimeout
from exporter.api.models import Deployment, Replica
from exporter.state.history import History
from exporter.state.instant import Instant
from exporter.state.records import Poll, Record, Shown, State
from exporter.status.findings import findings, level
from exporter.status.model import LEVELS

SINCE = "1970-01-01T00:00:01Z"
RUNNING = Replica(replica_status="Running", replica_ready_since=SINCE, revision_id="new")


def waiting(reason: str | None, count: int = 1) -> dict[str, Replica]:
    return {f"w{n}": Replica(replica_status="Waiting", replica_status_reason=reason) for n in range(count)}


def shown(state: Deployment | None, error: ApiError | None = None) -> Shown:
    """`state` None: it is stale, or was never known."""
    history = History()
    kept = None if state is None else State(state)
    record = Record("a", "a", history, Poll(error, Instant(0.0, 0.0)), kept)
    return Shown("p", "a", record, kept, history)


def deployment(**fields: object) -> Deployment:
    well = {"name": "a", "status": "Ready", "ready_replicas": 2, "desired_replicas": 2, "min_replicas": 1}
    return Deployment(**{**well, **fields})  # type: ignore[arg-type]  # the test's own


TROUBLE = {
    "failed": (deployment(status="Failed"), ["critical: The API says Failed."]),
    "unknown status": (
        deployment(status="Hibernating"),
        ["warning: The status Hibernating is not known to this version."],
    ),
    "scaled to zero against its minimum": (
        deployment(status="ScaledToZero", ready_replicas=0, desired_replicas=0),
        ["critical: It is scaled to zero, though its minimum is 1."],
    ),
    "no replica ready": (deployment(ready_replicas=0), ["critical: No replica is ready, of 2 that are wanted."]),
    "no replica ready while it scales": (
        deployment(ready_replicas=0, status="Scaling"),
        ["warning: No replica is ready yet, of 2 that are wanted.", "busy: It is being scaled."],
    ),
    "fewer than desired": (deployment(ready_replicas=1), ["warning: 1 of 2 replicas are ready."]),
    "a crash loop, whatever the status": (
        deployment(replica_events=waiting("CrashLoopBackOff")),
        ["warning: 1 replica crashes again and again (CrashLoopBackOff)."],
    ),
    "two crash loops": (
        deployment(replica_events=waiting("CrashLoopBackOff", 2)),
        ["warning: 2 replicas crash again and again (CrashLoopBackOff)."],
    ),
    "an image that cannot be pulled": (
        deployment(replica_events=waiting("ImagePullBackOff")),
        ["warning: 1 replica waits: ImagePullBackOff."],
    ),
    "a preload that failed": (
        deployment(replica_events={"r": Replica(volume_preload_status="Failed")}),
        ["warning: 1 replica could not preload the volume."],
    ),
    "a rollout": (
        deployment(status="Updating", ready_replicas=1),
        ["busy: A rollout is on its way."],
    ),
}
QUIET = {
    "all well": deployment(replica_events={"r": RUNNING}),
    "at rest": deployment(status="ScaledToZero", ready_replicas=0, desired_replicas=0, min_replicas=0),
    "nothing known of it": Deployment(),
    "more ready than desired": deployment(ready_replicas=3),
    "no count of those ready": deployment(ready_replicas=None),
    "a replica that starts": deployment(replica_events=waiting("ContainerCreating")),
    "a replica that waits without a reason": deployment(replica_events=waiting(None)),
    "a preload that is done": deployment(replica_events={"r": Replica(volume_preload_status="Completed")}),
}


@pytest.mark.parametrize(("state", "said"), TROUBLE.values(), ids=TROUBLE)
def test_trouble_is_said_in_words(state: Deployment, said: list[str]) -> None:
    found = findings(shown(state))
    assert [f"{finding.level}: {finding.message}" for finding in found] == said
    assert level(found) == said[0].split(":")[0]


@pytest.mark.parametrize("state", QUIET.values(), ids=QUIET)
def test_nothing_is_said_where_all_is_well(state: Deployment) -> None:
    assert findings(shown(state)) == ()
    assert level(()) == "ok"


def test_a_rollout_says_how_far_it_is() -> None:
    variables = [{"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": "new"}]
    events = {"a": RUNNING, "b": Replica(replica_status="Running", revision_id="old")}
    state = deployment(status="Updating", environment_variables=variables, replica_events=events)
    (finding,) = findings(shown(state))
    assert finding.message == "A rollout is on its way: 1 of 2 replicas are of the new one."


def test_a_failed_poll_says_why_and_what_to_do_and_the_state_still_counts() -> None:
    failed, poll = findings(shown(deployment(status="Failed"), PollTimeout("no complete answer within 10s")))
    assert failed.level == "critical"
    assert poll.message == "The API did not answer in time: no complete answer within 10s."
    assert poll.hint == PollTimeout.hint


def test_nothing_known_any_more_is_worse_than_a_failed_poll() -> None:
    assert level(findings(shown(None, PollTimeout("x")))) == "critical"
    assert [f.level for f in findings(shown(None, NotFound("HTTP 404")))] == ["critical"]


def test_every_error_has_a_summary_and_a_hint() -> None:
    assert all(error.summary and error.hint.endswith(".") for error in ERRORS)
    assert len({error.summary for error in ERRORS}) == len(ERRORS)


def test_the_worst_comes_first() -> None:
    state = deployment(status="Updating", ready_replicas=0, replica_events=waiting("CrashLoopBackOff"))
    order = [LEVELS.index(finding.level) for finding in findings(shown(state))]
    assert order == sorted(order)
    assert len(set(order)) > 1
