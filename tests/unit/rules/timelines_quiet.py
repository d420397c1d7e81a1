"""What must stay quiet."""

from __future__ import annotations

from tests.unit.rules.cases_deployments import CHANGES, INFO, LOST, QUEUE_INFO, READABLE, UP, jobs
from tests.unit.rules.cases_projects import CONFIGURED, LAST, NOT_FOUND, error, expiry, requests
from tests.unit.rules.promtool import D, Expected, P, Timeline, X, reason, replicas, status, with_status

FAILED = status("Failed")
E = 'project="p",deployment="e"'
OTHER_LAST = f"together_deployment_last_success_timestamp_seconds{{{E}}}"
UNAVAILABLE = f'together_deployment_poll_error{{{D},reason="server_error"}}'
OUTAGE = "1+0x100 0+0x3 1+0x90"
NOBODY_KNOWS: list[Expected] = [  # whether replicas are ready, from minute 61 on
    (minute, alert, [])
    for minute in (66, 100)
    for alert in ("TogetherDeploymentNoReadyReplica", "TogetherDeploymentBelowDesired")
]

QUIET = (
    Timeline(
        "one 401",
        {error("unauthorized"): "_x5 1 stale", READABLE: "1+0x5 0 1+0x60", UP: "1+0x5 0 1+0x60"},
        [(minute, alert, []) for minute in (6, 11, 12) for alert in ("TogetherKeyRefused", "TogetherPollsFailing")],
    ),
    Timeline(
        "two 429s in half an hour, polled every 2 minutes",
        {requests(429): "0+0x5 1+0x8 2+0x60", requests(200): "0 0 1 1 2 2 3 3 4 4 5 5 6 6 7 7 8 8 9 9 10+0x60"},
        [(minute, "TogetherRateLimited", []) for minute in range(5, 35)],
    ),
    Timeline(
        "one CrashLoopBackOff of a replica that is gone at the next poll",
        {reason("CrashLoopBackOff", "crash"): "_x5 1 stale"},
        [(minute, "TogetherReplicaCrashLooping", []) for minute in range(5, 25)],
    ),
    Timeline(
        "one sample of every bad state",
        {
            FAILED: "0+0x20 1 0+0x40",
            replicas("ready"): "2+0x20 0 2+0x40",
            replicas("desired"): "2+0x60",
            expiry("A"): "1000000+0x20 0 1000000+0x60",
            reason("OOMKilled", "memory"): "_x20 1 stale",
            reason("Unschedulable", "capacity"): "_x20 1 stale",
            reason("ImagePullBackOff", "image"): "_x20 1 stale",
            error("payment_required"): "_x20 1 stale",
        },
        [
            (minute, alert, [])
            for minute in range(20, 50)
            for alert in (
                "TogetherDeploymentFailed",
                "TogetherDeploymentNoReadyReplica",
                "TogetherSecretExpired",
                "TogetherReplicaOutOfMemory",
                "TogetherReplicaNoCapacity",
                "TogetherReplicaImageOrVolume",
                "TogetherSpendingLimitReached",
            )
        ],
    ),
    Timeline(
        "a cold start of 10 minutes from zero",
        {
            replicas("desired"): "0+0x30 2+0x90",
            replicas("ready"): "0+0x40 2+0x80",
            replicas("min"): "0+0x120",
            status("Scaling"): "0+0x30 1+0x9 0+0x80",
            'together_deployment_replicas{project="p",deployment="d",status="Running"}': "0+0x32 2+0x90",
        },
        [
            (minute, alert, [])
            for minute in range(30, 60)
            for alert in (
                "TogetherDeploymentNoReadyReplica",
                "TogetherDeploymentBelowDesired",
                "TogetherDeploymentRolloutStuck",
                "TogetherReplicaNotReady",
                "TogetherDeploymentAvailabilityBurnFast",
            )
        ],
    ),
    Timeline(
        "the cold start of a new deployment",
        {replicas("desired"): "_x30 2+0x90", replicas("ready"): "_x30 0+0x10 2+0x80"},
        [(minute, "TogetherDeploymentNoReadyReplica", []) for minute in range(30, 60)],
    ),
    Timeline(
        "a deployment that was deleted a day ago, and an outage of 4 minutes",
        {LAST: "0+0x200", NOT_FOUND: "1+0x100 stale _x3 1+0x90", UNAVAILABLE: "_x101 1+0x3 stale", READABLE: OUTAGE},
        [(minute, "TogetherDataStale", []) for minute in range(99, 110)],
    ),
    Timeline(
        "a discovered deployment is deleted, and then there is an outage of 4 minutes",
        {LAST: "0+60x60 stale", OTHER_LAST: "0+60x100 6000+0x4 6300+60x90", READABLE: OUTAGE},
        [(minute, "TogetherDataStale", []) for minute in range(60, 110)],
    ),
    Timeline(
        "a deployment that flaps and loses readiness is deleted after two minutes",
        {
            CHANGES: "0+20x2 stale",
            LOST: "0+9x2 stale",
            replicas("desired"): "1+0x2 stale",
            INFO: "1+0x2 stale",
        },
        [
            (minute, alert, [])
            for minute in range(2, 40)
            for alert in ("TogetherDeploymentFlapping", "TogetherDeploymentReadinessLost")
        ],
    ),
    Timeline(
        "readiness is lost twice at the start of the exporter, which rates extrapolate",
        {LOST: "0 2+0x60", replicas("desired"): "1+0x60", INFO: "1+0x60"},
        [(minute, "TogetherDeploymentReadinessLost", []) for minute in range(1, 40)],
    ),
    Timeline(
        "the one exporter is replaced",
        {
            'together_project_poll_success{project="p",instance="old"}': "1+0x20 stale",
            'together_project_poll_success{project="p",instance="new"}': "_x23 1+0x90",
            'together_exporter_build_info{version="1",instance="old"}': "1+0x20 stale",
            'together_exporter_build_info{version="1",instance="new"}': "_x22 1+0x90",
        },
        [
            (minute, alert, [])
            for minute in range(20, 60)
            for alert in ("TogetherProjectNotExported", "TogetherExporterDown")
        ],
    ),
    Timeline(
        "a project is removed by a reload, and the exporter is replaced hours later",
        {
            'together_project_poll_success{project="p",instance="old"}': "1+0x60 stale",
            'together_project_poll_success{project="q",instance="old"}': "1+0x160 stale",
            'together_project_poll_success{project="q",instance="new"}': "_x161 1+0x100",
            f'{CONFIGURED}{{instance="old"}}': "0+0x60 3610+0x99 stale",
            f'{CONFIGURED}{{instance="new"}}': "_x161 9660+0x100",
            'together_exporter_build_info{version="1",instance="old"}': "1+0x160 stale",
            'together_exporter_build_info{version="1",instance="new"}': "_x161 1+0x100",
        },
        [(minute, "TogetherProjectNotExported", []) for minute in (75, 150, 175, 250)],
    ),
    Timeline(
        "a project is removed by a rollout, whose old pod runs beside the new one for a while",
        {
            'together_project_poll_success{project="p",instance="old"}': "1+0x65 stale",
            'together_project_poll_success{project="q",instance="old"}': "1+0x65 stale",
            'together_project_poll_success{project="q",instance="new"}': "_x61 1+0x100",
            f'{CONFIGURED}{{instance="old"}}': "0+0x65 stale",
            f'{CONFIGURED}{{instance="new"}}': "_x60 3600+0x100",
            'together_exporter_build_info{version="1",instance="old"}': "1+0x65 stale",
            'together_exporter_build_info{version="1",instance="new"}': "_x60 1+0x100",
        },
        [(minute, "TogetherProjectNotExported", []) for minute in range(65, 150, 5)],
    ),
    Timeline(
        "deleted, and created again under the same name",
        {
            replicas("desired"): "1+0x30 stale _x14 1+0x90",
            replicas("ready"): "1+0x30 stale _x14 0+0x9 1+0x90",
            f'together_deployment_info{{{D},id="first"}}': "1+0x30 stale",
            f'together_deployment_info{{{D},id="second"}}': "_x46 1+0x90",
        },
        [
            (minute, alert, [])
            for minute in range(46, 66)
            for alert in ("TogetherDeploymentNoReadyReplica", "TogetherDeploymentAvailabilityBurnFast")
        ],
    ),
    Timeline(
        "the exporter is replaced during a cold start",
        {
            f'{replicas("desired")[:-1]},instance="old"}}': "2+0x40 0+0x20 2+0x1 stale",
            f'{replicas("ready")[:-1]},instance="old"}}': "2+0x40 0+0x22 stale",
            f'{replicas("desired")[:-1]},instance="new"}}': "_x62 2+0x90",
            f'{replicas("ready")[:-1]},instance="new"}}': "_x62 0+0x10 2+0x80",
        },
        [(minute, "TogetherDeploymentAvailabilityBurnFast", []) for minute in range(62, 90)],
    ),
    Timeline(
        "the queue's waiting jobs are unknown",
        {
            replicas("desired"): "3+0x90",
            f'together_deployment_gpus_per_replica{{{D},gpu_type="h100-80gb"}}': "2+0x90",
            QUEUE_INFO: "1+0x90",
            jobs("running"): "0+0x90",
        },
        [(80, "TogetherDeploymentGPUsIdle", [])],
    ),
    Timeline(
        "a secret is taken out of the deployment before it expires",
        {INFO: "1+0x90", expiry("A"): "1800+0x20 stale"},
        [(minute, "TogetherSecretExpired", []) for minute in range(25, 60, 5)],
    ),
    Timeline(
        "a target of another kind is down in a job of many",
        {
            'up{job="pods",instance="a"}': "1+0x60",
            'up{job="pods",instance="web"}': "1+0x60",
            'up{job="pods",instance="other"}': "0+0x60",
            'together_exporter_build_info{version="1",job="pods",instance="a"}': "1+0x60",
        },
        [(30, "TogetherExporterInstanceDown", [])],
    ),
    Timeline(
        "from 3 shards to 2, and one of the old ones is still there",
        {
            'together_exporter_shards{instance="0"}': "2+0x60",
            'together_exporter_shards{instance="1"}': "2+0x60",
            'together_exporter_shards{instance="2"}': "3+0x60",
            'together_exporter_shard_info{index="0",total="2",instance="0"}': "1+0x60",
            'together_exporter_shard_info{index="1",total="2",instance="1"}': "1+0x60",
            'together_exporter_shard_info{index="2",total="3",instance="2"}': "1+0x60",
        },
        [(minute, "TogetherShardMissing", []) for minute in (5, 20, 50)],
    ),
    Timeline(
        "the statuses of some replicas are unknown, and the API leaves out how many are ready",
        {replicas("desired"): "2+0x120", replicas("ready"): "2+0x60 stale", with_status("Running"): "2+0x60 stale"},
        NOBODY_KNOWS,
    ),
    Timeline(
        "the status of one replica is unknown, and the API leaves out how many are ready",
        {
            replicas("desired"): "2+0x120",
            replicas("ready"): "2+0x60 stale",
            with_status("Running"): "2+0x60 1+0x60",
            with_status("Waiting"): "0+0x60 stale",
            with_status("Terminated"): "0+0x60 stale",
            f'together_replica_ready{{{D},replica="a"}}': "1+0x60 0+0x60",
            f'together_replica_ready{{{D},replica="b"}}': "1+0x60 0+0x60",
        },
        NOBODY_KNOWS,
    ),
    Timeline(
        "only some of the replicas are exported, and the API leaves out how many are ready",
        {
            replicas("desired"): "3+0x120",
            with_status("Running"): "3+0x120",
            with_status("Waiting"): "0+0x120",
            with_status("Terminated"): "0+0x120",
            f'together_replica_ready{{{D},replica="a"}}': "1+0x120",
            f'together_replica_ready{{{D},replica="b"}}': "1+0x120",
        },
        [(60, "TogetherDeploymentBelowDesired", []), (60, "TogetherReplicaNotReady", [])],
    ),
    Timeline(
        "an expired secret is replaced by another one",
        {
            INFO: "1+0x120",
            expiry("A"): "1800+0x40 stale",
            f'together_deployment_secret_expiry_timestamp_seconds{{{D},variable="A",secret="new"}}': "_x41 100000+0x80",
        },
        [(40, "TogetherSecretExpired", [{**P, "secret": "hf"}]), (45, "TogetherSecretExpired", [])],
    ),
    Timeline(
        "an expired secret is taken out of the deployment later",
        {INFO: "1+0x120", expiry("A"): "1800+0x45 stale"},
        [(40, "TogetherSecretExpired", [{**P, "secret": "hf"}]), (50, "TogetherSecretExpired", [])],
    ),
    Timeline(
        "one replica's crash loop is followed by the next one's",
        {reason("CrashLoopBackOff", "crash"): "1+0x30"},  # by class: no replica's name in it
        [(9, "TogetherReplicaCrashLooping", []), (10, "TogetherReplicaCrashLooping", [X])],
    ),
)
