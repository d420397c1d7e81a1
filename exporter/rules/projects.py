"""Alerts about projects: queues, secrets, API keys, polls."""

from __future__ import annotations

from exporter.rules.alert import DEPLOYMENT_ID, LAST_SUCCESS, NOT_FOUND, PROJECT, READABLE, Alert, one, pluralize

QUEUE_ID = f"{PROJECT}: queue {{{{ $labels.queue }}}}"
BY_NAME = "<project>, secret"
EXPIRY = "together_deployment_secret_expiry_timestamp_seconds"
EXPIRES = f"min by ({BY_NAME}) ({EXPIRY})"
LAST_EXPIRES = f"min by ({BY_NAME}) (last_over_time({EXPIRY}[<memory>]))"
LAST_SEEN = f"max by ({BY_NAME}) (max_over_time(timestamp({EXPIRY})[<memory>:<minute>]))"
POLLS = f"polls of {{{{ if $value }}}}{pluralize('deployment')}{{{{ else }}}}all deployments{{{{ end }}}}"
QUEUE_INFO = one("together_deployment_queue_info", "queue")
TARGET = 'together_deployment_autoscaling_target{metric="QueueBacklogPerWorker"}'
NOT_DELETED = "unless on (<deployment>) together:deployment_deleted"
LIMITED = '="rate_limited"'
LIMITED_SHARE = "{{ if eq $value 1.0 }}polls{{ else }}{{ $value | humanizePercentage }} of requests{{ end }}"
IS_SHARDED = "max by (<keep>) (together_exporter_shards) > 1"
REQUESTS = "together_exporter_api_requests_total"


def _per_queue(operation: str, metric: str) -> str:
    """Aggregates over the deployments scaled by the queue."""
    return f"{operation} by (<queue>) ({QUEUE_INFO} * on (<deployment>) group_left () {one(metric)})"


def _project_error(reasons: str) -> str:
    failed = f"max by (<project>) (together_project_poll_error{{reason{reasons}}}) == 1"
    return f"{failed}\nunless on (<project>) ({READABLE} == 1 unless on (<keep>) {IS_SHARDED})"


SECRET_ALERTS = (
    Alert(
        "TogetherSecretExpired",
        "critical",
        "2m",
        f"time() - {EXPIRES} >= 0\n"
        # The API may leave it out once the secret is deleted, which is when it expires.
        f"or time() - (\n"
        f"  min by ({BY_NAME}) (\n"
        f"    last_over_time({EXPIRY}[<memory>])\n"
        "    and on (<deployment>) together_deployment_info\n"
        f"    unless on (<deployment>, variable) {EXPIRY}\n"
        f"  ) <= on ({BY_NAME}) {LAST_SEEN} + 120 >= on ({BY_NAME}) {LAST_SEEN} - 600\n"
        f") unless on ({BY_NAME}) {EXPIRES}",
        "Secret used by deployments has expired.",
        f"{PROJECT}: secret {{{{ $labels.secret }}}} expired {{{{ $value | humanizeDuration }}}} ago.",
        by=BY_NAME,
        last_value=f"time() - {LAST_EXPIRES}\nunless on ({BY_NAME}) {EXPIRES}",
    ),
    Alert(
        "TogetherSecretExpires",
        "warning",
        "10m",
        f"0 < {EXPIRES} - time() < <secret_expires_seconds>",
        "Secret used by deployments is about to expire.",
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
        "Queue has waiting jobs but no running jobs.",
        f"{QUEUE_ID}: {pluralize('job')} waiting and 0 running for <for>.",
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
        "Queue backlog exceeds the target with deployments at their maximum.",
        f'{QUEUE_ID}: {{{{ printf "%.1f" $value }}}} jobs per replica with deployments at their maximum for <for>.',
        by="<queue>",
    ),
)
POLL_ALERTS = (
    Alert(
        "TogetherKeyRefused",
        "critical",
        "5m",
        _project_error('=~"unauthorized|forbidden"'),
        "API rejects the project's key.",
        f"{PROJECT}: API key rejected for <for>.",
        by="<project>",
    ),
    Alert(
        "TogetherSpendingLimitReached",
        "critical",
        "5m",
        _project_error('="payment_required"'),
        "Project has reached its spending limit.",
        f"{PROJECT}: API returned 402 Payment Required for <for>.",
        by="<project>",
    ),
    Alert(
        "TogetherDataStale",
        "critical",
        "2m",
        "(\n"
        f"  time() - min by (<project>) (\n    {one(LAST_SUCCESS)}\n    {NOT_DELETED}\n  )\n"
        # An exporter that was restarted during an outage has read nothing yet.
        f"  or time() - max by (<project>) (\n    last_over_time({LAST_SUCCESS}[<memory>])\n    {NOT_DELETED}\n  )\n"
        f"  and on (<project>) {READABLE} == 0\n"
        f"  unless on (<project>) {LAST_SUCCESS}\n"
        ") > <data_stale_seconds>",
        "Deployment data is stale.",
        f"{PROJECT}: last successful poll of a deployment was {{{{ $value | humanizeDuration }}}} ago.",
        by="<project>",
    ),
    Alert(
        "TogetherPollsFailing",
        "warning",
        "10m",
        "count by (<project>) (\n"
        f"  {one('together_deployment_poll_success')} == 0\n"
        f"  unless on (<deployment>) {NOT_FOUND}\n"
        f")\nor on (<project>) {READABLE} == 0",
        "Polls of deployments are failing.",
        f"{PROJECT}: {POLLS} failing for <for>.",
        by="<project>",
    ),
    Alert(
        "TogetherRateLimited",
        "warning",
        "15m",
        f'sum by (<project>) (rate({REQUESTS}{{code="429"}}[<rate_limited_window>]))\n'
        f"/ on (<project>) sum by (<project>) (rate({REQUESTS}[<rate_limited_window>])) > <rate_limited_ratio>\n"
        # requests may be rarer than the window, at the API's own request
        f"or on (<project>) {_project_error(LIMITED)}",
        "API is rate limiting the exporter.",
        f"{PROJECT}: {LIMITED_SHARE} answered with 429 Too Many Requests for <for>.",
        by="<project>",
    ),
    Alert(
        "TogetherProjectEmpty",
        "warning",
        "15m",
        "max by (<project>) (together_project_deployments) == 0\nand on (<project>) together:project_readable\n"
        "unless on (<project>) together_deployment_poll_success == 0",
        "Project has no deployments.",
        f"{PROJECT}: polls succeed but return no deployments for <for>.",
        by="<project>",
    ),
    Alert(
        "TogetherDeploymentNotFound",
        "warning",
        "10m",
        NOT_FOUND,
        "Configured deployment does not exist.",
        f"{DEPLOYMENT_ID}: not found by the API for <for>.",
    ),
    Alert(
        "TogetherSeriesDropped",
        "warning",
        "15m",
        "max by (<project>, reason) (together_project_items_dropped) > 0",
        "Exporter omits items returned by the API.",
        f"{PROJECT}: {pluralize('item')} omitted from /metrics ({{{{ $labels.reason }}}}) for <for>.",
        by="<project>, reason",
    ),
)
