"""Recording rules for alerts and GPU usage."""

from __future__ import annotations

from exporter.rules.alert import (
    DESIRED,
    LAST_SUCCESS,
    MAX,
    NOT_FOUND,
    NOT_FOUND_ERROR,
    READABLE,
    READY,
    RECREATED,
    RUNNING,
    Record,
    indented,
    one,
    wanted_for,
)

OWN_LABELS = "together:deployment_labels"  # generated only if alerts have deployment labels

REPLICA_READY = one("together_replica_ready", "replica")
KNOWN = '{status=~"Running|Waiting|Terminated"}'


def with_status(matcher: str) -> str:
    return one(f"together_deployment_replicas{matcher}", "status")


# If the API leaves out `ready_replicas`, the listed replicas tell, if the status of each is known and each is exported.
READY_REPLICAS = (
    f"{one('together_deployment_replicas_ready')}\n"
    "or on (<deployment>) (\n"
    f"  sum by (<deployment>) ({REPLICA_READY})\n"
    f"  and on (<deployment>) count by (<deployment>) ({with_status(KNOWN)}) == 3\n"
    f"  and on (<deployment>) count by (<deployment>) ({REPLICA_READY})\n"
    f"    == on (<deployment>) sum by (<deployment>) ({with_status('')})\n"
    ")\n"
    f"or on (<deployment>) {RUNNING} == 0"
)

ALERT_RECORDS = (
    Record(READY, READY_REPLICAS),
    # While the number of shards is being changed, instances with both numbers run; one complete set is enough.
    Record(
        "together:shards_missing",
        "min by (<exporter>) (\n"
        "  max by (<exporter>, total) (\n"
        "    max by (<exporter>, instance) (together_exporter_shards)\n"
        "    * on (<exporter>, instance) group_right () together_exporter_shard_info\n"
        "  )\n"
        "  - count by (<exporter>, total) (count by (<exporter>, total, index) (together_exporter_shard_info))\n"
        ") > 0",
    ),
    Record(
        "together:project_exported_timestamp_seconds",
        "max by (<exporter>, instance, project) (timestamp(together_project_poll_success))",
    ),
    Record(
        "together:project_readable",
        f"({READABLE} == 1) unless on (<keep>) together:shards_missing",
    ),
    Record(
        "together:deployment_was_known",
        "group by (<deployment>) (last_over_time(together_deployment_info[<memory>]))\n"
        "unless group by (<deployment>) (together_deployment_info)",
    ),
    # Deleted and configured: last_success stands still. A later failure of another kind does not bring it back.
    Record(
        "together:deployment_deleted",
        "max by (<deployment>) (\n"
        f"  max_over_time(timestamp({NOT_FOUND_ERROR})[<memory>:<minute>])\n"
        ")\n"
        f"> on (<deployment>) max by (<deployment>) (last_over_time({LAST_SUCCESS}[<memory>]))",
    ),
    Record(
        "together:deployment_blind",
        "(together:deployment_was_known unless on (<project>) together:project_readable)\n"
        "or (\n"
        "  together:deployment_was_known\n"
        f"  and on (<deployment>) ({one('together_deployment_poll_success')} == 0\n"
        f"    unless on (<deployment>) {NOT_FOUND})\n"
        ")",
    ),
    Record(
        OWN_LABELS,
        "group by (<deployment>, <own>) (topk by (<deployment>) (1, together_deployment_labels))\n"
        "or on (<deployment>) (\n"
        "  together:deployment_labels offset <minute> and on (<deployment>) together:deployment_was_known\n"
        ")\n"
        "or on (<deployment>) group by (<deployment>) (last_over_time(together_deployment_info[<memory>]))\n"
        "or on (<deployment>) group by (<deployment>) (together_deployment_poll_success)",
    ),
    Record(
        "together:deployment_replicas_with_class",
        "sum by (<deployment>, class) (\n"
        "  max by (<deployment>, reason, class) (together_deployment_replicas_with_reason)\n"
        ")",
    ),
    Record(
        "together:deployment_unserved",
        f"{READY} == bool 0\n{wanted_for('unserved_after')}\n{wanted_for('cold_start')}\n{RECREATED}",
    ),
)


def gpus(replicas: str) -> str:
    return f"{one('together_deployment_gpus_per_replica', 'gpu_type')}\n* on (<deployment>) group_left () {replicas}"


USAGE_RECORDS = (
    Record("together:deployment_gpus_ready", gpus(f"(\n{indented(READY_REPLICAS)}\n)")),
    Record("together:deployment_gpus_desired", gpus(DESIRED)),
    Record("together:deployment_gpus_max", gpus(MAX)),
    Record(
        "together:project_observed",
        "group by (<project>) (together_project_poll_success == 1)\nor group by (<project>) (together_deployment_info)",
    ),
)
# Divided by the minutes with data of the project: correct for any number of samples and for deployments that exist for
# part of the hour. Evaluated hourly, so that a new price does not change the past.
HOURLY_RECORDS = (
    Record(
        "together:deployment_gpu_hours",
        "sum_over_time(together:deployment_gpus_ready[<hour>])\n"
        "/ on (<project>) group_left () count_over_time(together:project_observed[<hour>])",
    ),
    Record(
        "together:deployment_gpu_cost",
        "together:deployment_gpu_hours\n* on (<gpu_type>) group_left () max by (<gpu_type>) (together_gpu_hourly_cost)",
    ),
)
