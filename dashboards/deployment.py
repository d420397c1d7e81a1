"""Deployment: everything about one, or the few that are chosen."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, timeseries
from grafana_foundation_sdk.models import dashboard as models

from dashboards.parts import (
    DEPLOYMENT,
    GREEN,
    IDENTITY,
    OLD,
    PLAIN,
    RED,
    WHERE,
    WHICH,
    WHO,
    YELLOW,
    graph,
    new,
    number,
    one,
    rows,
    status_code,
    timeline,
    with_deployments,
)

READY, DESIRED = one("together_deployment_replicas_ready"), one("together_deployment_replicas_desired")
STARTED = one("together_replica_volume_preload_started_timestamp_seconds", "replica")
COMPLETED = one("together_replica_volume_preload_completed_timestamp_seconds", "replica")
CHANGES = f"increase(together_deployment_status_changes_total{{{WHICH}}}[$__range])"
EXPIRY = one("together_deployment_secret_expiry_timestamp_seconds", "variable", "secret")
SINCE = (
    f"time() - max by ({IDENTITY}, status) (\n"
    f"max_over_time(timestamp(together_deployment_status{{{WHICH}}} == 0)[$__range:1m])\n)\n"
    f"and on ({IDENTITY}, status) {one('together_deployment_status', 'status')} == 1"
)
STARTUP = "increase(together_deployment_replica_startup_seconds_%s{" + WHICH + "}[1h])"
QUEUE = (
    f"max by (cluster, project, queue, state) (together_queue_jobs{{{WHERE}}})\n"
    f"and on (cluster, project, queue) together_deployment_queue_info{{{WHICH}}}"
)


def band(panel: timeseries.Panel) -> timeseries.Panel:
    """Shades what is between the minimum and the maximum."""
    config = models.DynamicConfigValue
    panel.override_by_regexp(
        "/ max$/",
        [config("custom.fillBelowTo", f"{WHO} min"), config("custom.fillOpacity", 10), config("custom.lineWidth", 0)],
    )
    panel.override_by_regexp("/ min$/", [config("custom.lineWidth", 0)])
    panel.override_by_regexp("/ desired$/", [config("custom.lineStyle", {"fill": "dash", "dash": [6, 6]})])
    return panel


def board() -> dashboard.Dashboard:
    return (
        with_deployments(
            new("Together AI / Deployment", DEPLOYMENT, "One deployment: status, replicas, rollout, scaling.")
        )
        .with_panel(
            number("Ready replicas", "Replicas ready to serve.", READY, steps=((None, RED), (1, GREEN)), legend=WHO)
        )
        .with_panel(
            number(
                "Available",
                "Part of the time with desired replicas in which at least one replica was ready.",
                f"avg_over_time((({READY} > bool 0) and on ({IDENTITY}) {DESIRED} > 0)[$__range:1m])",
                unit="percentunit",
                steps=((None, RED), (0.99, YELLOW), (0.999, GREEN)),
                legend=WHO,
            )
        )
        .with_panel(
            number(
                "GPUs per replica",
                "GPUs that each replica has.",
                one("together_deployment_gpus_per_replica", "gpu_type"),
                steps=PLAIN,
                legend="{{gpu_type}}",
            )
        )
        .with_panel(
            number(
                "Data age",
                "Time since the last good poll.",
                f"time() - {one('together_deployment_last_success_timestamp_seconds')}",
                unit="s",
                steps=OLD,
                legend=WHO,
            )
        )
        .with_panel(
            number(
                "Last updated",
                "Time since the deployment was last changed.",
                f"time() - {one('together_deployment_updated_timestamp_seconds')}",
                unit="s",
                steps=PLAIN,
                legend=WHO,
            )
        )
        .with_panel(
            number(
                "Status changes",
                "Changes of status in the time shown that the exporter saw; there may have been more.",
                f"round(sum by ({IDENTITY}) (\n  max by ({IDENTITY}, status) ({CHANGES})\n))",
                steps=((None, GREEN), (20, YELLOW)),
                legend=WHO,
                decimals=0,
            )
        )
        .with_panel(
            number(
                "Status since",
                "Time in the current status; nothing where it has lasted longer than the time shown.",
                SINCE,
                unit="s",
                steps=PLAIN,
                width=8,
                legend="{{status}}",
            )
        )
        .with_panel(
            number(
                "GPU hours",
                "GPU hours of ready replicas in the last 30 days. An estimate; needs the recording rules.",
                f"sum by ({IDENTITY}) (sum_over_time(together:deployment_gpu_hours{{{WHICH}}}[30d]))",
                steps=PLAIN,
                width=8,
                legend=WHO,
                decimals=0,
            )
        )
        .with_panel(
            number(
                "Cost",
                "Cost of the last 30 days at the prices of each hour (gpu_hourly_cost), in your currency. An estimate; "
                "needs the recording rules.",
                f"sum by ({IDENTITY}) (sum_over_time(together:deployment_gpu_cost{{{WHICH}}}[30d]))",
                steps=PLAIN,
                width=8,
                legend=WHO,
                decimals=2,
            )
        )
        .with_panel(timeline("Status", "The status, as of the last poll.", status_code(), height=5))
        .with_panel(
            band(
                graph(
                    "Replicas",
                    "Ready and desired replicas; the band is from the minimum to the maximum.",
                    {
                        f"{WHO} {kind}": one(f"together_deployment_replicas_{kind}")
                        for kind in ("ready", "desired", "min", "max")
                    },
                )
            )
        )
        .with_panel(
            graph(
                "Replicas by status",
                "What the platform says of each replica.",
                {f"{WHO} {{{{status}}}}": one("together_deployment_replicas", "status")},
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Replicas by revision",
                "A rollout: replicas of the old revision go, those of the new one come.",
                {
                    f"{WHO} {{{{revision}}}}": f"count by ({IDENTITY}, revision) (\n"
                    + one("together_replica_info", "replica", "revision")
                    + "\n)"
                },
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Preload time",
                "How long each replica took to load its volume.",
                {"{{replica}}": f"{COMPLETED}\n- {STARTED}"},
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Time to ready",
                "Mean time from the first sight of a replica to its readiness, over an hour.",
                {WHO: f"max by ({IDENTITY}) ({STARTUP % 'sum'})\n/ max by ({IDENTITY}) ({STARTUP % 'count'})"},
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Queue",
                "Jobs waiting and running in the queue that scales the deployment, where it is read (queue: true).",
                {"{{project}} {{queue}} {{state}}": QUEUE},
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Autoscaling target",
                "The value of the metric that autoscaling aims for, in that metric's own unit.",
                {f"{WHO} {{{{metric}}}}": one("together_deployment_autoscaling_target", "metric")},
                width=24,
            )
        )
        .with_panel(
            rows(
                "Replicas",
                "Every replica, with why it does not run, where a reason is given.",
                {
                    "is": one("together_replica_status", "replica", "status") + " == 1",
                    "reason given": one("together_replica_status_reason", "replica", "reason"),
                    "ready": one("together_replica_ready", "replica"),
                    "ready for": f"time() - {one('together_replica_ready_timestamp_seconds', 'replica')}",
                    "info": one("together_replica_info", "replica", "revision", "image"),
                },
                units={"ready for": "s"},
                hidden=("is", "reason given", "info"),
            )
        )
        .with_panel(
            rows(
                "Own labels",
                "Your own labels of the deployment (labels, label_rules, label_variables).",
                {"is": f"together_deployment_labels{{{WHICH}}}"},
                hidden=("is",),
                height=4,
            )
        )
        .with_panel(
            rows(
                "Secrets",
                "When the secrets of environment variables expire.",
                {"expires in": f"{EXPIRY} - time()"},
                units={"expires in": "s"},
                height=5,
            )
        )
    )
