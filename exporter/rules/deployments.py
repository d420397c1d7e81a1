"""Alerts about a deployment as a whole."""

from __future__ import annotations

from exporter.rules.alert import (
    DEPLOYMENT_ID,
    DESIRED,
    GPUS,
    MAX,
    MIN,
    NO_VALUE,
    READY,
    RECREATED,
    REPLICAS,
    Alert,
    is_status,
    last_known,
    one,
    pluralize,
    wanted_for,
)

KNOWN_STATUSES = "Updating|Scaling|Ready|Failed|ScaledToZero"
KNOWN_REPLICA_STATUSES = "Running|Waiting|Terminated"
UPDATED = one("together_deployment_replicas_updated")
LISTED = one('together_deployment_replicas{status!="Terminated"}', "status")
UNKNOWN_STATUS = one(f'together_deployment_status{{status!~"{KNOWN_STATUSES}"}}', "status")
UNKNOWN_REPLICA_STATUS = one(f'together_deployment_replicas{{status!~"{KNOWN_REPLICA_STATUSES}"}}', "status")
MISSING_REPLICAS = "{{ $value }} fewer ready {{ if eq $value 1.0 }}replica{{ else }}replicas{{ end }}"
WHOLE_NUMBER = '{{ printf "%.0f" $value }}'  # increase() extrapolates to fractions
EXISTS = "and on (<deployment>) group by (<deployment>) (together_deployment_info)"  # not deleted within the window
UNSERVED = "together:deployment_unserved"


def _burn(kind: str) -> str:
    """The burn rate is exceeded in both windows, and half of the long window has data."""
    long, short = f"<burn_{kind}_window>", f"<burn_{kind}_short_window>"
    parts = [
        f"avg_over_time({UNSERVED}[{each}]) > <burn_{kind}_factor> * (1 - <availability_target>)"
        for each in (long, short)
    ]
    minutes = f"count_over_time(vector(1)[{long}:<minute>])"
    return "\nand ".join((*parts, f"count_over_time({UNSERVED}[{long}]) > scalar({minutes}) / 2"))


