"""Fleet: what is wrong now on top, then usage and all deployments."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from dashboards.parts import (
    FLEET,
    GREEN,
    IDENTITY,
    OLD,
    PLAIN,
    WHERE,
    WHICH,
    YELLOW,
    chosen,
    graph,
    new,
    number,
    one,
    rows,
    status_code,
    timeline,
    with_deployments,
    with_own_label,
)

FAILED = one("together_deployment_status", matching='status="Failed"')
READY, WANTED = one("together_deployment_replicas_ready"), one("together_deployment_replicas_desired")
UP = one("together_deployment_poll_success")
REASONS = one("together_deployment_replicas_with_reason", "reason", matching='class="crash"')
GPUS = one("together_deployment_gpus_per_replica", "gpu_type", matching='gpu_type=~"$gpu_type"')
PRICE = "on (cluster, gpu_type) group_left () max by (cluster, gpu_type) (together_gpu_hourly_cost)"
AGE = f"time() - {one('together_deployment_last_success_timestamp_seconds')}"
QUEUE_JOBS = f"max by (cluster, project, queue, state) (together_queue_jobs{{{WHERE}}})"
ALERTS = '{cluster=~"$cluster",project=~"$project|",alertname=~"Together.+"%s}'
ALERT = "cluster, project, deployment, queue, secret, job, alertname, severity"
STARTUP = "together_deployment_replica_startup_seconds"
MONTH = "30d"


def counted(expr: str) -> str:
    """0 where there is none; nothing where no deployment is known, which must not read as health."""
    return f"count(\n{chosen(expr)}\n) or 0 * count({UP})"


def gpus(replicas: str, by: str = "gpu_type") -> str:
    each = f"{GPUS}\n* on ({IDENTITY}) group_left () {replicas}"
    return f"sum by ({by}) (\n{chosen(each)}\n)"


def of_month(record: str, by: str = "") -> str:
    """Of the last 30 days, from the recording rules."""
    hours = f'sum_over_time({record}{{{WHICH},gpu_type=~"$gpu_type"}}[{MONTH}])'
    return f"sum{by} (\n{with_own_label(hours, MONTH)}\n)"


def trouble() -> str:
    """8 for Failed, 4 for no ready replica, 2 for too few, 1 for a poll that fails; added up."""
    none = f"0 * {UP}"
    return chosen(
        f"8 * ({FAILED} or {none})\n"
        f"+ 4 * (({WANTED} > bool 0) * ({READY} == bool 0) or {none})\n"
        f"+ 2 * ({WANTED} > bool {READY} or {none})\n"
        f"+ 1 - {UP}"
    )


def wrong() -> str:
    """The status of deployments that were Failed, or had none of the desired replicas ready, at some time shown."""
    none_ready = f"({WANTED} > 0 and on ({IDENTITY}) {READY} == 0)"
    at_some_time = f"max_over_time(({FAILED} == 1 or {none_ready})[$__range:1m] @ end())"
    return chosen(f"({status_code()})\nand on ({IDENTITY}) {at_some_time}")


def board() -> dashboard.Dashboard:
    cost = f"sum by (gpu_type) (\n{gpus(READY, 'cluster, gpu_type')}\n* {PRICE}\n)"
    firing = ALERTS % ',alertstate="firing"'
    return (
        with_deployments(new("Together AI / Fleet", FLEET, "All deployments: what is wrong now, GPUs, cost, status."))
        .with_panel(number("Failed", "Deployments whose status is Failed.", counted(f"{FAILED} == 1")))
        .with_panel(
            number(
                "None ready",
                "Deployments with no ready replica though some are desired.",
                counted(f"({READY} == 0 and {WANTED} > 0)"),
            )
        )
        .with_panel(
            number(
                "Degraded",
                "Deployments with fewer ready replicas than desired.",
                counted(f"({WANTED} > {READY})"),
                steps=((None, GREEN), (1, YELLOW)),
            )
        )
        .with_panel(
            number(
                "Crash looping",
                "Replicas whose reason is of the class crash, such as CrashLoopBackOff.",
                f"sum(\n{chosen(REASONS)}\n) or 0 * count({UP})",
            )
        )
        .with_panel(
            number(
                "Polls failing",
                "Deployments whose last poll failed: what is shown of them is their last known state.",
                f"count(\n{with_own_label(f'{UP} == 0')}\n) or 0 * count({UP})",
                steps=((None, GREEN), (1, YELLOW)),
            )
        )
        .with_panel(
            number(
                "Oldest data",
                "Age of the oldest state of a deployment.",
                f"max(\n{with_own_label(AGE)}\n)",
                unit="s",
                steps=OLD,
            )
        )
        .with_panel(
            rows(
                "Firing alerts",
                "Alerts that fire and how long their condition has held, from the rules of together-exporter. Empty "
                "when all is well.",
                {
                    "active for": f"time() - max by ({ALERT}) (ALERTS_FOR_STATE{ALERTS % ''})\n"
                    f"and on ({ALERT}) max by ({ALERT}) (ALERTS{firing})"
                },
                units={"active for": "s"},
                sort="active for",
                height=6,
            )
        )
        .with_panel(
            number(
                "GPU hours",
                "GPU hours of ready replicas in the last 30 days. An estimate; needs the recording rules.",
                of_month("together:deployment_gpu_hours"),
                steps=PLAIN,
                width=6,
                decimals=0,
            )
        )
        .with_panel(
            number(
                "Cost",
                "Cost of the last 30 days at the prices of each hour (gpu_hourly_cost), in your currency. An estimate; "
                "needs the recording rules.",
                of_month("together:deployment_gpu_cost"),
                steps=PLAIN,
                width=6,
                decimals=2,
            )
        )
        .with_panel(
            number(
                "Jobs waiting",
                "Jobs that wait in the queues, where the exporter reads them (queue: true).",
                f'sum(max by (cluster, project, queue) (together_queue_jobs{{{WHERE},state="waiting"}}))',
                steps=PLAIN,
                width=6,
            )
        )
        .with_panel(
            number(
                "Time to ready",
                "Mean time from the first sight of a replica to its readiness, over the time shown.",
                "\n/ ".join(
                    f"sum(\n{with_own_label(f'increase({STARTUP}_{part}{{{WHICH}}}[$__range])')}\n)"
                    for part in ("sum", "count")
                ),
                unit="s",
                steps=PLAIN,
                width=6,
            )
        )
        .with_panel(
            graph(
                "GPUs, ready against desired",
                "GPUs of replicas that are ready, and of replicas that the platform aims for, by type.",
                {"{{gpu_type}} ready": gpus(READY), "{{gpu_type}} desired": gpus(WANTED)},
            )
        )
        .with_panel(
            graph(
                "Cost per hour",
                "GPUs of ready replicas at the prices in the exporter's configuration (gpu_hourly_cost).",
                {"{{gpu_type}}": cost},
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Jobs in queues",
                "Jobs waiting and running in each queue, where the exporter reads them (queue: true).",
                {"{{project}} {{queue}} {{state}}": QUEUE_JOBS},
                width=24,
            )
        )
        .with_panel(
            rows(
                "Deployments",
                "Those in trouble first: 8 for Failed, 4 for no ready replica, 2 for too few, 1 for a poll that fails.",
                {
                    "trouble": trouble(),
                    "is": chosen(one("together_deployment_status", "status") + " == 1"),
                    "ready": chosen(READY),
                    "desired": chosen(WANTED),
                    "GPUs": chosen(
                        one("together_deployment_gpus_per_replica", "gpu_type")
                        + f" * on ({IDENTITY}) group_left () {READY}"
                    ),
                    "age": chosen(AGE),
                    "cost of 30 days": of_month("together:deployment_gpu_cost", f" by ({IDENTITY})"),
                },
                units={"age": "s"},
                hidden=("is",),
                sort="trouble",
            )
        )
        .with_panel(
            rows(
                "Polls that fail",
                "Why the last poll of a deployment failed. Empty when all is well.",
                {"is": with_own_label(one("together_deployment_poll_error", "reason"))},
                hidden=("is",),
                height=5,
            )
        )
        .with_panel(
            timeline(
                "Deployments that were Failed or had no ready replica",
                "The status of each of them, as of its last poll.",
                wrong(),
                height=10,
            )
        )
    )
