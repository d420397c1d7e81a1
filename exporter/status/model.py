"""Schema of /api/v1/status. Public; docs/status-api.md is generated from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

Level = Literal["critical", "warning", "busy", "ok"]
LEVELS: tuple[Level, ...] = ("critical", "warning", "busy", "ok")  # trouble first

Time = Annotated[str, Field(description="ISO 8601, UTC", json_schema_extra={"format": "date-time"})]


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem or notable state of a deployment."""

    level: Annotated[Level, Field(description="Level of the finding: `critical`, `warning` or `busy`.")]
    message: Annotated[str, Field(description="The finding, in one sentence.")]
    hint: Annotated[str, Field(description="Remediation; empty if no action is required.")] = ""
    alert: Annotated[str | None, Field(description="The corresponding alert; see its runbook.")] = None


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica, as of the last poll."""

    replica: Annotated[str, Field(description="Name of the replica, the label `replica`.")]
    status: Annotated[str | None, Field(description="replica_status.")]
    reason: Annotated[str | None, Field(description="replica_status_reason.")]
    message: Annotated[str | None, Field(description="replica_status_message, cut at 300 characters.")]
    is_ready: Annotated[bool, Field(description="Running, and replica_ready_since is set.")]
    ready_since: Annotated[Time | None, Field(description="replica_ready_since.")]
    first_seen: Annotated[
        Time | None,
        Field(description="When the replica was first observed; null if it is older, or has been ready."),
    ]
    image: Annotated[str | None, Field(description="Image of the replica.")]
    revision: Annotated[str | None, Field(description="Revision of the replica.")]
    volume_preload: Annotated[str | None, Field(description="volume_preload_status.")]


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and the deployments that it scales."""

    project: Annotated[str, Field(description="Value of the label `project`.")]
    queue: Annotated[str, Field(description="Name of the queue, the label `queue`.")]
    waiting: Annotated[int | float | None, Field(description="messages_waiting.")]
    running: Annotated[int | float | None, Field(description="messages_running.")]
    deployments: Annotated[tuple[str, ...], Field(description="Deployments scaled by the queue.")]


@dataclass(frozen=True, slots=True)
class Revision:
    """The current revision, with `revisions: true`."""

    revision: Annotated[str | None, Field(description="revision_id.")]
    number: Annotated[int | float | None, Field(description="revision_number.")]
    action: Annotated[str | None, Field(description="action: create, update, system or rollback.")]
    activated: Annotated[Time | None, Field(description="activated_at.")]
    image: Annotated[str | None, Field(description="image.")]


@dataclass(frozen=True, slots=True)
class Error:
    """Why the last poll failed."""

    reason: Annotated[str, Field(description="As in `together_deployment_poll_error`.")]
    message: Annotated[str, Field(description="The cause; never contains a secret or a response body.")]
    hint: Annotated[str, Field(description="Remediation.")]
    alert: Annotated[str | None, Field(description="The corresponding alert; see its runbook.")]


