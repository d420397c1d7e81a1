"""Each rule: a case with a finding and a case without."""

from __future__ import annotations

import pytest

from exporter.api.errors import ERRORS, REASONS, ApiError, NotFound, PollTimeout
from exporter.api.models import Deployment, EnvironmentVariable, Replica
from exporter.rules.groups import ALERTS
from exporter.state.history import History
from exporter.state.instant import Instant
from exporter.state.reasons import CLASSES
from exporter.state.records import Poll, Record, Shown, State
from exporter.status import findings as module
from exporter.status.findings import DAY, ERROR_ALERTS, HOUR, Context, findings, level
from exporter.status.model import LEVELS, Finding
from tests.conftest import ROOT

NOW = 1_775_000_000.0
SINCE = "1970-01-01T00:00:01Z"
RUNNING = Replica(replica_status="Running", replica_ready_since=SINCE, revision_id="new")
STARTED = Replica(replica_status="Running")
CONTEXT, PRICED = Context(NOW), Context(NOW, {"h100-80gb": 2.0})


def waiting(reason: str | None, count: int = 1) -> dict[str, Replica]:
    return {f"w{n}": Replica(replica_status="Waiting", replica_status_reason=reason) for n in range(count)}


def shown(state: Deployment | None, error: ApiError | None = None, *, was_read: bool = True) -> Shown:
    """`state` None: it is stale, or with `was_read` False was never known."""
    kept = State(state or Deployment()) if was_read else None
    record = Record("a", "a", History(), Poll(error, Instant(0.0, 0.0) if was_read else None), kept)
    return Shown("p", "a", record, None if state is None else kept, record.history)


def deployment(**fields: object) -> Deployment:
    well = {"name": "a", "status": "Ready", "ready_replicas": 2, "desired_replicas": 2, "min_replicas": 1}
    return Deployment(**{**well, **fields})  # type: ignore[arg-type]  # the test's own


def secret(left: float, name: str = "TOKEN", of: str | None = "hf-token") -> EnvironmentVariable:
    """A variable whose secret expires in so many seconds."""
    variable = EnvironmentVariable(name=name, value_from_secret=of)
    object.__setattr__(variable, "value_from_secret_expires_at", NOW + left)
    return variable


def with_secrets(*variables: EnvironmentVariable) -> Deployment:
    state = deployment()
    object.__setattr__(state, "environment_variables", variables)
    return state


