"""The table of all metrics about deployments, one row each, in the order of /metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.api.models import Deployment, Replica, Revision
from exporter.metrics.family import Family, Group, Sample, current, each, info, labelled, state, unique, value
from exporter.state.history import MAX_STATUSES, OTHER, STATUSES, History
from exporter.state.reasons import CLASSES, reason_class
from exporter.state.records import OwnLabels, Poll, Shown, ShownProject, ShownQueue

REPLICA_STATUSES = ("Running", "Waiting", "Terminated")
PRELOAD_STATUSES = ("InProgress", "Completed", "Failed")
NO_GPU = "none"
TERMINATED = "Terminated"
GIB = 2**30  # bytes


def gpu_type(d: Deployment) -> str:
    return d.gpu_type or NO_GPU


def replicas_by_status(d: Deployment) -> Iterator[Sample]:
    """All known statuses and every unknown one present; above MAX_STATUSES the rarest are merged into OTHER. Empty
    without replica_events, and no 0 while the status of a listed replica is unknown."""
    if d.replica_events is None:
        return
    statuses = d.replica_statuses
    counts = _most_common(statuses, REPLICA_STATUSES)
    for status in dict.fromkeys((*REPLICA_STATUSES, *sorted(counts))):
        if counts[status] or None not in statuses:
            yield (status,), float(counts[status])


def replicas_by_reason(d: Deployment) -> Iterator[Sample]:
    """Every reason present; above MAX_STATUSES the rarest are merged into OTHER."""
    counts = _most_common(r.replica_status_reason for r in d.replicas)
    for reason in sorted(counts):
        yield (reason, reason_class(reason)), float(counts[reason])


def _most_common(texts: Iterable[str | None], known: Sequence[str] = ()) -> Counter[str]:
    """Counts of the known texts and the most common others, independent of their order."""
    counts = Counter([text for text in texts if text is not None])
    if len(counts) <= MAX_STATUSES:
        return counts
    ranked = sorted(counts, key=lambda text: (text not in known, -counts[text], text))
    kept = Counter({text: counts[text] for text in ranked[:MAX_STATUSES]})
    return kept + Counter({OTHER: counts.total() - kept.total()})


def replicas_updated(d: Deployment) -> float | None:
    """None while the revision of a listed replica is unknown."""
    if d.replica_events is None or d.revision is None or None in d.replica_events.values():
        return None
    revisions = [r.revision_id for r in d.replicas if r.replica_status != TERMINATED]
    return None if None in revisions else revisions.count(d.revision)


def autoscaling_target(d: Deployment) -> Iterator[Sample]:
    scaling = d.autoscaling
    if scaling is not None and scaling.target is not None:
        yield (scaling.metric or "", scaling.custom_metric_name or ""), scaling.target


def volumes(d: Deployment) -> Iterator[Sample]:
    for volume in d.volumes or ():
        version = "" if volume.version is None else f"{volume.version:.17g}"
        yield (volume.name or "", volume.mount_path or "", version), 1.0


def model_mounts(d: Deployment) -> Iterator[Sample]:
    for mount in d.model_mounts or ():
        yield (mount.model_id or "", mount.mount_path or "", mount.revision_id or ""), 1.0


def secret_expiries(d: Deployment) -> Iterator[Sample]:
    for variable in d.environment_variables or ():
        if variable.value_from_secret_expires_at is not None:
            labels = (variable.name or "", variable.value_from_secret or "")
            yield labels, variable.value_from_secret_expires_at


def status_changes(history: History) -> Iterator[Sample]:
    for status, count in {**dict.fromkeys(STATUSES, 0), **history.counts.status_changes}.items():
        yield (status,), float(count)


def replicas_ended(history: History) -> Iterator[Sample]:
    for name in CLASSES:
        yield (name,), float(history.counts.ended.get(name, 0))


def startups(history: History) -> Iterator[Sample]:
    yield ("_sum",), history.counts.startup_seconds
    yield ("_count",), float(history.counts.startups)


def queue_jobs(queue: ShownQueue) -> Iterator[Sample]:
    for name, count in (("waiting", queue.counts.messages_waiting), ("running", queue.counts.messages_running)):
        if count is not None:
            yield (name,), count


def own_labels(labels: OwnLabels) -> Iterator[Sample]:
    yield tuple(text for pair in labels for text in pair), 1.0


def items_dropped(project: ShownProject) -> Iterator[Sample]:
    for reason, count in project.dropped.items():
        yield (reason,), float(count)


DEPLOYMENT: Group[Deployment] = Group(
    "deployment",
    ("project", "deployment"),
    (
        Family(
            "together_deployment_replicas_ready",
            "Number of ready replicas (ready_replicas).",
            value(lambda d: d.ready_replicas),
        ),
        Family(
            "together_deployment_replicas_desired",
            "Number of desired replicas (desired_replicas).",
            value(lambda d: d.desired_replicas),
        ),
        Family(
            "together_deployment_replicas_min",
            "Minimum number of replicas (min_replicas).",
            value(lambda d: d.min_replicas),
        ),
        Family(
            "together_deployment_replicas_max",
            "Maximum number of replicas (max_replicas).",
            value(lambda d: d.max_replicas),
        ),
        Family(
            "together_deployment_status",
            "1 for the current status, 0 for all other known statuses (status).",
            state(STATUSES, lambda d: d.status),
            labels=("status",),
        ),
        Family(
            "together_deployment_gpus_per_replica",
            "Number of GPUs per replica; gpu_type is none for deployments without GPUs (gpu_count).",
            labelled(gpu_type, lambda d: d.gpu_count),
            labels=("gpu_type",),
        ),
        Family(
            "together_deployment_info",
            "Information about the deployment, always 1 (id, image, gpu_type, "
            "capacity_type, and revision from environment_variables).",
            info(lambda d: d.id, lambda d: d.image, gpu_type, lambda d: d.capacity_type, lambda d: d.revision),
            labels=("id", "image", "gpu_type", "capacity_type", "revision"),
        ),
        Family(
            "together_deployment_cpu_cores",
            "CPU cores per replica (cpu).",
            value(lambda d: d.cpu),
        ),
        Family(
            "together_deployment_memory_bytes",
            "Memory per replica in bytes (memory, which the API reports in GiB).",
            value(lambda d: None if d.memory is None else d.memory * GIB),
        ),
        Family(
            "together_deployment_storage_bytes",
            "Storage per replica in bytes (storage, documented as GiB by the SDK; the response schema of the API does "
            "not specify a unit).",
            value(lambda d: None if d.storage is None else d.storage * GIB),
        ),
        Family(
            "together_deployment_created_timestamp_seconds",
            "Unix timestamp of the deployment's creation (created_at).",
            value(lambda d: d.created_at),
        ),
        Family(
            "together_deployment_updated_timestamp_seconds",
            "Unix timestamp of the deployment's last update (updated_at).",
            value(lambda d: d.updated_at),
        ),
        Family(
            "together_deployment_autoscaling_target",
            "Target value of the autoscaling metric; absent if autoscaling is off. custom_metric is set only for "
            "metric=CustomMetric (autoscaling).",
            each(autoscaling_target),
            labels=("metric", "custom_metric"),
        ),
        Family(
            "together_deployment_volume_info",
            "Information about a mounted volume, always 1 (volumes).",
            each(volumes),
            labels=("volume", "mount_path", "version"),
        ),
        Family(
            "together_deployment_model_mount_info",
            "Information about a mounted model, always 1 (model_mounts).",
            each(model_mounts),
            labels=("model", "mount_path", "revision"),
        ),
        Family(
            "together_deployment_secret_expiry_timestamp_seconds",
            "Unix timestamp at which the secret of an environment variable expires and is deleted "
            "(environment_variables[].value_from_secret_expires_at).",
            each(secret_expiries),
            labels=("variable", "secret"),
        ),
        Family(
            "together_deployment_replicas",
            "Number of listed replicas by replica status, including replicas of old revisions; no 0 is reported while "
            "the status of a listed replica is unknown (replica_events[].replica_status).",
            each(replicas_by_status),
            labels=("status",),
        ),
        Family(
            "together_deployment_replicas_with_reason",
            "Number of replicas by status reason. class groups related reasons: crash, memory, image, capacity, "
            "volume, config, evicted, starting, completed, other "
            "(replica_events[].replica_status_reason).",
            each(replicas_by_reason),
            labels=("reason", "class"),
        ),
        Family(
            "together_deployment_replicas_updated",
            "Number of replicas of the current revision, excluding Terminated replicas; absent while the revision of "
            "the deployment or of a listed replica is unknown (replica_events[].revision_id).",
            value(replicas_updated),
        ),
        Family(
            "together_deployment_queue_info",
            "Queue that scales the deployment, always 1; for joins with together_queue_jobs. Absent without a queue "
            "(autoscaling.model, else the deployment's name).",
            current(lambda d: d.queue),
            labels=("queue",),
        ),
    ),
)

REPLICA: Group[Replica] = Group(
    "replica",
    ("project", "deployment", "replica"),
    (
        Family(
            "together_replica_status",
            "1 for the current replica status, 0 for all other known statuses (replica_status).",
            state(REPLICA_STATUSES, lambda r: r.replica_status),
            labels=("status",),
        ),
        Family(
            "together_replica_status_reason",
            "1 for the current reason of the replica's status, such as CrashLoopBackOff; absent without a reason "
            "(replica_status_reason).",
            current(lambda r: r.replica_status_reason),
            labels=("reason",),
        ),
        Family(
            "together_replica_ready",
            "1 if the replica is Running and replica_ready_since is set, 0 otherwise "
            "(replica_status, replica_ready_since).",
            value(lambda r: r.is_ready),
        ),
        Family(
            "together_replica_ready_timestamp_seconds",
            "Unix timestamp since which the replica has been ready (replica_ready_since).",
            value(lambda r: r.ready_timestamp),
        ),
        Family(
            "together_replica_info",
            "Image and revision of the replica, always 1 (image, revision_id).",
            info(lambda r: r.image, lambda r: r.revision_id),
            labels=("image", "revision"),
        ),
        Family(
            "together_replica_volume_preload_status",
            "1 for the current status of the volume preload, 0 for all other known statuses; absent without a preload "
            "(volume_preload_status).",
            state(PRELOAD_STATUSES, lambda r: r.volume_preload_status),
            labels=("status",),
        ),
        Family(
            "together_replica_volume_preload_started_timestamp_seconds",
            "Unix timestamp of the start of the volume preload (volume_preload_started_at).",
            value(lambda r: r.volume_preload_started_at),
        ),
        Family(
            "together_replica_volume_preload_completed_timestamp_seconds",
            "Unix timestamp of the completion of the volume preload (volume_preload_completed_at).",
            value(lambda r: r.volume_preload_completed_at),
        ),
    ),
)

HISTORY: Group[History] = Group(
    "deployment, counted between polls",
    ("project", "deployment"),
    (
        Family(
            "together_deployment_status_changes_total",
            "Total number of changes to each status, observed between polls: a lower bound, because changes "
            "that revert between two polls or occur while the exporter is down are not counted (status).",
            each(status_changes),
            labels=("status",),
            type="counter",
        ),
        Family(
            "together_deployment_replicas_started_total",
            "Total number of replicas that appeared after the deployment was first observed: a lower bound, because "
            "short-lived replicas between two polls are not counted (replica_events).",
            value(lambda h: h.counts.started),
            type="counter",
        ),
        Family(
            "together_deployment_replicas_ended_total",
            "Total number of replicas that disappeared, by the class of their last reason (other if none): a lower "
            "bound (replica_events).",
            each(replicas_ended),
            labels=("class",),
            type="counter",
        ),
        Family(
            "together_deployment_readiness_lost_total",
            "Total number of times a replica lost readiness, including a changed ready time: a lower bound "
            "(replica_events[].replica_ready_since).",
            value(lambda h: h.counts.readiness_lost),
            type="counter",
        ),
        Family(
            "together_deployment_replica_startup_seconds",
            "Time from the first observation of a replica to its first readiness, for replicas that appeared after the "
            "deployment was first observed: a lower bound, short by up to one poll interval "
            "(replica_events[].replica_ready_since).",
            each(startups),
            type="summary",
        ),
    ),
)

LABELS: Group[OwnLabels] = Group(
    "deployment, in the configuration",
    ("project", "deployment"),
    (
        Family(
            "together_deployment_labels",
            "Configured labels of the deployment as label_*, always 1 (labels, label_rules and label_variables in the "
            "configuration). Every deployment has one series, even without labels.",
            each(own_labels),
            has_own_labels=True,
        ),
    ),
)

REVISION: Group[Revision] = Group(
    "deployment's current revision",
    ("project", "deployment"),
    (
        Family(
            "together_deployment_revision_info",
            "Current revision and the action that activated it (create, update, system or rollback), always 1; "
            "requires revisions: true (revisions[].revision_id, action).",
            info(lambda r: r.revision_id, lambda r: r.action),
            labels=("revision", "action"),
        ),
        Family(
            "together_deployment_revision_number",
            "Number of the current revision, counted per deployment; requires revisions: true "
            "(revisions[].revision_number).",
            value(lambda r: r.revision_number),
        ),
        Family(
            "together_deployment_revision_activated_timestamp_seconds",
            "Unix timestamp of the current revision's activation; requires revisions: true (revisions[].activated_at).",
            value(lambda r: r.activated_at),
        ),
    ),
)

POLL: Group[Poll] = Group(
    "deployment's last poll",
    ("project", "deployment"),
    (
        Family(
            "together_deployment_poll_success",
            "1 if the last poll of the deployment succeeded, 0 if it failed. After a failure the last known state is "
            "exported until stale_after. For the deployment's health see together_deployment_status.",
            value(lambda poll: poll.error is None),
        ),
        Family(
            "together_deployment_last_success_timestamp_seconds",
            "Unix timestamp of the deployment's last successful poll.",
            value(lambda poll: poll.succeeded.unix if poll.succeeded else None),
        ),
        Family(
            "together_deployment_poll_error",
            "1 for the reason that the deployment's last poll failed; absent if it succeeded.",
            current(lambda poll: poll.error.reason if poll.error else None),
            labels=("reason",),
        ),
    ),
)

PROJECT: Group[ShownProject] = Group(
    "project",
    ("project",),
    (
        Family(
            "together_project_poll_success",
            "1 if the project can be read, 0 otherwise. With fetch: list, the last list request succeeded; with fetch: "
            "each, the last poll of at least one deployment was answered, including with 404.",
            value(lambda p: p.poll.error is None),
        ),
        Family(
            "together_project_poll_error",
            "1 for the reason that the project cannot be read; absent if it can be read.",
            current(lambda p: p.poll.error.reason if p.poll.error else None),
            labels=("reason",),
        ),
        Family(
            "together_project_last_success_timestamp_seconds",
            "Unix timestamp of the project's last successful poll.",
            value(lambda p: p.poll.succeeded.unix if p.poll.succeeded else None),
        ),
        Family(
            "together_project_deployments",
            "Number of deployments with current (not stale) state.",
            value(lambda p: p.deployments),
        ),
        Family(
            "together_project_items_dropped",
            "Number of items of the last poll omitted from /metrics: replicas above max_replicas_per_deployment "
            "(replica_limit), deployments above max_deployments_per_project (deployment_limit) or listed twice "
            "(duplicate_deployment), invalid values (invalid_value), label values truncated to 1,024 characters "
            "(label_length_limit), volumes, models or variables above 1,000 (entry_limit).",
            each(items_dropped),
            labels=("reason",),
        ),
    ),
)

QUEUE: Group[ShownQueue] = Group(
    "queue",
    ("project", "queue"),
    (
        Family(
            "together_queue_jobs",
            "Number of jobs in the queue by state (messages_waiting, messages_running).",
            each(queue_jobs),
            labels=("state",),
        ),
    ),
)

PRICE: Group[Mapping[str, float]] = Group(
    "configuration",
    (),
    (
        Family(
            "together_gpu_hourly_cost",
            "Configured price of one GPU per hour, in any currency (gpu_hourly_cost in the configuration).",
            each(lambda prices: [((kind,), price) for kind, price in sorted(prices.items())]),
            labels=("gpu_type",),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Source:
    """How to get the subjects of a group from a deployment: (additional identity values, subject)."""

    group: Group[Any]
    subjects: Callable[[Shown], Iterable[tuple[tuple[str, ...], Any]]]


@dataclass(frozen=True, slots=True)
class Part:
    """Groups that read the same part of a record; rendered again when the part is a different object."""

    read: Callable[[Shown], object]
    sources: tuple[Source, ...]


PARTS: tuple[Part, ...] = (
    Part(
        lambda shown: shown.state,
        (
            Source(DEPLOYMENT, lambda shown: [((), shown.state.deployment)] if shown.state else []),
            Source(REPLICA, lambda shown: [((name,), r) for name, r in shown.state.replicas] if shown.state else []),
        ),
    ),
    Part(
        lambda shown: shown.revision,
        (Source(REVISION, lambda shown: [((), shown.revision)] if shown.revision else []),),
    ),
    Part(lambda shown: shown.record.labels, (Source(LABELS, lambda shown: [((), shown.record.labels)]),)),
    Part(lambda shown: shown.history, (Source(HISTORY, lambda shown: [((), shown.history)]),)),
    Part(lambda shown: shown.record.poll, (Source(POLL, lambda shown: [((), shown.record.poll)]),)),
)
GROUPS: tuple[Group[Any], ...] = (  # Any: subjects differ by group
    *(source.group for part in PARTS for source in part.sources),
    PROJECT,
    QUEUE,
    PRICE,
)


def series_of(shown: Shown) -> int:
    """Number of series of a deployment."""
    return sum(
        len(unique(family.samples(subject)))
        for part in PARTS
        for source in part.sources
        for _, subject in source.subjects(shown)
        for family in source.group.families
    )
