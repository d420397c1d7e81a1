"""Fleet: what is wrong now on top, then all deployments."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from dashboards.parts import (
    FLEET,
    GREEN,
    OLD,
    WHICH,
    YELLOW,
    graph,
    new,
    number,
    of_type,
    one,
    rows,
    status_code,
    timeline,
    with_deployments,
)

FAILED = one("together_deployment_status", matching='status="Failed"')
READY, WANTED = one("together_deployment_replicas_ready"), one("together_deployment_replicas_desired")
UP = one("together_deployment_poll_success")
CRASHING = one("together_replica_status_reason", "replica", matching='reason="CrashLoopBackOff"')
GPUS = one("together_deployment_gpus_per_replica", "gpu_type", matching='gpu_type=~"$gpu_type"')
PRICE = "on (gpu_type) group_left () max by (gpu_type) (together_gpu_hourly_cost)"
AGE = f"time() - {one('together_deployment_last_success_timestamp_seconds')}"


def counted(expr: str) -> str:
    """0 where there is none; nothing where no deployment is known, which must not read as health."""
    return f"count(\n{of_type(expr)}\n) or 0 * count({UP})"


def gpus(replicas: str) -> str:
    return f"sum by (gpu_type) (\n{GPUS}\n* on (project, deployment) group_left () {replicas}\n)"


def trouble() -> str:
    """8 for Failed, 4 for no ready replica, 2 for too few, 1 for a poll that fails; added up."""
    none = f"0 * {UP}"
    return of_type(
        f"8 * ({FAILED} or {none})\n"
        f"+ 4 * (({WANTED} > bool 0) * ({READY} == bool 0) or {none})\n"
        f"+ 2 * ({WANTED} > bool {READY} or {none})\n"
        f"+ 1 - {UP}"
    )


def board() -> dashboard.Dashboard:
    cost = f"sum by (gpu_type) (\n{gpus(READY)}\n* {PRICE}\n)"
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
        .with_panel(number("Crash looping", "Replicas that wait in CrashLoopBackOff.", counted(f"{CRASHING} == 1")))
        .with_panel(
            number(
                "Polls failing",
                "Deployments whose last poll failed: what is shown of them is their last known state.",
                f"count({UP} == 0) or 0 * count({UP})",
                steps=((None, GREEN), (1, YELLOW)),
            )
        )
        .with_panel(
            number(
                "Oldest data",
                "Age of the oldest state of a deployment.",
                f"max({AGE})",
                unit="s",
                steps=OLD,
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
            rows(
                "Deployments",
                "Those in trouble first: 8 for Failed, 4 for no ready replica, 2 for too few, 1 for a poll that fails.",
                {
                    "trouble": trouble(),
                    "is": of_type(one("together_deployment_status", "status") + " == 1"),
                    "ready": of_type(READY),
                    "desired": of_type(WANTED),
                    "GPUs": of_type(
                        one("together_deployment_gpus_per_replica", "gpu_type")
                        + f" * on (project, deployment) group_left () {READY}"
                    ),
                    "age": of_type(AGE),
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
                {"is": f"max by (project, deployment, reason) (together_deployment_poll_error{{{WHICH}}})"},
                hidden=("is",),
                height=5,
            )
        )
        .with_panel(
            timeline(
                "Status",
                "The status of every deployment, as of its last poll.",
                of_type(f"({status_code()})"),
                height=12,
            )
        )
    )
