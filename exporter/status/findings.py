"""What there is to know about a deployment at one glance, in words, with what to do: rules, one function each.

Alerts wait before they speak; this is about the moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from exporter.api.errors import NotFound
from exporter.api.models import Deployment, Replica
from exporter.metrics.families import replicas_updated
from exporter.state.history import STATUSES
from exporter.state.records import Shown
from exporter.status.model import LEVELS, Finding, Level

CRASHES = "CrashLoopBackOff"
STARTING = frozenset({"ContainerCreating", "PodInitializing"})  # reasons to wait that are no trouble
ON_THE_MOVE = frozenset({"Updating", "Scaling"})
PRELOAD_FAILED = "Failed"
LOGS = "See what its container said: together beta jig logs."

Rule = Callable[[Deployment], Iterator[Finding]]


def findings(shown: Shown) -> tuple[Finding, ...]:
    """Worst first."""
    found = [*_poll(shown)]
    if shown.state is not None:
        found += [finding for rule in RULES for finding in rule(shown.state.deployment)]
    return tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level)))


def level(found: tuple[Finding, ...]) -> Level:
    """The worst, of those that come worst first."""
    return found[0].level if found else "ok"


def _poll(shown: Shown) -> Iterator[Finding]:
    error = shown.record.poll.error
    if error is not None:
        severity: Level = "critical" if isinstance(error, NotFound) else "warning"
        yield Finding(severity, error.describe(), error.hint)
        if shown.state is None and not isinstance(error, NotFound):
            yield Finding("critical", "No current data.", "")


def _failed(d: Deployment) -> Iterator[Finding]:
    if d.status == "Failed":
        yield Finding("critical", "The API says Failed.", f"Look at the replicas' reasons. {LOGS}")


def _unknown(d: Deployment) -> Iterator[Finding]:
    if d.status is not None and d.status not in STATUSES:
        yield Finding(
            "warning", f"The status {d.status} is not known to this version.", "Look for a newer together-exporter."
        )


def _scaled_to_zero(d: Deployment) -> Iterator[Finding]:
    if d.status == "ScaledToZero" and d.min_replicas:
        yield Finding(
            "critical",
            f"It is scaled to zero, though its minimum is {d.min_replicas:.10g}.",
            "See in Together's console who stopped it, and whether the quota is used up.",
        )


def _replicas(d: Deployment) -> Iterator[Finding]:
    ready, desired = d.ready_replicas, d.desired_replicas
    if ready is None or not desired or ready >= desired:
        return
    moves = d.status in ON_THE_MOVE
    if ready == 0 and not moves:
        yield Finding("critical", f"No replica is ready, of {desired:.10g} that are wanted.", "Look at the replicas.")
    elif ready == 0:
        yield Finding("warning", f"No replica is ready yet, of {desired:.10g} that are wanted.", "")
    elif not moves:
        yield Finding("warning", f"{ready:.10g} of {desired:.10g} replicas are ready.", "Look at the replicas.")


def _moves(d: Deployment) -> Iterator[Finding]:
    updated = replicas_updated(d)
    if d.status == "Updating" and updated is not None:
        yield Finding(
            "busy",
            f"A rollout is on its way: {updated:.10g} of {_count(len(d.replica_events or ()))} are of the new one.",
        )
    elif d.status in ON_THE_MOVE:
        yield Finding("busy", "A rollout is on its way." if d.status == "Updating" else "It is being scaled.")


def _crashes(d: Deployment) -> Iterator[Finding]:
    crashing = sum(r.replica_status_reason == CRASHES for r in _each(d))
    if crashing:
        yield Finding("warning", f"{_count(crashing, 'crash')} again and again ({CRASHES}).", LOGS)


def _waits(d: Deployment) -> Iterator[Finding]:
    reasons = Counter(
        r.replica_status_reason
        for r in _each(d)
        if r.replica_status == "Waiting" and r.replica_status_reason not in {None, CRASHES, *STARTING}
    )
    for reason, count in sorted(reasons.most_common(5), key=lambda item: str(item[0])):
        hint = "Check the image, its registry and its secrets, and the volume."
        yield Finding("warning", f"{_count(count, 'wait')}: {reason}.", hint)


def _preloads(d: Deployment) -> Iterator[Finding]:
    failed = sum(r.volume_preload_status == PRELOAD_FAILED for r in _each(d))
    if failed:
        yield Finding(
            "warning", f"{_count(failed)} could not preload the volume.", "Check the volume's name, version and size."
        )


def _each(d: Deployment) -> Iterator[Replica]:
    return iter((d.replica_events or {}).values())


def _count(replicas: int, verb: str = "") -> str:
    """`1 replica waits`, `2 replicas wait`."""
    if replicas != 1:
        return f"{replicas} replicas {verb}".rstrip()
    return f"1 replica {verb}{'es' if verb.endswith('sh') else 's' if verb else ''}".rstrip()


RULES: tuple[Rule, ...] = (_failed, _scaled_to_zero, _replicas, _crashes, _waits, _preloads, _unknown, _moves)
