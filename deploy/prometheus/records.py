"""Recording rules, named level:metric:operation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.prometheus.alerts import DEPLOYMENT, DESIRED, MOST, READY, STATUS, one
from deploy.prometheus.thresholds import HOUR, Thresholds, duration


@dataclass(frozen=True)
class Record:
    name: str
    expr: str


def records(t: Thresholds) -> Iterator[Record]:
    """Named level:metric:operation; what is ready counts as used."""
    kinds = {"ready": READY, "desired": DESIRED, "max": MOST}
    with_type = one("together_deployment_gpus_per_replica", "gpu_type")
    for kind, replicas in kinds.items():
        gpus = f"{with_type}\n  * on ({DEPLOYMENT}) group_left () {replicas}"
        yield Record(f"project_gpu_type:together_gpus_{kind}:sum", f"sum by (project, gpu_type) (\n  {gpus}\n)")
    ready, step = "project_gpu_type:together_gpus_ready:sum", duration(t.sum_step)
    window = duration(t.sum_window - t.sum_step / 60)  # a whole hour has 61 steps where it begins with one
    yield Record(
        "project_gpu_type:together_gpu_hours:sum1h",
        f"sum_over_time({ready}[{window}:{step}]) * {t.sum_step:g} / {HOUR:g}",
    )
    yield Record(
        "project_gpu_type:together_gpu_cost_per_hour:sum",
        f"{ready}\n* on (gpu_type) group_left () max by (gpu_type) (together_gpu_hourly_cost)",
    )
    yield Record("project_deployment:together_availability:ratio", f"clamp_max({READY}\n/ ({DESIRED} > 0), 1)")
    yield Record("project_deployment_status:together_status:max", STATUS)
    yield Record(
        "project_deployment_status:together_status:ratio1h",
        f"avg_over_time(project_deployment_status:together_status:max[{window}:{step}])",
    )
