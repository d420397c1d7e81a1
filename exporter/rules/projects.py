"""Alerts about what a project's deployments share: queues, secrets, the API key, the polls."""

from __future__ import annotations

from exporter.rules.alert import NOT_FOUND, PROJECT, WHO, Alert, counted, one

QUEUE_WHO = f"{PROJECT}: queue {{{{ $labels.queue }}}}"
BY_NAME = "<project>, secret"
EXPIRY = "together_deployment_secret_expiry_timestamp_seconds"
EXPIRES = f"min by ({BY_NAME}) ({EXPIRY})"
POLLS = f"polls of {{{{ if $value }}}}{counted('deployment')}{{{{ else }}}}all deployments{{{{ end }}}}"
QUEUE_INFO = one("together_deployment_queue_info", "queue")
TARGET = 'together_deployment_autoscaling_target{metric="QueueBacklogPerWorker"}'
REQUESTS = "together_exporter_api_requests_total"


def _per_queue(operation: str, metric: str) -> str:
    """Over the deployments that the queue scales."""
    return f"{operation} by (<queue>) ({QUEUE_INFO} * on (<deployment>) group_left () {one(metric)})"


def _project_error(reasons: str) -> str:
    return f"max by (<project>) (together_project_poll_error{{reason{reasons}}}) == 1"


SECRET_ALERTS = (
    Alert(
        "TogetherSecretExpired",
        "critical",
        "2m",
        f"time() - {EXPIRES} >= 0",
        "A secret of deployments has expired.",
        f"{PROJECT}: secret {{{{ $labels.secret }}}} expired {{{{ $value | humanizeDuration }}}} ago.",
        by=BY_NAME,
        known=f"time() - min by ({BY_NAME}) (last_over_time({EXPIRY}[<memory>]))\nunless on ({BY_NAME}) {EXPIRES}",
    ),
    Alert(
        "TogetherSecretExpires",
        "warning",
        "10m",
        f"0 < {EXPIRES} - time() < <secret_expires_seconds>",
        "A secret of deployments is about to expire.",
        f"{PROJECT}: secret {{{{ $labels.secret }}}} expires in {{{{ $value | humanizeDuration }}}}.",
        by=BY_NAME,
    ),
)
QUEUE_ALERTS = (
    Alert(
        "TogetherQueueStuck",
        "warning",
        "15m",
        'max by (<queue>) (together_queue_jobs{state="waiting"}) > 0\n'
        'and on (<queue>) max by (<queue>) (together_queue_jobs{state="running"}) == 0',
        "Jobs are waiting and none is running.",
        f"{QUEUE_WHO}: {counted('job')} waiting and 0 running for <for>.",
        by="<queue>",
    ),
    Alert(
        "TogetherQueueSaturated",
        "warning",
        "10m",
        "sum by (<queue>) (max by (<queue>, state) (together_queue_jobs))\n"
        f"/ on (<queue>) ({_per_queue('sum', 'together_deployment_replicas_max')} > 0)\n"
        "> on (<queue>) "
        f"{_per_queue('max', TARGET)}\n"
        f"and on (<queue>) {_per_queue('sum', 'together_deployment_replicas_desired')}\n"
        f"  >= on (<queue>) {_per_queue('sum', 'together_deployment_replicas_max')}",
        "The queue is longer than the deployments at their maximum can serve.",
        f'{QUEUE_WHO}: {{{{ printf "%.1f" $value }}}} jobs for each replica at the maximum for <for>.',
        by="<queue>",
    ),
)
POLL_ALERTS = (
    Alert(
        "TogetherKeyRefused",
        "critical",
        "5m",
        _project_error('=~"unauthorized|forbidden"'),
        "The API refuses the project's key.",
        f"{PROJECT}: API key refused for <for>.",
        by="<project>",
    ),
    Alert(
        "TogetherSpendingLimitReached",
        "critical",
        "5m",
        _project_error('="payment_required"'),
        "The project's spending limit is reached.",
        f"{PROJECT}: API answers 402 Payment Required for <for>.",
        by="<project>",
    ),
    Alert(
        "TogetherDataStale",
        "critical",
        "2m",
        "max by (<project>) (\n"
        f"  time() - {one('together_deployment_last_success_timestamp_seconds')}\n"
        f"  unless on (<deployment>) {NOT_FOUND}\n"
        ") > <data_stale_seconds>",
        "Deployments have not been read for too long.",
        f"{PROJECT}: oldest data of a deployment is {{{{ $value | humanizeDuration }}}} old.",
        by="<project>",
    ),
    Alert(
        "TogetherPollsFailing",
        "warning",
        "10m",
        "count by (<project>) (\n"
        f"  {one('together_deployment_poll_success')} == 0\n"
        f"  unless on (<deployment>) {NOT_FOUND}\n"
        ")\nor on (<project>) max by (<project>) (together_project_poll_success) == 0",
        "Polls of deployments are failing.",
        f"{PROJECT}: {POLLS} failing for <for>.",
        by="<project>",
    ),
    Alert(
        "TogetherRateLimited",
        "warning",
        "15m",
        f'sum by (<project>) (rate({REQUESTS}{{code="429"}}[<rate_limited_window>]))\n'
        f"/ on (<project>) sum by (<project>) (rate({REQUESTS}[<rate_limited_window>])) > <rate_limited_ratio>",
        "The API rate-limits the exporter.",
        f"{PROJECT}: {{{{ $value | humanizePercentage }}}} of the requests answered 429 Too Many Requests for <for>.",
        by="<project>",
    ),
    Alert(
        "TogetherProjectEmpty",
        "warning",
        "15m",
        "max by (<project>) (together_project_deployments) == 0\nand on (<project>) together:project_readable",
        "The project has no deployments.",
        f"{PROJECT}: polls work and return no deployments for <for>.",
        by="<project>",
    ),
    Alert(
        "TogetherDeploymentNotFound",
        "warning",
        "10m",
        NOT_FOUND,
        "Configured deployment does not exist.",
        f"{WHO}: not found by the API for <for>.",
    ),
    Alert(
        "TogetherSeriesDropped",
        "warning",
        "15m",
        "max by (<project>, reason) (together_project_items_dropped) > 0",
        "The exporter leaves out some of what the API returns.",
        f"{PROJECT}: {counted('item')} left out of /metrics ({{{{ $labels.reason }}}}) for <for>.",
        by="<project>, reason",
    ),
)
