"""For each alert what makes it fire, with its text, and a neighbouring case in which it must stay silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Values = tuple[float, float] | str  # while it is bad and when it is good again; or as promtool writes them

D = 'project="p",deployment="d"'
R = f'{D},replica="r"'
DEPLOYMENT = {"project": "p", "deployment": "d"}


@dataclass(frozen=True)
class Case:
    """`lasts`: minutes until it fires; `lag`: minutes until it resolves, for those that look back; `neighbour`: what
    stands beside it and must not fire."""

    alert: str
    lasts: int
    bad: Mapping[str, Values]
    neighbour: Mapping[str, Values]
    text: str
    labels: Mapping[str, str] = field(default_factory=lambda: DEPLOYMENT)
    lag: int = 0


def status(value: str) -> str:
    return f'together_deployment_status{{{D},status="{value}"}}'


def replicas(kind: str) -> str:
    return f"together_deployment_replicas_{kind}{{{D}}}"


def reason(value: str) -> str:
    return f'together_replica_status_reason{{{R},reason="{value}"}}'


def preload(value: str) -> str:
    return f'together_replica_volume_preload_status{{{R},status="{value}"}}'


UP, NOT_FOUND = f"together_deployment_poll_success{{{D}}}", f'together_deployment_poll_error{{{D},reason="not_found"}}'
LAST = f"together_deployment_last_success_timestamp_seconds{{{D}}}"
STARTED = f"together_replica_volume_preload_started_timestamp_seconds{{{R}}}"
GPUS = f'together_deployment_gpus_per_replica{{{D},gpu_type="h100-80gb"}}'
CHANGES = f'together_deployment_status_changes_total{{{D},status="Failed"}}'
SHARD = 'together_exporter_shard_info{index="%d",total="2"}'

CASES = (
    Case(
        "TogetherDeploymentFailed",
        2,
        {status("Failed"): (1, 0), status("Ready"): (0, 1)},
        {status("Failed"): (0, 0), status("Ready"): (1, 1)},
        "p/d has the status Failed.",
    ),
    Case(
        "TogetherDeploymentNoReadyReplica",
        5,
        {replicas("ready"): (0, 1), replicas("desired"): (2, 2)},
        {replicas("ready"): (0, 0), replicas("desired"): (0, 0)},
        "No replica of p/d is ready, though some are desired.",
    ),
    Case(
        "TogetherDeploymentBelowDesired",
        15,
        {replicas("ready"): (1, 3), replicas("desired"): (3, 3)},
        {replicas("ready"): (3, 3), replicas("desired"): (3, 3)},
        "p/d lacks 2 of the replicas that are desired.",
    ),
    Case(
        "TogetherDeploymentBelowMinimum",
        10,
        {replicas("ready"): (1, 2), replicas("min"): (2, 2)},
        {replicas("ready"): (2, 2), replicas("min"): (2, 2), replicas("desired"): (3, 3)},
        "p/d lacks 1 ready replicas to its minimum.",
    ),
    Case(
        "TogetherDeploymentRolloutStuck",
        30,
        {status("Updating"): "1+0x15 0+0x40", status("Scaling"): "0+0x15 1+0x24 0+0x40"},
        {status("Updating"): "1+0x28 0 1+0x28", status("Scaling"): "0+0x60"},
        "p/d is still Updating or Scaling.",
    ),
    Case(
        "TogetherDeploymentRevisionsMixed",
        30,
        {
            f'together_deployment_replicas{{{D},status="Running"}}': (3, 3),
            f'together_deployment_replicas{{{D},status="Waiting"}}': (1, 0),
            replicas("updated"): (2, 3),
        },
        {
            f'together_deployment_replicas{{{D},status="Running"}}': (3, 3),
            f'together_deployment_replicas{{{D},status="Terminated"}}': (1, 1),
            replicas("updated"): (3, 3),
        },
        "2 of the replicas of p/d are not of its current revision.",
    ),
    Case(
        "TogetherDeploymentAtMaximum",
        120,
        {replicas("desired"): (6, 5), replicas("max"): (6, 6), replicas("min"): (1, 1)},
        {replicas("desired"): (6, 6), replicas("max"): (6, 6), replicas("min"): (6, 6)},  # does not scale at all
        "p/d has been scaled to its maximum of 6 replicas.",
    ),
    Case(
        "TogetherDeploymentFlapping",
        13,
        {CHANGES: "0+1x23 23+0x160"},
        {CHANGES: "0+0.1x160"},
        "The status of p/d changed 13 times in 1h.",
        lag=60,
    ),
    Case(
        "TogetherDeploymentScaledToZero",
        5,
        {status("ScaledToZero"): (1, 0), replicas("min"): (1, 1)},
        {status("ScaledToZero"): (1, 1), replicas("min"): (0, 0)},
        "p/d is ScaledToZero, though its minimum is above 0.",
    ),
    Case(
        "TogetherDeploymentGPUsIdle",
        60,
        {
            replicas("desired"): (3, 3),
            GPUS: (2, 2),
            f'together_queue_jobs{{{D},state="waiting"}}': (0, 1),
            f'together_queue_jobs{{{D},state="running"}}': (0, 0),
        },
        {replicas("desired"): (3, 3), GPUS: (2, 2)},  # its queue is not read
        "p/d holds 6 GPUs, and its queue is empty.",
    ),
    Case(
        "TogetherSecretExpires",
        0,
        {f'together_deployment_secret_expiry_timestamp_seconds{{{D},variable="HF_TOKEN"}}': (600_000, 6_000_000)},
        {f'together_deployment_secret_expiry_timestamp_seconds{{{D},variable="HF_TOKEN"}}': (700_000, 700_000)},
        "The secret in HF_TOKEN of p/d expires in 6d 22h 40m 0s.",
        {**DEPLOYMENT, "variable": "HF_TOKEN"},
    ),
    Case(
        "TogetherUnknownStatus",
        5,
        {status("Hibernating"): (1, 0)},
        {status("Ready"): (1, 1), f'together_deployment_replicas{{{D},status="Terminated"}}': (1, 1)},
        "p/d has the status Hibernating, of which no rule knows whether it is good.",
        {**DEPLOYMENT, "status": "Hibernating"},
    ),
    Case(
        "TogetherReplicaCrashLooping",
        5,
        {reason("CrashLoopBackOff"): "1 stale _ 1 stale _ 1 stale _ 1+0x5 stale"},
        {reason("ContainerCreating"): (1, 1)},
        "1 of the replicas of p/d crash again and again.",
        lag=15,
    ),
    Case(
        "TogetherReplicaImageOrVolume",
        10,
        {
            reason("ErrImagePull"): "1 stale 1 stale 1 stale 1+0x13 stale",
            reason("ImagePullBackOff"): "_ 1 stale 1 stale 1 stale",
        },
        {reason("CrashLoopBackOff"): (1, 1), reason("ContainerCreating"): (1, 1)},
        "1 of the replicas of p/d wait for their image or volume.",
    ),
    Case(
        "TogetherReplicaPreloadFailed",
        5,
        {preload("Failed"): (1, 0), preload("Completed"): (0, 1)},
        {preload("Failed"): (0, 0), preload("Completed"): (1, 1)},
        "1 of the replicas of p/d could not preload their volume.",
    ),
    Case(
        "TogetherReplicaPreloadSlow",
        31,
        {preload("InProgress"): (1, 0), STARTED: (0, 0)},
        {preload("InProgress"): (0, 0), STARTED: (0, 0)},
        "1 of the replicas of p/d have been preloading for more than 30m.",
    ),
    Case(
        "TogetherDeploymentNotFound",
        10,
        {NOT_FOUND: "1+0x20 stale", UP: (0, 1)},
        {f'together_deployment_poll_error{{{D},reason="timeout"}}': (1, 1), UP: (0, 0)},
        "The API does not know p/d, which the exporter's configuration names.",
    ),
    Case(
        "TogetherPollsFailing",
        10,
        {UP: (0, 1)},
        {UP: (0, 0), NOT_FOUND: (1, 1), 'together_project_poll_success{project="p"}': (1, 1)},
        "The exporter does not get the state of deployments of p; it shows the last known one.",
        {"project": "p"},
    ),
    Case(
        "TogetherPollsFailing",
        10,
        {'together_project_poll_success{project="p"}': (0, 1)},  # and nothing of it is known yet
        {'together_project_poll_success{project="p"}': (1, 1)},
        "The exporter does not get the state of deployments of p; it shows the last known one.",
        {"project": "p"},
    ),
    Case(
        "TogetherKeyRefused",
        3,
        {'together_exporter_poll_failures_total{project="p",fetch="each",reason="unauthorized"}': "0+2x13 26+0x60"},
        {'together_exporter_poll_failures_total{project="p",fetch="each",reason="timeout"}': "0+2x60"},
        "The API refuses the key of p, or there is none.",
        {"project": "p"},
        lag=12,
    ),
    Case(
        "TogetherRateLimited",
        16,
        {'together_exporter_api_requests_total{project="p",code="429"}': "0+1x26 26+0x60"},
        {'together_exporter_api_requests_total{project="p",code="200"}': "0+1x80"},
        "The API has answered 429 to requests for p for long.",
        {"project": "p"},
        lag=17,
    ),
    Case(
        "TogetherDataStale",
        16,
        {LAST: "0+0x26 1600+60x60"},
        {LAST: "0+60x90", f'{LAST[:-1]},x="other"}}': "0+0x90", NOT_FOUND: "1+0x90"},
        "The oldest state of a deployment of p is of 16m 0s ago.",
        {"project": "p"},
    ),
    Case(
        "TogetherExporterDown",
        5,
        {'together_exporter_build_info{version="1"}': "_x15 1+0x60"},
        {'together_exporter_build_info{version="1"}': "1+0x60"},
        "Prometheus scrapes no together-exporter: nothing is known of any deployment, and no other alert can fire.",
        {},
    ),
    Case(
        "TogetherExporterInstanceDown",
        5,
        {'up{job="together-exporter",instance="i"}': (0, 1)},
        {'up{job="together-exporter",instance="i"}': (1, 1), 'up{job="other",instance="i"}': (0, 0)},
        "Prometheus cannot scrape the exporter i.",
        {"job": "together-exporter", "instance": "i"},
    ),
    Case(
        "TogetherShardMissing",
        5,
        {"together_exporter_shards": (2, 2), SHARD % 0: (1, 1), SHARD % 1: "_x15 1+0x60"},
        {"together_exporter_shards": (2, 2), SHARD % 0: (1, 1), SHARD % 1: (1, 1)},
        "1 of the shards of j are missing.",
        {"job": "j"},
    ),
    Case(
        "TogetherConfigReloadFailed",
        5,
        {"together_exporter_config_last_reload_successful": (0, 1)},
        {"together_exporter_config_last_reload_successful": (1, 1)},
        "The last reload of an exporter of j was refused; the one before it is still running.",
        {"job": "j"},
    ),
    Case(
        "TogetherSeriesDropped",
        16,
        {'together_exporter_series_dropped_total{reason="replica_limit"}': "0+3x26 78+0x60"},
        {'together_exporter_series_dropped_total{reason="replica_limit"}': "0+0x90"},
        "Something of the API's answers is left out: replica_limit.",
        {"reason": "replica_limit"},
        lag=17,
    ),
)
