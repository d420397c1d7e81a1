"""The alerts, one entry each. Every expression takes one of identical exporters (`max by` the identity), so that two of
them fire once, and shards make up the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.prometheus.thresholds import Thresholds, duration


@dataclass(frozen=True)
class Alert:
    """`text`: what is so, with labels and values; the runbook says what to do."""

    name: str
    severity: str
    expr: str
    summary: str
    text: str
    lasts: float = 0.0


DEPLOYMENT = "project, deployment"
WHO = "{{ $labels.project }}/{{ $labels.deployment }}"
KNOWN_STATUSES = "Updating|Scaling|Ready|Failed|ScaledToZero"
KNOWN_REPLICA_STATUSES = "Running|Waiting|Terminated"
IMAGE_OR_VOLUME = (
    "ErrImage.*|Image.*|InvalidImageName|RegistryUnavailable|CreateContainer.*Error|"
    "FailedMount|FailedAttachVolume|.*[Vv]olume.*|.*Mount.*"
)


def one(metric: str, *labels: str) -> str:
    """A gauge of deployments, once for each, however many exporters show it."""
    return f"max by ({', '.join((DEPLOYMENT, *labels))}) ({metric})"


def while_blind(t: Thresholds, condition: Callable[[Callable[[str], str]], str]) -> str:
    """The condition, also as it was last known where polls fail for longer than `stale_after`, or no exporter is there:
    that nothing is known any more must not read as health. A deployment that is gone is not meant."""
    before = condition(lambda metric: f"last_over_time({metric}[{duration(t.memory)}])")
    return (
        f"{condition(str)}\n"
        f"or (\n  {before}\n  and on (project, deployment) ({BLIND})\n)\n"
        f"or (\n  {before}\n  and on () absent(together_exporter_build_info)\n)"
    )


def failing_replicas(replicas: str) -> str:
    """How many of a deployment's replicas are so."""
    return f"count by ({DEPLOYMENT}) (\n  {replicas}\n)"


READY, DESIRED = one("together_deployment_replicas_ready"), one("together_deployment_replicas_desired")
LEAST, MOST = one("together_deployment_replicas_min"), one("together_deployment_replicas_max")
LIVE = one('together_deployment_replicas{status=~"Running|Waiting"}', "status")
UPDATED = one("together_deployment_replicas_updated")
GPUS = one("together_deployment_gpus_per_replica")
QUEUE = one("together_queue_jobs", "state")
STATUS = one("together_deployment_status", "status")
PRELOAD_STARTED = one("together_replica_volume_preload_started_timestamp_seconds", "replica")
NOT_FOUND = one('together_deployment_poll_error{reason="not_found"}') + " == 1"
BLIND = f"{one('together_deployment_poll_success')} == 0 unless {NOT_FOUND} unless {one('together_deployment_status')}"


def status(pattern: str) -> str:
    return one(f'together_deployment_status{{status=~"{pattern}"}}', "status") + " == 1"


def preload(state: str) -> str:
    return one(f'together_replica_volume_preload_status{{status="{state}"}}', "replica") + " == 1"