TROUBLE = {
    "a secret of two variables, one expires sooner": (
        with_secrets(secret(30 * DAY), secret(5 * 3600, "OTHER")),
        ["warning: Secret hf-token expires in 5 hours."],
    ),
    "a secret that expires in minutes": (
        with_secrets(secret(20 * 60)),
        ["warning: Secret hf-token expires in 20 minutes."],
    ),
    "failed": (deployment(status="Failed"), ["critical: Status is Failed."]),
    "unknown status": (
        deployment(status="Hibernating"),
        ["warning: Status Hibernating is not known to this version."],
    ),
    "scaled to zero against its minimum": (
        deployment(status="ScaledToZero", ready_replicas=0, desired_replicas=0),
        ["critical: Scaled to zero, although min_replicas is 1."],
    ),
    "no ready_replicas, and none of the replicas is ready": (
        deployment(ready_replicas=None, replica_events=waiting("CrashLoopBackOff")),
        ["critical: No ready replicas, 2 desired.", "warning: 1 replica is crash looping (CrashLoopBackOff)."],
    ),
    "no replica ready": (deployment(ready_replicas=0), ["critical: No ready replicas, 2 desired."]),
    "no replica ready while it scales": (
        deployment(ready_replicas=0, status="Scaling"),
        ["warning: No ready replicas, 2 desired.", "busy: Scaling."],
    ),
    "fewer than desired": (deployment(ready_replicas=1), ["warning: 1 of 2 replicas are ready."]),
    "a crash loop, whatever the status": (
        deployment(replica_events=waiting("CrashLoopBackOff")),
        ["warning: 1 replica is crash looping (CrashLoopBackOff)."],
    ),
    "two crash loops": (
        deployment(replica_events=waiting("CrashLoopBackOff", 2)),
        ["warning: 2 replicas are crash looping (CrashLoopBackOff)."],
    ),
    "two reasons of one class": (
        deployment(replica_events={**waiting("Error"), "x": Replica(replica_status_reason="CrashLoopBackOff")}),
        ["warning: 2 replicas are crash looping (CrashLoopBackOff, Error)."],
    ),
    "out of memory beside enough ready replicas": (
        deployment(
            replica_events={
                "a": RUNNING,
                "b": RUNNING,
                "c": Replica(replica_status="Terminated", replica_status_reason="OOMKilled"),
            }
        ),
        ["warning: 1 replica ran out of memory (OOMKilled)."],
    ),
    "an image that cannot be pulled": (
        deployment(replica_events=waiting("ImagePullBackOff")),
        ["warning: 1 replica cannot pull the image (ImagePullBackOff)."],
    ),
    "no capacity": (
        deployment(replica_events=waiting("Unschedulable")),
        ["warning: 1 replica has no capacity (Unschedulable)."],
    ),
    "a volume": (
        deployment(replica_events=waiting("FailedMount", 2)),
        ["warning: 2 replicas cannot mount their volume (FailedMount)."],
    ),
    "a configuration": (
        deployment(replica_events=waiting("CreateContainerConfigError")),
        ["warning: 1 replica has an invalid configuration (CreateContainerConfigError)."],
    ),
    "an eviction": (
        deployment(replica_events=waiting("Preempted")),
        ["warning: 1 replica was evicted (Preempted)."],
    ),
    "a reason that is not known": (
        deployment(replica_events=waiting("Sulking")),
        ["warning: 1 replica is waiting (Sulking)."],
    ),
    "running but not ready": (
        deployment(replica_events={"a": STARTED}),
        ["warning: 1 replica is running but not ready."],
    ),
    "a preload that failed": (
        deployment(replica_events={"r": Replica(volume_preload_status="Failed")}),
        ["warning: 1 replica failed to preload the volume."],
    ),
    "a rollout": (deployment(status="Updating", ready_replicas=1), ["busy: Rolling out."]),
    "a secret that expired": (with_secrets(secret(-1)), ["critical: Secret hf-token has expired."]),
    "a secret that expires": (with_secrets(secret(7 * DAY)), ["warning: Secret hf-token expires in 7 days."]),
    "a secret that expires soon": (with_secrets(secret(5 * HOUR)), ["warning: Secret hf-token expires in 5 hours."]),
    "a secret of two variables": (
        with_secrets(secret(DAY), secret(DAY, "OTHER")),
        ["warning: Secret hf-token expires in 24 hours."],
    ),
    "a secret without a name": (
        with_secrets(secret(-1, of=None)),
        ["critical: Secret of variable TOKEN has expired."],
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
    "a replica that is done": deployment(replica_events=waiting("Completed")),
    "a ready replica with an old reason": deployment(
        replica_events={
            "r": Replica(replica_status="Running", replica_ready_since=SINCE, replica_status_reason="OOMKilled")
        }
    ),
    "a secret of two variables that expires later": with_secrets(secret(8 * DAY), secret(9 * DAY, "OTHER")),
    "a preload that is done": deployment(replica_events={"r": Replica(volume_preload_status="Completed")}),
    "a secret that expires later": with_secrets(secret(7 * DAY + 1)),
    "no ready_replicas, and one of the replicas is unknown": deployment(
        ready_replicas=None, replica_events={"a": None}
    ),
    "a GPU type where no prices are configured": deployment(gpu_type="a100", gpu_count=1),
}


@pytest.mark.parametrize(("state", "expected"), TROUBLE.values(), ids=TROUBLE)
def test_trouble_is_a_finding(state: Deployment, expected: list[str]) -> None:
    found = findings(shown(state), CONTEXT)
    assert [f"{finding.level}: {finding.message}" for finding in found] == expected
    assert level(found) == expected[0].split(":")[0]


@pytest.mark.parametrize("state", QUIET.values(), ids=QUIET)
def test_there_is_no_finding_where_all_is_well(state: Deployment) -> None:
    assert findings(shown(state), CONTEXT) == ()
    assert level(()) == "ok"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"gpu_type": "a100", "gpu_count": 1}, ["No price configured for GPU type a100."]),
        ({"gpu_type": "h100-80gb", "gpu_count": 1}, []),
        ({"gpu_type": "a100", "gpu_count": 0}, []),
        ({"gpu_count": 1}, []),
    ],
    ids=["without a price", "with one", "no GPU", "no type"],
)
def test_a_gpu_type_in_use_has_a_price_where_there_are_prices(fields: dict[str, object], expected: list[str]) -> None:
    assert [finding.message for finding in findings(shown(deployment(**fields)), PRICED)] == expected


