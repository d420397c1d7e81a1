"""For each alert about deployments what makes it fire, with its text, and the neighbour that must stay silent."""

from __future__ import annotations

from tests.unit.rules.promtool import DEPLOYMENT, Case, D, reason, replicas, status, with_status

R = f'{D},replica="r"'
STARTED = f"together_replica_volume_preload_started_timestamp_seconds{{{R}}}"
GPUS = f'together_deployment_gpus_per_replica{{{D},gpu_type="h100-80gb"}}'
CHANGES = f'together_deployment_status_changes_total{{{D},status="Failed"}}'
LOST = f"together_deployment_readiness_lost_total{{{D}}}"
QUEUE_INFO = f'together_deployment_queue_info{{{D},queue="o/q"}}'
INFO, UP = f'together_deployment_info{{{D},id="i"}}', f"together_deployment_poll_success{{{D}}}"
READABLE = 'together_project_poll_success{project="p"}'


def preload(value: str) -> str:
    return f'together_replica_volume_preload_status{{{R},status="{value}"}}'


def jobs(state: str) -> str:
    return f'together_queue_jobs{{project="p",queue="o/q",state="{state}"}}'


CASES = (
    Case(
        "TogetherDeploymentFailed",
        2,
        {status("Failed"): (1, 0), status("Ready"): (0, 1)},
        {status("Failed"): (0, 0), status("Ready"): (1, 1)},
        "p/d: in status Failed for 2 minutes.",
    ),
    Case(
        "TogetherDeploymentNoReadyReplica",
        15,  # 10 minutes of a cold start, then 5
        {replicas("ready"): (0, 1), replicas("desired"): (3, 3)},
        {replicas("ready"): (0, 0), replicas("desired"): (0, 0)},
        "p/d: 0 of 3 replicas ready for 5 minutes.",
    ),
    Case(
        "TogetherDeploymentScaledToZero",
        5,
        {status("ScaledToZero"): (1, 0), replicas("min"): (2, 2)},
        {status("ScaledToZero"): (1, 1), replicas("min"): (0, 0)},
        "p/d: in status ScaledToZero for 5 minutes, with a minimum of 2 replicas.",
    ),
    Case(
        "TogetherDeploymentAvailabilityBurnFast",
        47,  # 15 minutes in which a new deployment starts, 30 minutes with data, then 2
        {replicas("ready"): (0, 2), replicas("desired"): (2, 2)},
        {replicas("ready"): "2+0x50 0+0x7 2+0x300", replicas("desired"): (2, 2)},  # 8 minutes of an hour
        "p/d: no ready replica for 100% of the last 1h; the availability target is 0.99.",
        lag=6,
    ),
    Case(
        "TogetherDeploymentAvailabilityBurnSlow",
        210,
        {replicas("ready"): (0, 2), replicas("desired"): (2, 2)},
        {replicas("ready"): "2+0x200 0+0x9 2+0x300", replicas("desired"): (2, 2)},
        "p/d: no ready replica for 100% of the last 6h; the availability target is 0.99.",
        lag=30,
    ),
    Case(
        "TogetherDeploymentBelowDesired",
        15,
        {replicas("ready"): (1, 3), replicas("desired"): (3, 3)},
        {replicas("ready"): (3, 3), replicas("desired"): (3, 3)},
        "p/d: 2 fewer ready replicas than desired for 15 minutes.",
    ),
    Case(
        "TogetherDeploymentBelowMinimum",
        15,
        {replicas("ready"): (1, 2), replicas("min"): (2, 2)},
        {replicas("ready"): (2, 2), replicas("min"): (2, 2), replicas("desired"): (3, 3)},
        "p/d: 1 fewer ready replica than the minimum for 15 minutes.",
    ),
    Case(
        "TogetherDeploymentRolloutStuck",
        30,
        {status("Updating"): "1+0x15 0+0x40", status("Scaling"): "0+0x15 1+0x24 0+0x40"},
        {status("Updating"): "1+0x28 0 1+0x28", status("Scaling"): "0+0x60"},
        "p/d: in status Updating or Scaling for 30 minutes.",
    ),
    Case(
        "TogetherDeploymentRevisionsMixed",
        30,
        {
            with_status("Running"): (3, 3),
            with_status("Waiting"): (1, 0),
            with_status("Terminated"): (2, 2),
            replicas("updated"): (2, 3),
        },
        {with_status("Running"): (3, 3), with_status("Terminated"): (1, 1), replicas("updated"): (3, 3)},
        "p/d: 2 replicas not on the current revision for 30 minutes.",
    ),
    Case(
        "TogetherDeploymentReadinessLost",
        10,
        {LOST: "0+1x20 20+0x200", replicas("desired"): (2, 2), INFO: (1, 1)},
        {LOST: "0+1x20 20+0x200", replicas("desired"): (20, 20), INFO: (1, 1)},
        "p/d: replicas lost readiness 10 times within 30m.",
        lag=30,
    ),
    Case(
        "TogetherDeploymentFlapping",
        18,
        {CHANGES: "0+1x28 28+0x160", INFO: (1, 1)},
        {CHANGES: "0+0.1x160", INFO: (1, 1)},
        "p/d: 18 status changes within 1h.",
        lag=60,
    ),
    Case(
        "TogetherDeploymentAtMaximum",
        120,
        {replicas("desired"): (6, 5), replicas("max"): (6, 6), replicas("min"): (1, 1)},
        {replicas("desired"): (6, 6), replicas("max"): (6, 6), replicas("min"): (6, 6)},  # does not scale at all
        "p/d: at its maximum of 6 replicas for 2 hours.",
    ),
    Case(
        "TogetherDeploymentGPUsIdle",
        60,
        {
            replicas("desired"): (3, 3),
            GPUS: (2, 2),
            QUEUE_INFO: (1, 1),
            jobs("waiting"): (0, 1),
            jobs("running"): (0, 0),
        },
        {replicas("desired"): (3, 3), GPUS: (2, 2), QUEUE_INFO: (1, 1)},  # its queue is not read
        "p/d: 6 GPUs allocated and no jobs in the queue for 1 hour.",
    ),
    Case(
        "TogetherUnknownStatus",
        10,
        {status("Hibernating"): (1, 0)},
        {status("Ready"): (1, 1), with_status("Terminated"): (1, 1)},
        "p/d: unknown status Hibernating for 10 minutes.",
        {**DEPLOYMENT, "status": "Hibernating"},
    ),
    Case(
        "TogetherDeploymentDisappeared",
        12,
        {INFO: "1+0x9 stale _x12 1+0x60", UP: "1+0x9 stale _x12 1+0x60", READABLE: (1, 1)},
        {INFO: "1+0x9 stale", UP: "1+0x9 stale", READABLE: "1+0x9 0+0x60"},  # the API is away
        "p/d: no longer listed by the API for 2 minutes.",
    ),
    Case(
        "TogetherReplicaCrashLooping",
        10,
        {reason("CrashLoopBackOff", "crash"): "2 stale _ 2 stale _ 2+0x14 stale"},
        {reason("CrashLoopBackOff", "crash"): "1 stale", reason("ContainerCreating", "starting"): (1, 1)},
        "p/d: 2 replicas crash looping for 10 minutes.",
        lag=5,
    ),
    Case(
        "TogetherReplicaOutOfMemory",
        15,
        {
            reason("OOMKilled", "memory"): "1 stale _x6 1 stale _x6 1 stale _x6 1 stale",
            reason("CrashLoopBackOff", "crash"): "_ 1+0x6 stale 1+0x6 stale 1+0x6 stale",
        },
        {reason("OOMKilled", "memory"): "1 stale"},
        "p/d: 1 replica OOMKilled repeatedly for 15 minutes.",
        lag=10,
    ),
    Case(
        "TogetherReplicaNoCapacity",
        15,
        {reason("Unschedulable", "capacity"): (2, 0)},
        {reason("Evicted", "evicted"): (1, 1)},
        "p/d: 2 replicas waiting for capacity for 15 minutes.",
        lag=5,
    ),
    Case(
        "TogetherReplicaImageOrVolume",
        10,
        {
            reason("ErrImagePull", "image"): "1 stale 1 stale 1 stale 1 stale 1 stale 1+0x8 stale",
            reason("ImagePullBackOff", "image"): "_ 1 stale 1 stale 1 stale 1 stale 1 stale",
            reason("FailedMount", "volume"): "_x8 1+0x10 stale",
        },
        {reason("CrashLoopBackOff", "crash"): (1, 1), reason("ContainerCreating", "starting"): (1, 1)},
        "p/d: 2 replicas waiting for image, volume or configuration for 10 minutes.",
        lag=6,
    ),
    Case(
        "TogetherReplicaNotReady",
        15,
        {with_status("Running"): (3, 3), replicas("ready"): (1, 3)},
        {with_status("Waiting"): (3, 3), with_status("Running"): (0, 0), replicas("ready"): (0, 0)},
        "p/d: 2 replicas running but not ready for 15 minutes.",
    ),
    Case(
        "TogetherReplicaPreloadFailed",
        5,
        {preload("Failed"): (1, 0), preload("Completed"): (0, 1)},
        {preload("Failed"): (0, 0), preload("Completed"): (1, 1)},
        "p/d: volume preload failed on 1 replica for 5 minutes.",
    ),
    Case(
        "TogetherReplicaPreloadSlow",
        36,
        {preload("InProgress"): (1, 0), STARTED: (0, 0)},
        {preload("InProgress"): (0, 0), STARTED: (0, 0)},
        "p/d: a replica has been preloading its volume for 36m 0s.",
    ),
)