def deployment_alerts(t: Thresholds) -> Iterator[Alert]:
    yield Alert(
        "TogetherDeploymentFailed",
        "critical",
        while_blind(t, lambda as_of: one(as_of('together_deployment_status{status="Failed"}')) + " == 1"),
        "A deployment is Failed.",
        f"{WHO} has the status Failed.",
        t.failed_for,
    )
    yield Alert(
        "TogetherDeploymentNoReadyReplica",
        "critical",
        while_blind(
            t,
            lambda as_of: (
                f"({one(as_of('together_deployment_replicas_ready'))} == 0"
                f" and {one(as_of('together_deployment_replicas_desired'))} > 0)"
            ),
        ),
        "A deployment serves with no replica.",
        f"No replica of {WHO} is ready, though some are desired.",
        t.no_ready_replica_for,
    )
    yield Alert(
        "TogetherDeploymentBelowDesired",
        "warning",
        f"{DESIRED}\n- {READY} > 0",
        "A deployment has had fewer ready replicas than desired for long.",
        f"{WHO} lacks {{{{ $value }}}} of the replicas that are desired.",
        t.below_desired_for,
    )
    yield Alert(
        "TogetherDeploymentBelowMinimum",
        "warning",
        f"{LEAST}\n- {READY} > 0",
        "A deployment has fewer ready replicas than its minimum.",
        f"{WHO} lacks {{{{ $value }}}} ready replicas to its minimum.",
        t.below_minimum_for,
    )
    yield Alert(
        "TogetherDeploymentRolloutStuck",
        "warning",
        f"max by ({DEPLOYMENT}) (\n  {status('Updating|Scaling')}\n)",
        "A deployment has been Updating or Scaling for long.",
        f"{WHO} is still Updating or Scaling.",
        t.rollout_for,
    )
    yield Alert(
        "TogetherDeploymentRevisionsMixed",
        "warning",
        f"sum by ({DEPLOYMENT}) (\n  {LIVE}\n)\n- {UPDATED} > 0",
        "Old and new revisions of a deployment have run side by side for long.",
        f"{{{{ $value }}}} of the replicas of {WHO} are not of its current revision.",
        t.mixed_revisions_for,
    )
    yield Alert(
        "TogetherDeploymentAtMaximum",
        "info",
        f"{DESIRED}\n>= {MOST}\n> {LEAST}",
        "A deployment has been at its maximum for long.",
        f"{WHO} has been scaled to its maximum of {{{{ $value }}}} replicas.",
        t.at_maximum_for,
    )
    yield Alert(
        "TogetherDeploymentFlapping",
        "warning",
        f"sum by ({DEPLOYMENT}) (\n  {one(changes(t), 'status')}\n) > {t.flapping_changes}",
        "A deployment's status changes again and again.",
        f'The status of {WHO} changed {{{{ printf "%.0f" $value }}}} times in {duration(t.flapping_window)}.',
    )
    yield Alert(
        "TogetherDeploymentScaledToZero",
        "critical",
        f"max by ({DEPLOYMENT}) (\n  {status('ScaledToZero')}\n)\nand {LEAST} > 0",
        "A deployment is scaled to zero though its minimum is above 0.",
        f"{WHO} is ScaledToZero, though its minimum is above 0.",
        t.scaled_to_zero_for,
    )
    yield Alert(
        "TogetherDeploymentGPUsIdle",
        "info",
        f"{DESIRED}\n* {GPUS} > 0\nand sum by ({DEPLOYMENT}) (\n  {QUEUE}\n) == 0",
        "A deployment has held GPUs for long while its queue is empty.",
        f"{WHO} holds {{{{ $value }}}} GPUs, and its queue is empty.",
        t.idle_for,
    )
    yield Alert(
        "TogetherSecretExpires",
        "warning",
        f"{one('together_deployment_secret_expiry_timestamp_seconds', 'variable')}\n- time() < {t.secret_expires_in:g}",
        "A deployment's secret is about to expire.",
        f"The secret in {{{{ $labels.variable }}}} of {WHO} expires in {{{{ humanizeDuration $value }}}}.",
    )
    yield Alert(
        "TogetherUnknownStatus",
        "info",
        f"{one(f'together_deployment_status{{status!~{KNOWN_STATUSES!r}}}', 'status')} == 1\n"
        f"or {one(f'together_deployment_replicas{{status!~{KNOWN_REPLICA_STATUSES!r}}}', 'status')} > 0",
        "A status has come up that neither the exporter nor these rules know.",
        f"{WHO} has the status {{{{ $labels.status }}}}, of which no rule knows whether it is good.",
        t.unknown_status_for,
    )


def replica_alerts(t: Thresholds) -> Iterator[Alert]:
    reason, window = "together_replica_status_reason", duration(t.crash_window)
    crashing = one(f'max_over_time({reason}{{reason="CrashLoopBackOff"}}[{window}])', "replica")
    yield Alert(
        "TogetherReplicaCrashLooping",
        "warning",
        failing_replicas(f"{crashing} == 1"),
        "Replicas of a deployment crash again and again.",
        f"{{{{ $value }}}} of the replicas of {WHO} crash again and again.",
        t.crash_for,
    )
    yield Alert(
        "TogetherReplicaImageOrVolume",
        "warning",
        failing_replicas(one(f'{reason}{{reason=~"{IMAGE_OR_VOLUME}"}}', "replica") + " == 1"),
        "Replicas of a deployment wait for their image or volume.",
        f"{{{{ $value }}}} of the replicas of {WHO} wait for their image or volume.",
        t.image_or_volume_for,
    )
    yield Alert(
        "TogetherReplicaPreloadFailed",
        "warning",
        failing_replicas(preload("Failed")),
        "Replicas of a deployment could not preload their volume.",
        f"{{{{ $value }}}} of the replicas of {WHO} could not preload their volume.",
        t.preload_failed_for,
    )
    yield Alert(
        "TogetherReplicaPreloadSlow",
        "warning",
        failing_replicas(f"time() - {PRELOAD_STARTED} > {t.preload_takes:g}\n  and {preload('InProgress')}"),
        "Replicas of a deployment take long to preload their volume.",
        f"{{{{ $value }}}} of the replicas of {WHO} have been preloading for more than {duration(t.preload_takes)}.",
    )