@dataclass(frozen=True, slots=True)
class LastKnown:
    """The state before it became stale."""

    as_of: Annotated[Time | None, Field(description="When it was read.")]
    status: Annotated[str | None, Field(description="status.")]
    ready_replicas: Annotated[int | float | None, Field(description="ready_replicas.")]
    desired_replicas: Annotated[int | float | None, Field(description="desired_replicas.")]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment. Fields not sent by the API are null."""

    project: Annotated[str, Field(description="Value of the label `project`.")]
    deployment: Annotated[str, Field(description="Name of the deployment, the label `deployment`.")]
    level: Annotated[
        Level,
        Field(description="Worst level of its findings: `critical`, `warning`, `busy`, or `ok` without findings."),
    ]
    findings: Annotated[tuple[Finding, ...], Field(description="Findings, worst first.")]
    poll_success: Annotated[bool, Field(description="Whether the last poll succeeded.")]
    error: Annotated[Error | None, Field(description="Error of the last poll.")]
    last_success: Annotated[Time | None, Field(description="Time of the last successful poll.")]
    age_seconds: Annotated[float | None, Field(description="The age of the last successful poll, in seconds.")]
    last_known: Annotated[
        LastKnown | None,
        Field(description="The last known state once it is stale; the fields below are null then. Else null."),
    ] = None
    has_state: Annotated[bool, Field(description="Whether the current state is known.")] = False
    id: Annotated[str | None, Field(description="The API's ID.")] = None
    url: Annotated[str | None, Field(description="The deployment's URL in the API; needs the API key.")] = None
    status: Annotated[str | None, Field(description="status.")] = None
    status_since: Annotated[Time | None, Field(description="When the current status was first observed.")] = None
    saw_status_change: Annotated[
        bool,
        Field(
            description="Whether the status change was observed; if false, the status may be older than status_since."
        ),
    ] = False
    ready_replicas: Annotated[int | float | None, Field(description="ready_replicas.")] = None
    desired_replicas: Annotated[int | float | None, Field(description="desired_replicas.")] = None
    min_replicas: Annotated[int | float | None, Field(description="min_replicas.")] = None
    max_replicas: Annotated[int | float | None, Field(description="max_replicas.")] = None
    gpu_type: Annotated[str | None, Field(description="gpu_type.")] = None
    gpus_per_replica: Annotated[int | float | None, Field(description="gpu_count.")] = None
    image: Annotated[str | None, Field(description="image.")] = None
    revision: Annotated[str | None, Field(description="The current revision.")] = None
    changed: Annotated[
        Revision | None, Field(description="The current revision's details, with `revisions: true`.")
    ] = None
    queue: Annotated[str | None, Field(description="Queue that scales the deployment.")] = None
    labels: Annotated[
        dict[str, str], Field(description="Configured labels, with their exported names.", default_factory=dict)
    ] = field(default_factory=dict)
    replicas_listed: Annotated[
        int | None, Field(description="Number of replicas listed by the API, including old revisions.")
    ] = None
    replicas_not_terminated: Annotated[
        int | None, Field(description="Number of listed replicas whose status is not Terminated.")
    ] = None
    replicas_updated: Annotated[
        int | float | None, Field(description="Number of those with the current revision; null while it is unknown.")
    ] = None
    replicas: Annotated[
        tuple[Replica, ...], Field(description="The first 200 listed replicas, those not ready first.")
    ] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """One project: its configuration and its last poll."""

    project: Annotated[str, Field(description="Value of the label `project`.")]
    poll_success: Annotated[
        bool | None, Field(description="As `together_project_poll_success`; null before the first poll has ended.")
    ]
    deployments: Annotated[int, Field(description="Number of deployments with current state.")]
    base_url: Annotated[str, Field(description="base_url, as configured.")]
    fetch: Annotated[Literal["each", "list"], Field(description="fetch, as configured.")]
    poll_interval_seconds: Annotated[float, Field(description="poll_interval, as configured.")]
    last_poll: Annotated[Time | None, Field(description="When the last poll ended, successful or not.")]
    next_poll: Annotated[Time | None, Field(description="When the next poll is due.")]
    error: Annotated[Error | None, Field(description="Why the project cannot be read; null if it can.")]
    is_polled_here: Annotated[
        bool, Field(description="False if all its configured deployments belong to other shards.")
    ] = True


@dataclass(frozen=True, slots=True)
class Status:
    """The complete status."""

    version: Annotated[str, Field(description="The exporter's version.")]
    now: Annotated[Time, Field(description="The current time.")]
    started: Annotated[Time, Field(description="When the exporter started.")]
    ready: Annotated[bool, Field(description="Whether every project has been polled once, as reported by /-/ready.")]
    configuration_error: Annotated[
        str | None, Field(description="Why the current configuration was rejected; the previous one stays active.")
    ]
    shard_index: Annotated[int, Field(description="Index of this exporter's shard, from 0.")]
    shard_total: Annotated[int, Field(description="Number of shards.")]
    levels: Annotated[
        dict[Level, int],
        Field(description="Number of deployments by level; a project that cannot be read counts as one `critical`."),
    ]
    projects: Annotated[tuple[Project, ...], Field(description="The projects, by name.")]
    queues: Annotated[tuple[Queue, ...], Field(description="Polled queues, by project and name.")]
    deployments: Annotated[tuple[Deployment, ...], Field(description="Deployments by level, project and name.")]


STATUS = TypeAdapter(Status)
DEPLOYMENT = TypeAdapter(Deployment)
