"""THE table: every metric about deployments, one row each, in the order of /metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from exporter.api.models import Deployment, Replica
from exporter.metrics.family import Family, Group, Sample, current, each, info, labelled, state, value
from exporter.records import OTHER, ProjectRecord, Record

STATUSES = ("Updating", "Scaling", "Ready", "Failed", "ScaledToZero")
REPLICA_STATUSES = ("Running", "Waiting", "Terminated")
PRELOAD_STATUSES = ("InProgress", "Completed", "Failed")
NO_GPU = "none"
MAX_STATUSES = 50  # of a deployment's replicas that get series of their own; the API knows three
GIB = 2**30  # bytes


def gpu_type(d: Deployment) -> str:
    return d.gpu_type or NO_GPU


def replicas_by_status(d: Deployment) -> Iterator[Sample]:
    """Every known status, and each unknown one that occurs, the rarest together as OTHER where there are too many;
    nothing where the API sends no replica_events."""
    if d.replica_events is None:
        return
    counts = Counter([r.replica_status for r in d.replica_events.values() if r.replica_status is not None])
    if len(counts) > MAX_STATUSES:
        kept = Counter(dict(counts.most_common(MAX_STATUSES)))
        counts = kept + Counter({OTHER: counts.total() - kept.total()})
    for status in dict.fromkeys((*REPLICA_STATUSES, *sorted(counts))):
        yield (status,), float(counts[status])


def replicas_updated(d: Deployment) -> float | None:
    revision = d.revision
    if d.replica_events is None or revision is None:
        return None
    return [r.revision_id for r in d.replica_events.values()].count(revision)


def autoscaling_target(d: Deployment) -> float | None:
    return d.autoscaling.target if d.autoscaling else None


def autoscaling_metric(d: Deployment) -> str | None:
    return d.autoscaling.metric if d.autoscaling else None


def volumes(d: Deployment) -> Iterator[Sample]:
    for volume in d.volumes or ():
        version = "" if volume.version is None else f"{volume.version:.0f}"
        yield (volume.name or "", volume.mount_path or "", version), 1.0


def secret_expiries(d: Deployment) -> Iterator[Sample]:
    for variable in d.environment_variables or ():
        if variable.value_from_secret_expires_at is not None:
            yield (variable.name or "",), variable.value_from_secret_expires_at


def status_changes(record: Record) -> Iterator[Sample]:
    """Every known status from 0, for as long as the deployment's state is shown."""
    if record.state is not None:
        for status, count in {**dict.fromkeys(STATUSES, 0), **record.status_changes}.items():
            yield (status,), float(count)


def queue_jobs(record: Record) -> Iterator[Sample]:
    if record.queue is not None:
        for name, count in (("waiting", record.queue.messages_waiting), ("running", record.queue.messages_running)):
            if count is not None:
                yield (name,), count


DEPLOYMENT: Group[Deployment] = Group(
    "deployment",
    ("project", "deployment"),
    (
        Family(
            "together_deployment_replicas_ready",
            "Replicas ready to serve, as of the last poll (ready_replicas).",
            value(lambda d: d.ready_replicas),
        ),
        Family(
            "together_deployment_replicas_desired",
            "Replicas the orchestrator is targeting, as of the last poll (desired_replicas).",
            value(lambda d: d.desired_replicas),
        ),
        Family(
            "together_deployment_replicas_min",
            "Fewest replicas the deployment may be scaled to, as of the last poll (min_replicas).",
            value(lambda d: d.min_replicas),
        ),
        Family(
            "together_deployment_replicas_max",
            "Most replicas the deployment may be scaled to, as of the last poll (max_replicas).",
            value(lambda d: d.max_replicas),
        ),
        Family(
            "together_deployment_status",
            "1 for the deployment's status as of the last poll, 0 for the other known ones (status).",
            state(STATUSES, lambda d: d.status),
            labels=("status",),
        ),
        Family(
            "together_deployment_gpus_per_replica",
            "GPUs each replica has, as of the last poll; gpu_type is none without one (gpu_count).",
            labelled(gpu_type, lambda d: d.gpu_count),
            labels=("gpu_type",),
        ),
        Family(
            "together_deployment_info",
            "Always 1; what of the deployment changes with a rollout, as of the last poll (id, image, gpu_type, "
            "capacity_type, and revision from environment_variables).",
            info(lambda d: d.id, lambda d: d.image, gpu_type, lambda d: d.capacity_type, lambda d: d.revision),
            labels=("id", "image", "gpu_type", "capacity_type", "revision"),
        ),
        Family(
            "together_deployment_cpu_cores",
            "Processor cores each replica has, as of the last poll (cpu).",
            value(lambda d: d.cpu),
        ),
        Family(
            "together_deployment_memory_bytes",
            "Memory each replica has, in bytes, as of the last poll (memory, which the API gives in GiB).",
            value(lambda d: None if d.memory is None else d.memory * GIB),
        ),
        Family(
            "together_deployment_storage_bytes",
            "Storage each replica has, in bytes, as of the last poll (storage, in GiB by the SDK's documentation; the "
            "API's response schema leaves the unit open).",
            value(lambda d: None if d.storage is None else d.storage * GIB),
        ),
        Family(
            "together_deployment_created_timestamp_seconds",
            "When the deployment was created, in seconds since 1970, as of the last poll (created_at).",
            value(lambda d: d.created_at),
        ),
        Family(
            "together_deployment_updated_timestamp_seconds",
            "When the deployment was last updated, in seconds since 1970, as of the last poll (updated_at).",
            value(lambda d: d.updated_at),
        ),
        Family(
            "together_deployment_autoscaling_target",
            "The value of `metric` that autoscaling aims at, as of the last poll; absent while it is off "
            "(autoscaling.target).",
            labelled(autoscaling_metric, autoscaling_target),
            labels=("metric",),
        ),
        Family(
            "together_deployment_volume_info",
            "Always 1 for each mounted volume, as of the last poll (volumes).",
            each(volumes),
            labels=("volume", "mount_path", "version"),
        ),
        Family(
            "together_deployment_secret_expiry_timestamp_seconds",
            "When the secret behind an environment variable expires and is deleted, in seconds since 1970, as of the "
            "last poll (environment_variables[].value_from_secret_expires_at).",
            each(secret_expiries),
            labels=("variable",),
        ),
        Family(
            "together_deployment_replicas",
            "Replicas listed in each replica status, those of old rollouts included, as of the last poll "
            "(replica_events[].replica_status).",
            each(replicas_by_status),
            labels=("status",),
        ),
        Family(
            "together_deployment_replicas_updated",
            "Replicas that run the deployment's current revision, as of the last poll; absent where the API does not "
            "name one (replica_events[].revision_id).",
            value(replicas_updated),
        ),
    ),
)