DEPLOYMENT_ALERTS = (
    Alert(
        "TogetherDeploymentFailed",
        "critical",
        "2m",
        is_status('="Failed"'),
        "Deployment has failed.",
        f"{DEPLOYMENT_ID}: in status Failed for <for>.",
        last_value=NO_VALUE,
    ),
    Alert(
        "TogetherDeploymentNoReadyReplica",
        "critical",
        "5m",
        f"{DESIRED}\nand on (<deployment>) {READY} == 0\n{wanted_for('cold_start')}\n{RECREATED}",
        "Deployment has no ready replicas.",
        f"{DEPLOYMENT_ID}: 0 of {{{{ $value }}}} replicas ready for <for>.",
        last_value=last_known("together_deployment_replicas_desired"),
    ),
    Alert(
        "TogetherDeploymentScaledToZero",
        "critical",
        "5m",
        f"{MIN} > 0\nand on (<deployment>) " + is_status('="ScaledToZero"'),
        "Deployment is scaled to zero despite a minimum above 0.",
        f"{DEPLOYMENT_ID}: in status ScaledToZero for <for>, with a minimum of {REPLICAS}.",
        last_value=last_known("together_deployment_replicas_min"),
    ),
    Alert(
        "TogetherDeploymentAvailabilityBurnFast",
        "critical",
        "2m",
        _burn("fast"),
        "Deployment is burning its error budget fast.",
        f"{DEPLOYMENT_ID}: no ready replica for {{{{ $value | humanizePercentage }}}} of the last <burn_fast_window>; "
        "the availability target is <availability_target>.",
        last_value=f"avg_over_time({UNSERVED}[<burn_fast_window>])",
    ),
    Alert(
        "TogetherDeploymentAvailabilityBurnSlow",
        "warning",
        "15m",
        _burn("slow"),
        "Deployment is burning its error budget.",
        f"{DEPLOYMENT_ID}: no ready replica for {{{{ $value | humanizePercentage }}}} of the last <burn_slow_window>; "
        "the availability target is <availability_target>.",
    ),
    Alert(
        "TogetherDeploymentBelowDesired",
        "warning",
        "15m",
        f"{DESIRED}\n- on (<deployment>) {READY} > 0",
        "Deployment has fewer ready replicas than desired.",
        f"{DEPLOYMENT_ID}: {MISSING_REPLICAS} than desired for <for>.",
    ),
    Alert(
        "TogetherDeploymentBelowMinimum",
        "warning",
        "15m",
        f"{MIN}\n- on (<deployment>) {READY} > 0",
        "Deployment has fewer ready replicas than its minimum.",
        f"{DEPLOYMENT_ID}: {MISSING_REPLICAS} than the minimum for <for>.",
    ),
    Alert(
        "TogetherDeploymentRolloutStuck",
        "warning",
        "30m",
        is_status('=~"Updating|Scaling"'),
        "Deployment rollout or scaling is stuck.",
        f"{DEPLOYMENT_ID}: in status Updating or Scaling for <for>.",
    ),
    Alert(
        "TogetherDeploymentRevisionsMixed",
        "warning",
        "30m",
        f"sum by (<deployment>) (\n  {LISTED}\n)\n- on (<deployment>) {UPDATED} > 0",
        "Deployment runs replicas of different revisions.",
        f"{DEPLOYMENT_ID}: {REPLICAS} not on the current revision for <for>.",
    ),
    Alert(
        "TogetherDeploymentReadinessLost",
        "warning",
        "5m",
        "floor(max by (<deployment>) (increase(together_deployment_readiness_lost_total[<readiness_lost_window>])))\n"
        "> on (<deployment>) <readiness_lost_per_replica> * max by (<deployment>) "
        "(max_over_time(together_deployment_replicas_desired[<readiness_lost_window>]))\n"
        f"{EXISTS}",
        "Replicas repeatedly lose readiness.",
        f"{DEPLOYMENT_ID}: replicas lost readiness {WHOLE_NUMBER} times within <readiness_lost_window>.",
    ),
    Alert(
        "TogetherDeploymentFlapping",
        "warning",
        "5m",
        "sum by (<deployment>) (\n"
        f"  {one('increase(together_deployment_status_changes_total[<flapping_window>])', 'status')}\n"
        f") > <flapping_changes>\n{EXISTS}",
        "Deployment status is flapping.",
        f"{DEPLOYMENT_ID}: {WHOLE_NUMBER} status changes within <flapping_window>.",
    ),
    Alert(
        "TogetherDeploymentAtMaximum",
        "info",
        "2h",
        f"{DESIRED}\n>= on (<deployment>) {MAX}\n> on (<deployment>) {MIN}",
        "Deployment is scaled to its maximum.",
        f"{DEPLOYMENT_ID}: at its maximum of {REPLICAS} for <for>.",
    ),
    Alert(
        "TogetherDeploymentGPUsIdle",
        "info",
        "1h",
        f"{DESIRED}\n* on (<deployment>) {GPUS} > 0\n"
        "and on (<deployment>) (\n"
        f"  {one('together_deployment_queue_info', 'queue')}\n"
        "  and on (<queue>) sum by (<queue>) (max by (<queue>, state) (together_queue_jobs)) == 0\n"
        "  and on (<queue>) count by (<queue>) (count by (<queue>, state) (together_queue_jobs)) == 2\n"
        ")",
        "Deployment has GPUs allocated while its queue is empty.",
        f"{DEPLOYMENT_ID}: {pluralize('GPU')} allocated and no jobs in the queue for <for>.",
    ),
    Alert(
        "TogetherUnknownStatus",
        "info",
        "10m",
        f"{UNKNOWN_STATUS} == 1\nor {UNKNOWN_REPLICA_STATUS} > 0",
        "API reports a status unknown to these rules.",
        f"{DEPLOYMENT_ID}: unknown status {{{{ $labels.status }}}} for <for>.",
        by="<deployment>, status",
    ),
    Alert(
        "TogetherDeploymentDisappeared",
        "info",
        "2m",
        "(together:deployment_was_known and on (<project>) together:project_readable)\n"
        "unless on (<deployment>) group by (<deployment>) (together_deployment_poll_success)",
        "Discovered deployment has disappeared from the API.",
        f"{DEPLOYMENT_ID}: no longer listed by the API for <for>.",
        enabled=False,
    ),
)