def polling_alerts(t: Thresholds) -> Iterator[Alert]:
    yield Alert(
        "TogetherDeploymentNotFound",
        "warning",
        NOT_FOUND,
        "A configured deployment does not exist.",
        f"The API does not know {WHO}, which the exporter's configuration names.",
        t.not_found_for,
    )
    yield Alert(
        "TogetherPollsFailing",
        "warning",
        f"count by (project) (\n  {one('together_deployment_poll_success')} == 0\n  unless {NOT_FOUND}\n)\n"
        "or max by (project) (together_project_poll_success) == 0",
        "Polls of a project fail.",
        "The exporter does not get the state of deployments of {{ $labels.project }}; it shows the last known one.",
        t.polls_failing_for,
    )
    failures = 'together_exporter_poll_failures_total{reason=~"unauthorized|forbidden"}'
    window = duration(t.key_refused_window)
    yield Alert(
        "TogetherKeyRefused",
        "critical",
        f"sum by (project) (rate({failures}[{window}])) > 0",
        "The API refuses a project's key.",
        "The API refuses the key of {{ $labels.project }}, or there is none.",
        t.key_refused_for,
    )
    requests, window = "together_exporter_api_requests_total", duration(t.rate_limited_window)
    yield Alert(
        "TogetherRateLimited",
        "warning",
        f'sum by (project) (rate({requests}{{code="429"}}[{window}])) > 0',
        "The API answers that there are too many requests.",
        "The API has answered 429 to requests for {{ $labels.project }} for long.",
        t.rate_limited_for,
    )
    last = one("together_deployment_last_success_timestamp_seconds")
    yield Alert(
        "TogetherDataStale",
        "critical",
        f"max by (project) (\n  time() - {last}\n  unless {NOT_FOUND}\n) > {t.stale_after:g}",
        "What is known of a project's deployments is old.",
        "The oldest state of a deployment of {{ $labels.project }} is of {{ humanizeDuration $value }} ago.",
    )


def exporter_alerts(t: Thresholds) -> Iterator[Alert]:
    yield Alert(
        "TogetherExporterDown",
        "critical",
        "absent(together_exporter_build_info)",
        "No exporter is scraped.",
        "Prometheus scrapes no together-exporter: nothing is known of any deployment, and no other alert can fire.",
        t.exporter_down_for,
    )
    yield Alert(
        "TogetherExporterInstanceDown",
        "warning",
        f'up{{job="{t.job}"}} == 0',
        "An exporter cannot be scraped.",
        "Prometheus cannot scrape the exporter {{ $labels.instance }}.",
        t.exporter_down_for,
    )
    yield Alert(
        "TogetherShardMissing",
        "critical",
        "max by (job) (together_exporter_shards)\n"
        "- count by (job) (\n  count by (job, index) (together_exporter_shard_info)\n) > 0",
        "A shard is not there: nobody looks after its deployments.",
        "{{ $value }} of the shards of {{ $labels.job }} are missing.",
        t.shard_missing_for,
    )
    yield Alert(
        "TogetherConfigReloadFailed",
        "warning",
        "min by (job) (together_exporter_config_last_reload_successful) == 0",
        "An exporter does not run the configuration that it was given.",
        "The last reload of an exporter of {{ $labels.job }} was refused; the one before it is still running.",
        t.reload_failed_for,
    )
    yield Alert(
        "TogetherSeriesDropped",
        "warning",
        f"sum by (reason) (increase(together_exporter_series_dropped_total[{duration(t.dropped_window)}])) > 0",
        "The exporter leaves out something of what the API says.",
        "Something of the API's answers is left out: {{ $labels.reason }}.",
        t.dropped_for,
    )


def changes(t: Thresholds) -> str:
    return f"increase(together_deployment_status_changes_total[{duration(t.flapping_window)}])"