REPLICA: Group[Replica] = Group(
    "replica",
    ("project", "deployment", "replica"),
    (
        Family(
            "together_replica_status",
            "1 for the replica's status as of the last poll, 0 for the other known ones (replica_status).",
            state(REPLICA_STATUSES, lambda r: r.replica_status),
            labels=("status",),
        ),
        Family(
            "together_replica_status_reason",
            "1 while the API gives a reason for the replica's status, such as CrashLoopBackOff, as of the last poll "
            "(replica_status_reason).",
            current(lambda r: r.replica_status_reason),
            labels=("reason",),
        ),
        Family(
            "together_replica_ready",
            "1 if the replica is Running and has been ready since some moment, else 0, as of the last poll "
            "(replica_status, replica_ready_since).",
            value(lambda r: r.is_ready),
        ),
        Family(
            "together_replica_ready_timestamp_seconds",
            "Since when the replica has been ready, in seconds since 1970, as of the last poll (replica_ready_since).",
            value(lambda r: r.replica_ready_since),
        ),
        Family(
            "together_replica_info",
            "Always 1; the image and the revision the replica runs, as of the last poll (image, revision_id).",
            info(lambda r: r.image, lambda r: r.revision_id),
            labels=("image", "revision"),
        ),
        Family(
            "together_replica_volume_preload_status",
            "1 for the status of the replica's volume preload as of the last poll, 0 for the other known ones; absent "
            "without a preload (volume_preload_status).",
            state(PRELOAD_STATUSES, lambda r: r.volume_preload_status),
            labels=("status",),
        ),
        Family(
            "together_replica_volume_preload_started_timestamp_seconds",
            "When the replica's volume preload started, in seconds since 1970, as of the last poll "
            "(volume_preload_started_at).",
            value(lambda r: r.volume_preload_started_at),
        ),
        Family(
            "together_replica_volume_preload_completed_timestamp_seconds",
            "When the replica's volume preload completed, in seconds since 1970, as of the last poll "
            "(volume_preload_completed_at).",
            value(lambda r: r.volume_preload_completed_at),
        ),
    ),
)

HISTORY: Group[Record] = Group(
    "deployment, beside its own answer",
    ("project", "deployment"),
    (
        Family(
            "together_deployment_status_changes_total",
            "Changes into each status that this exporter saw from one poll to the next: a lower bound, since what "
            "happened between two polls or while it was down is not counted (status).",
            each(status_changes),
            labels=("status",),
            type="counter",
        ),
        Family(
            "together_queue_jobs",
            "Jobs in the queue that scales the deployment, as of the last poll (messages_waiting, messages_running).",
            each(queue_jobs),
            labels=("state",),
        ),
    ),
)

POLL: Group[Record] = Group(
    "deployment's last poll",
    ("project", "deployment"),
    (
        Family(
            "together_deployment_poll_success",
            "1 if the last poll of the deployment worked, 0 if it failed: then its other series are the last known "
            "ones, until stale_after. It says nothing of the deployment's health: see together_deployment_status.",
            value(lambda r: r.up),
        ),
        Family(
            "together_deployment_last_success_timestamp_seconds",
            "When the deployment was last polled with success, in seconds since 1970: the age of its other series.",
            value(lambda r: r.succeeded.unix if r.succeeded else None),
        ),
        Family(
            "together_deployment_poll_error",
            "1 while the last poll of the deployment failed, with the reason why; absent while it worked.",
            current(lambda r: r.error.reason if r.error else None),
            labels=("reason",),
        ),
    ),
)

PROJECT: Group[ProjectRecord] = Group(
    "project",
    ("project",),
    (
        Family(
            "together_project_poll_success",
            "1 if the API answered for at least one of the project's deployments at its last poll (that one does not "
            "exist is an answer), 0 if nothing of the project can be read.",
            value(lambda p: p.up),
        ),
        Family(
            "together_project_deployments",
            "Deployments of the project whose state is known and not stale.",
            value(lambda p: p.deployments),
        ),
    ),
)

PRICE: Group[Mapping[str, float]] = Group(
    "configuration",
    (),
    (
        Family(
            "together_gpu_hourly_cost",
            "Your own price of one GPU for one hour, in your own currency, from gpu_hourly_cost in the configuration.",
            each(lambda prices: [((kind,), price) for kind, price in sorted(prices.items())]),
            labels=("gpu_type",),
        ),
    ),
)

GROUPS: tuple[Group[Any], ...] = (
    DEPLOYMENT,
    REPLICA,
    HISTORY,
    POLL,
    PROJECT,
    PRICE,
)  # Any: each group has its own subject
