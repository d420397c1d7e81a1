"""What must stay quiet, what must be loud, and what was known to be wrong and is not known any more."""

from __future__ import annotations

from tests.unit.rules.cases_deployments import INFO, QUEUE_INFO, READABLE, UP, jobs
from tests.unit.rules.cases_projects import NOT_FOUND, TARGET, error, expiry, requests
from tests.unit.rules.promtool import DEPLOYMENT, Timeline, reason, replicas, status

FAILED = status("Failed")
E = 'project="p",deployment="e"'
X = {"cluster": "x", **DEPLOYMENT}
GONE = "1+0x9 stale"  # after 9 minutes

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
        "one replica's crash loop is followed by the next one's",
        {reason("CrashLoopBackOff", "crash"): "1+0x30"},  # by class: no replica's name in it
        [(9, "TogetherReplicaCrashLooping", []), (10, "TogetherReplicaCrashLooping", [X])],
    ),
)
LOUD = (
    Timeline(
        "no ready replica after a long good time: 5 minutes",
        {replicas("desired"): "2+0x90", replicas("ready"): "2+0x60 0+0x30"},
        [(65, "TogetherDeploymentNoReadyReplica", []), (66, "TogetherDeploymentNoReadyReplica", [X])],
    ),
    Timeline(
        "two deployments share a queue",
        {
            jobs("waiting"): "9+0x60",
            jobs("running"): "2+0x60",
            QUEUE_INFO: "1+0x60",
            TARGET: "1.05+0x60",
            replicas("desired"): "2+0x60",
            replicas("max"): "2+0x60",
            f'together_deployment_queue_info{{{E},queue="o/q"}}': "1+0x60",
            replicas("desired", E): "9+0x30 1+0x30",
            replicas("max", E): "9+0x60",
        },
        [
            (minute, "TogetherQueueSaturated", []) for minute in (20, 50)
        ],  # 11 jobs for 11 replicas; then not at the maximum
    ),
    Timeline(
        "nothing was ever scraped",
        {"up": "0+0x60"},
        [(5, "TogetherExporterDown", [{}])],
    ),
)


def held(alert: str, fires: int, series: dict[str, str], labels: dict[str, str]) -> list[Timeline]:
    """The ways in which a deployment that is known to be bad at minute `fires` becomes unknown one minute later."""
    gone = {name: f"{values} stale" for name, values in series.items()}
    here, away = f"1+0x{fires}", f"1+0x{fires} stale"
    later = fires + 20

    def timeline(name: str, others: dict[str, str], *, holds: bool) -> Timeline:
        before, after = (fires, alert, [labels]), (later, alert, [labels] if holds else [])
        return Timeline(f"{alert}: {name}", {**gone, INFO: away, **others}, [before, after])

    return [
        timeline("the only exporter is gone", {UP: away, READABLE: away}, holds=True),
        timeline("it restarts while the API is away", {UP: away, READABLE: f"{here} 0+0x90"}, holds=True),
        timeline("its polls fail beyond stale_after", {UP: f"{here} 0+0x90", READABLE: "1+0x300"}, holds=True),
        timeline(
            "one of two exporters with different projects is gone",
            {UP: away, READABLE: away, 'together_project_poll_success{project="q"}': "1+0x300"},
            holds=True,
        ),
        timeline(
            "its shard is gone",
            {
                UP: away,
                READABLE: "1+0x300",
                "together_exporter_shards": "2+0x300",
                'together_exporter_shard_info{index="0",instance="a"}': "1+0x300",
                'together_exporter_shard_info{index="1",instance="b"}': away,
            },
            holds=True,
        ),
        timeline("it is deleted", {UP: away, READABLE: "1+0x300"}, holds=False),
        timeline(
            "it is deleted and configured",
            {UP: f"{here} 0+0x90", READABLE: "1+0x300", NOT_FOUND: f"_x{fires} 1+0x90"},
            holds=False,
        ),
    ]


P = {"cluster": "x", "project": "p"}
BLIND = (
    *held("TogetherDeploymentFailed", 9, {FAILED: "1+0x9"}, X),
    *held("TogetherDeploymentNoReadyReplica", 20, {replicas("ready"): "0+0x20", replicas("desired"): "2+0x20"}, X),
    *held("TogetherDeploymentScaledToZero", 9, {status("ScaledToZero"): "1+0x9", replicas("min"): "2+0x9"}, X),
    *held(
        "TogetherDeploymentAvailabilityBurnFast", 40, {replicas("ready"): "0+0x40", replicas("desired"): "2+0x40"}, X
    ),
    *held("TogetherSecretExpired", 9, {expiry("A"): "0+0x9", expiry("B"): "0+0x9"}, {**P, "secret": "hf"}),
    Timeline(
        "one bad sample, then nothing",
        {INFO: GONE, FAILED: "0+0x8 1 stale", UP: GONE, READABLE: GONE},
        [(minute, "TogetherDeploymentFailed", []) for minute in (9, 11, 15)],
    ),
    Timeline(
        "it ends when the deployment is known to be well",
        {INFO: "1+0x9 stale _x19 1+0x40", FAILED: "1+0x9 stale _x19 0+0x40", UP: "1+0x9 stale _x19 1+0x40"},
        [(29, "TogetherDeploymentFailed", [X]), (31, "TogetherDeploymentFailed", [])],
    ),
    Timeline(
        "it ends after an hour",
        {INFO: GONE, FAILED: GONE},
        [(65, "TogetherDeploymentFailed", [X]), (75, "TogetherDeploymentFailed", [])],
    ),
    Timeline(
        "the secret was renewed while another deployment of the project is unknown",
        {expiry("A"): "0+0x9 100000000+0x90", INFO: GONE, UP: "1+0x9 0+0x90", READABLE: "1+0x300"},
        [(9, "TogetherSecretExpired", [{**P, "secret": "hf"}]), (15, "TogetherSecretExpired", [])],
    ),
    Timeline(
        "a deployment that fails is not hidden by the healthy one of the other cluster",
        {
            INFO: GONE,
            FAILED: GONE,
            UP: GONE,
            READABLE: GONE,
            f'{INFO[:-1]},cluster="y"}}': "1+0x90",
            f'{FAILED[:-1]},cluster="y"}}': "0+0x90",
            f'{UP[:-1]},cluster="y"}}': "1+0x90",
            f'{READABLE[:-1]},cluster="y"}}': "1+0x90",
        },
        [(20, "TogetherDeploymentFailed", [X])],
    ),
)
TIMELINES = (*QUIET, *LOUD, *BLIND)