def test_a_rollout_says_how_far_it_is() -> None:
    variables = [{"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": "new"}]
    events = {
        "a": RUNNING,
        "b": Replica(replica_status="Running", revision_id="old"),
        "c": Replica(replica_status="Terminated", revision_id="old"),
    }
    state = deployment(status="Updating", environment_variables=variables, replica_events=events)
    (finding,) = findings(shown(state), CONTEXT)
    assert finding.message == "Rolling out: 1/2 replicas updated."


def test_no_capacity_has_a_hint_about_capacity() -> None:
    (finding,) = findings(shown(deployment(replica_events=waiting("Unschedulable"))), CONTEXT)
    assert "capacity" in finding.hint
    assert "image" not in finding.hint


def test_a_failed_poll_says_why_and_what_to_do_and_the_state_still_counts() -> None:
    failed, poll = findings(shown(deployment(status="Failed"), PollTimeout("no complete response within 10s")), CONTEXT)
    assert failed.level == "critical"
    assert poll.message == "API request timed out: no complete response within 10s."
    assert poll.hint == PollTimeout.hint


def test_no_current_data_is_worse_than_a_failed_poll() -> None:
    stale, never = (findings(shown(None, PollTimeout("x"), was_read=known), CONTEXT) for known in (True, False))
    assert (stale[0].level, stale[0].message) == ("critical", "No current data.")
    assert (never[0].level, never[0].message) == ("critical", "Never read since the exporter started.")
    assert [f.level for f in findings(shown(None, NotFound("HTTP 404")), CONTEXT)] == ["critical"]


def test_every_error_has_a_summary_and_a_hint() -> None:
    assert all(error.summary and error.hint.endswith(".") for error in ERRORS)
    assert len({error.summary for error in ERRORS}) == len(ERRORS)


def test_the_worst_comes_first() -> None:
    state = deployment(status="Updating", ready_replicas=0, replica_events=waiting("CrashLoopBackOff"))
    order = [LEVELS.index(finding.level) for finding in findings(shown(state), CONTEXT)]
    assert order == sorted(order)
    assert len(set(order)) > 1


def every_finding() -> list[Finding]:
    found = [finding for state, _ in TROUBLE.values() for finding in findings(shown(state), CONTEXT)]
    found += findings(shown(deployment(gpu_type="a100", gpu_count=1)), PRICED)
    for error in ERRORS:
        found += findings(shown(None, error("HTTP 5xx")), CONTEXT)
    return found


def test_the_alert_of_a_finding_exists_and_has_a_runbook() -> None:
    alerts = {finding.alert for finding in every_finding() if finding.alert}
    assert len(alerts) > 10
    assert alerts <= set(ALERTS)
    assert alerts <= {file.stem for file in (ROOT / "docs" / "runbooks").glob("Together*.md")}


def test_every_error_and_every_finding_has_an_alert_but_for_those_that_no_alert_watches() -> None:
    assert set(ERROR_ALERTS) == set(REASONS)
    without = {finding.message for finding in every_finding() if finding.alert is None}
    assert without == {
        "1 replica was evicted (Preempted).",
        "1 replica is waiting (Sulking).",
        "No price configured for GPU type a100.",
    }


def test_every_class_of_reasons_is_a_finding_but_those_that_pass() -> None:
    assert set(CLASSES) - set(module.REASONS) == {"starting", "completed"}
