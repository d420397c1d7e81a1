"""Findings: current problems of a deployment with hints, one function per rule.

Unlike alerts, findings have no `for` duration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.api.errors import NotFound
from exporter.api.models import Deployment
from exporter.metrics.families import TERMINATED, replicas_updated
from exporter.state.history import STATUSES
from exporter.state.reasons import ReasonClass, reason_class
from exporter.state.records import Shown
from exporter.status.model import LEVELS, Finding, Level

ROLLING = frozenset({"Updating", "Scaling"})
PRELOAD_FAILED = "Failed"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0  # s
UNITS = ((DAY, "days"), (HOUR, "hours"))
SECRET_WARNING = 7 * DAY  # before it expires
STALE = "TogetherDataStale"
# The alert for polls that fail with this reason.
ERROR_ALERTS: Mapping[str, str] = {
    "not_found": "TogetherDeploymentNotFound",
    "unauthorized": "TogetherKeyRefused",
    "forbidden": "TogetherKeyRefused",
    "payment_required": "TogetherSpendingLimitReached",
    "rate_limited": "TogetherRateLimited",
    "server_error": "TogetherPollsFailing",
    "timeout": "TogetherPollsFailing",
    "connection": "TogetherPollsFailing",
    "invalid_response": "TogetherPollsFailing",
    "internal_error": "TogetherPollsFailing",
}
REPLICAS_HINT = "Check the replicas."
LOGS_HINT = "Check the logs of the replica."
VOLUME_HINT = "Check the volume's name, version and status."


class ReasonText(NamedTuple):
    """Messages for a class of reasons, for one and for several replicas."""

    one: str
    several: str
    hint: str
    alert: str | None = None


REASONS: Mapping[ReasonClass, ReasonText] = {
    "crash": ReasonText("is crash looping", "are crash looping", LOGS_HINT, "TogetherReplicaCrashLooping"),
    "memory": ReasonText(
        "ran out of memory",
        "ran out of memory",
        "Increase the memory of the deployment, or reduce its memory usage.",
        "TogetherReplicaOutOfMemory",
    ),
    "capacity": ReasonText(
        "has no capacity",
        "have no capacity",
        "Wait, use another GPU type, or request capacity from Together.",
        "TogetherReplicaNoCapacity",
    ),
    "image": ReasonText(
        "cannot pull the image",
        "cannot pull the image",
        "Check the image's name and the registry's credentials.",
        "TogetherReplicaImageOrVolume",
    ),
    "volume": ReasonText(
        "cannot mount its volume", "cannot mount their volume", VOLUME_HINT, "TogetherReplicaImageOrVolume"
    ),
    "config": ReasonText(
        "has an invalid configuration",
        "have an invalid configuration",
        "Check its variables, secrets and command.",
        "TogetherReplicaImageOrVolume",
    ),
    "evicted": ReasonText(
        "was evicted", "were evicted", "A replacement should start. Evictions are rarer with capacity_type stable."
    ),
    "other": ReasonText("is waiting", "are waiting", LOGS_HINT),
}


@dataclass(frozen=True, slots=True)
class Context:
    """`now`: seconds since 1970. `prices`: as configured, by GPU type."""

    now: float
    prices: Mapping[str, float] = field(default_factory=dict)


Rule = Callable[[Deployment, Context], Iterator[Finding]]


def findings(shown: Shown, context: Context) -> tuple[Finding, ...]:
    """Worst first."""
    class_reasons = [*_poll(shown)]
    if shown.state is not None:
        class_reasons += [finding for rule in RULES for finding in rule(shown.state.deployment, context)]
    return tuple(sorted(class_reasons, key=lambda finding: LEVELS.index(finding.level)))


def level(class_reasons: tuple[Finding, ...]) -> Level:
    """The level of the first, which is the worst."""
    return class_reasons[0].level if class_reasons else "ok"


def _poll(shown: Shown) -> Iterator[Finding]:
    error = shown.record.poll.error
    if error is None:
        return
    is_gone = isinstance(error, NotFound)
    yield Finding("critical" if is_gone else "warning", error.describe(), error.hint, ERROR_ALERTS.get(error.reason))
    if shown.state is None and not is_gone:
        was_read = shown.record.poll.succeeded is not None
        message = "No current data." if was_read else "Never read since the exporter started."
        yield Finding("critical", message, alert=STALE)


def _failed(d: Deployment, _: Context) -> Iterator[Finding]:
    if d.status == "Failed":
        hint = f"Check the reasons of the replicas. {LOGS_HINT}"
        yield Finding("critical", "Status is Failed.", hint, "TogetherDeploymentFailed")


def _unknown(d: Deployment, _: Context) -> Iterator[Finding]:
    if d.status is not None and d.status not in STATUSES:
        message = f"Status {d.status} is not known to this version."
        yield Finding("warning", message, "Upgrade together-exporter.", "TogetherUnknownStatus")


def _scaled_to_zero(d: Deployment, _: Context) -> Iterator[Finding]:
    if d.status == "ScaledToZero" and d.min_replicas:
        yield Finding(
            "critical",
            f"Scaled to zero, although min_replicas is {d.min_replicas:.10g}.",
            "Check in Together's console who stopped it, and whether a quota or the spending limit was reached.",
            "TogetherDeploymentScaledToZero",
        )


def _replicas(d: Deployment, _: Context) -> Iterator[Finding]:
    ready, desired = _ready(d), d.desired_replicas
    if ready is None or not desired or ready >= desired:
        return
    is_rolling = d.status in ROLLING
    if ready == 0:
        severity: Level = "warning" if is_rolling else "critical"
        hint = "" if is_rolling else REPLICAS_HINT
        yield Finding(severity, f"No ready replicas, {desired:.10g} desired.", hint, "TogetherDeploymentNoReadyReplica")
    elif not is_rolling:
        message = f"{ready:.10g} of {desired:.10g} replicas are ready."
        yield Finding("warning", message, REPLICAS_HINT, "TogetherDeploymentBelowDesired")


def _ready(d: Deployment) -> float | None:
    """Counted among the listed replicas if the API leaves out ready_replicas; None if it is unknown."""
    if d.ready_replicas is not None or d.replica_events is None or None in d.replica_statuses:
        return d.ready_replicas
    return sum(replica.is_ready for replica in d.replicas)


def _rollout(d: Deployment, _: Context) -> Iterator[Finding]:
    updated = replicas_updated(d)
    if d.status == "Updating" and updated is not None:
        listed = sum(r.replica_status != TERMINATED for r in d.replicas)
        message = f"Rolling out: {updated:.10g}/{listed} replicas updated."
        yield Finding("busy", message, alert="TogetherDeploymentRolloutStuck")
    elif d.status == "Updating":
        yield Finding("busy", "Rolling out.", alert="TogetherDeploymentRolloutStuck")
    elif d.status == "Scaling":
        yield Finding("busy", "Scaling.", alert="TogetherDeploymentBelowDesired")


def _reasons(d: Deployment, _: Context) -> Iterator[Finding]:
    """Reported even with enough ready replicas: an OOMKilled replica restarts and fails again."""
    reasons = Counter(
        r.replica_status_reason for r in d.replicas if r.replica_status_reason is not None and not r.is_ready
    )
    by_class: dict[ReasonClass, list[str]] = {}
    for reason in sorted(reasons):
        by_class.setdefault(reason_class(reason), []).append(reason)
    for name, trouble in REASONS.items():
        class_reasons = by_class.get(name, [])
        count = sum(reasons[reason] for reason in class_reasons)
        if count:
            text = trouble.one if count == 1 else trouble.several
            message = f"{_count(count)} {text} ({', '.join(class_reasons[:5])})."
            yield Finding("warning", message, trouble.hint, trouble.alert)


def _not_ready(d: Deployment, _: Context) -> Iterator[Finding]:
    running = sum(
        r.replica_status == "Running" and not r.is_ready and r.replica_status_reason is None for r in d.replicas
    )
    if running and d.status not in ROLLING:
        message = f"{_count(running)} {'is' if running == 1 else 'are'} running but not ready."
        yield Finding("warning", message, "Check the path and port of the health check.", "TogetherReplicaNotReady")


def _preloads(d: Deployment, _: Context) -> Iterator[Finding]:
    failed = sum(r.volume_preload_status == PRELOAD_FAILED for r in d.replicas)
    if failed:
        message = f"{_count(failed)} failed to preload the volume."
        hint = "Check the volume's name, version and size."
        yield Finding("warning", message, hint, "TogetherReplicaPreloadFailed")


def _secrets(d: Deployment, context: Context) -> Iterator[Finding]:
    expiries: dict[str, float] = {}
    for variable in d.environment_variables or ():
        expiry = variable.value_from_secret_expires_at
        if expiry is not None:
            secret = variable.value_from_secret or f"of variable {variable.name}"
            expiries[secret] = min(expiry, expiries.get(secret, expiry))
    for secret, expiry in sorted(expiries.items()):
        left = expiry - context.now
        if left <= 0:
            hint = "Set a new value with PATCH /deployments/secrets/ID."
            yield Finding("critical", f"Secret {secret} has expired.", hint, "TogetherSecretExpired")
        elif left <= SECRET_WARNING:
            unit, name = next((each for each in UNITS if left >= 2 * each[0]), (MINUTE, "minutes"))
            when = f"{left / unit:.0f} {name}"
            hint = "Renew it with PATCH /deployments/secrets/ID."
            yield Finding("warning", f"Secret {secret} expires in {when}.", hint, "TogetherSecretExpires")


def _price(d: Deployment, context: Context) -> Iterator[Finding]:
    if context.prices and d.gpu_count and d.gpu_type is not None and d.gpu_type not in context.prices:
        yield Finding("warning", f"No price configured for GPU type {d.gpu_type}.", "Add it to gpu_hourly_cost.")


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
