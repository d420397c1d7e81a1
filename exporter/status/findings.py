"""What a person on call should know about a deployment at this moment, and what to do: rules, one function each.

Alerts wait before they fire; findings do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from exporter.api.errors import NotFound
from exporter.api.models import Deployment, Replica
from exporter.metrics.families import STATUSES, TERMINATED, replicas_updated
from exporter.state.reasons import ReasonClass, reason_class
from exporter.state.records import Shown
from exporter.status.model import LEVELS, Finding, Level

ROLLING = frozenset({"Updating", "Scaling"})
PRELOAD_FAILED = "Failed"
DAY = 86_400.0  # s
SECRET_WARNING = 7 * DAY  # before it expires
LOGS = "Read the replica's logs."
# For each class of reasons that is trouble: what is said of one replica and of several, and what to do.
REASONS: Mapping[ReasonClass, tuple[str, str, str]] = {
    "crash": ("is crash looping", "are crash looping", LOGS),
    "memory": ("ran out of memory", "ran out of memory", "Raise the deployment's memory, or lower what it loads."),
    "image": (
        "cannot pull the image",
        "cannot pull the image",
        "Check the image's name and the registry's credentials.",
    ),
    "capacity": ("finds no capacity", "find no capacity", "Wait, try another GPU type, or ask Together for capacity."),
    "volume": ("cannot mount its volume", "cannot mount their volume", "Check the volume's name, version and status."),
    "config": (
        "has an invalid configuration",
        "have an invalid configuration",
        "Check its variables, secrets and command.",
    ),
    "evicted": ("was evicted", "were evicted", "A replacement should start; with capacity_type stable it is rarer."),
    "other": ("is waiting", "are waiting", LOGS),
}


@dataclass(frozen=True, slots=True)
class Context:
    """`now`: seconds since 1970. `prices`: as configured, by GPU type."""

    now: float
    prices: Mapping[str, float] = field(default_factory=dict)


Rule = Callable[[Deployment, Context], Iterator[Finding]]


def findings(shown: Shown, context: Context) -> tuple[Finding, ...]:
    """Worst first."""
    found = [*_poll(shown)]
    if shown.state is not None:
        found += [finding for rule in RULES for finding in rule(shown.state.deployment, context)]
    return tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level)))


def level(found: tuple[Finding, ...]) -> Level:
    """The worst, of those that come worst first."""
    return found[0].level if found else "ok"


def _poll(shown: Shown) -> Iterator[Finding]:
    error = shown.record.poll.error
    if error is None:
        return
    is_gone = isinstance(error, NotFound)
    yield Finding("critical" if is_gone else "warning", error.describe(), error.hint)
    if shown.state is None and not is_gone:
        yield Finding(
            "critical", "No current data." if shown.record.state else "Never read since the exporter started."
        )


def _failed(d: Deployment, _: Context) -> Iterator[Finding]:
    if d.status == "Failed":
        yield Finding("critical", "Status is Failed.", f"Look at the replicas' reasons. {LOGS}")


def _unknown(d: Deployment, _: Context) -> Iterator[Finding]:
    if d.status is not None and d.status not in STATUSES:
        yield Finding("warning", f"Status {d.status} is unknown to this version.", "Update together-exporter.")


def _scaled_to_zero(d: Deployment, _: Context) -> Iterator[Finding]:
    if d.status == "ScaledToZero" and d.min_replicas:
        yield Finding(
            "critical",
            f"Scaled to zero, although min_replicas is {d.min_replicas:.10g}.",
            "Check in Together's console who stopped it, and whether a quota or the spending limit is reached.",
        )


def _replicas(d: Deployment, _: Context) -> Iterator[Finding]:
    ready, desired = d.ready_replicas, d.desired_replicas
    if ready is None or not desired or ready >= desired:
        return
    is_rolling = d.status in ROLLING
    if ready == 0:
        severity: Level = "warning" if is_rolling else "critical"
        yield Finding(
            severity, f"No ready replicas, {desired:.10g} desired.", "" if is_rolling else "Look at the replicas."
        )
    elif not is_rolling:
        yield Finding("warning", f"{ready:.10g} of {desired:.10g} replicas are ready.", "Look at the replicas.")


def _rollout(d: Deployment, _: Context) -> Iterator[Finding]:
    updated = replicas_updated(d)
    if d.status == "Updating" and updated is not None:
        listed = sum(r.replica_status != TERMINATED for r in _each(d))
        yield Finding("busy", f"Rolling out: {updated:.10g}/{listed} replicas updated.")
    elif d.status in ROLLING:
        yield Finding("busy", "Rolling out." if d.status == "Updating" else "Scaling.")


def _reasons(d: Deployment, _: Context) -> Iterator[Finding]:
    """Also beside enough ready replicas: a replica that is out of memory comes back, until the next time."""
    reasons = Counter(
        r.replica_status_reason for r in _each(d) if r.replica_status_reason is not None and not r.is_ready
    )
    by_class: dict[ReasonClass, list[str]] = {}
    for reason in sorted(reasons):
        by_class.setdefault(reason_class(reason), []).append(reason)
    for name, (one, several, hint) in REASONS.items():
        found = by_class.get(name, [])
        count = sum(reasons[reason] for reason in found)
        if count:
            text = one if count == 1 else several
            yield Finding("warning", f"{_count(count)} {text} ({', '.join(found[:5])}).", hint)


def _not_ready(d: Deployment, _: Context) -> Iterator[Finding]:
    running = sum(
        r.replica_status == "Running" and not r.is_ready and r.replica_status_reason is None for r in _each(d)
    )
    if running and d.status not in ROLLING:
        verb = "is" if running == 1 else "are"
        yield Finding(
            "warning", f"{_count(running)} {verb} running but not ready.", "Check the health check's path and port."
        )


def _preloads(d: Deployment, _: Context) -> Iterator[Finding]:
    failed = sum(r.volume_preload_status == PRELOAD_FAILED for r in _each(d))
    if failed:
        yield Finding(
            "warning", f"{_count(failed)} could not preload the volume.", "Check the volume's name, version and size."
        )


def _secrets(d: Deployment, context: Context) -> Iterator[Finding]:
    expiries: dict[str, float] = {}
    for variable in d.environment_variables or ():
        expiry = variable.value_from_secret_expires_at
        if expiry is not None:
            expiries.setdefault(variable.value_from_secret or f"of variable {variable.name}", expiry)
    for secret, expiry in sorted(expiries.items()):
        left = expiry - context.now
        if left <= 0:
            yield Finding(
                "critical", f"Secret {secret} has expired.", "Set a new value: PATCH /deployments/secrets/ID."
            )
        elif left <= SECRET_WARNING:
            days = left / DAY
            when = f"in {days:.0f} days" if days >= 2 else f"in {left / 3600:.0f} hours"  # noqa: PLR2004 - days
            yield Finding("warning", f"Secret {secret} expires {when}.", "Renew it: PATCH /deployments/secrets/ID.")


def _price(d: Deployment, context: Context) -> Iterator[Finding]:
    if context.prices and d.gpu_count and d.gpu_type is not None and d.gpu_type not in context.prices:
        yield Finding("warning", f"GPU type {d.gpu_type} has no price.", "Add it to gpu_hourly_cost.")


def _each(d: Deployment) -> Iterator[Replica]:
    return iter((d.replica_events or {}).values())


def _count(replicas: int) -> str:
    return "1 replica" if replicas == 1 else f"{replicas} replicas"


RULES: tuple[Rule, ...] = (
    _failed,
    _scaled_to_zero,
    _replicas,
    _reasons,
    _not_ready,
    _preloads,
    _secrets,
    _unknown,
    _price,
    _rollout,
)
