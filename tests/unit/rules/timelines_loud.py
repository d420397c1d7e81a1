"""What must be loud."""

from __future__ import annotations

from tests.unit.rules.cases_deployments import INFO, QUEUE_INFO, READABLE, jobs
from tests.unit.rules.cases_projects import CONFIGURED, LAST, NOT_FOUND, TARGET, error, expiry
from tests.unit.rules.promtool import D, P, Timeline, X, replicas, with_status

E = 'project="p",deployment="e"'
UNAVAILABLE = f'together_deployment_poll_error{{{D},reason="server_error"}}'

LOUD = (
    Timeline(
        "no ready replica after a long good time: 5 minutes",
        {replicas("desired"): "2+0x90", replicas("ready"): "2+0x60 0+0x30"},
        [(65, "TogetherDeploymentNoReadyReplica", []), (66, "TogetherDeploymentNoReadyReplica", [X])],
    ),
    Timeline(
        "no ready replica, and the API leaves out a number that is 0",
        {
            replicas("desired"): "2+0x120",
            replicas("ready"): "2+0x60 stale",
            with_status("Running"): "2+0x60 0+0x60",
        },
        [
            (65, "TogetherDeploymentNoReadyReplica", []),
            (66, "TogetherDeploymentNoReadyReplica", [X]),
            (100, "TogetherDeploymentAvailabilityBurnFast", [X]),
        ],
    ),
    Timeline(
        "replicas are running and not ready, and the API leaves out a number that is 0",
        {
            replicas("desired"): "2+0x120",
            replicas("min"): "1+0x120",
            replicas("ready"): "2+0x60 stale",
            with_status("Running"): "2+0x120",
            with_status("Waiting"): "0+0x120",
            with_status("Terminated"): "0+0x120",
            f'together_replica_ready{{{D},replica="a"}}': "1+0x60 0+0x60",
            f'together_replica_ready{{{D},replica="b"}}': "1+0x60 0+0x60",
        },
        [
            (65, "TogetherDeploymentNoReadyReplica", []),
            (66, "TogetherDeploymentNoReadyReplica", [X]),
            (100, "TogetherDeploymentAvailabilityBurnFast", [X]),
            (76, "TogetherDeploymentBelowDesired", [X]),
            (76, "TogetherDeploymentBelowMinimum", [X]),
            (76, "TogetherReplicaNotReady", [X]),
        ],
    ),
    Timeline(
        "the API no longer says how many replicas are ready",
        {
            replicas("desired"): "2+0x120",
            replicas("ready"): "2+0x60 stale",
            with_status("Running"): "2+0x120",
        },
        [
            (minute, alert, [])
            for minute in (66, 100)
            for alert in ("TogetherDeploymentNoReadyReplica", "TogetherDeploymentAvailabilityBurnFast")
        ],
    ),
    Timeline(
        "one of two exporters is replaced, and its successor is never scraped",
        {
            'up{instance="a"}': "1+0x60",
            'together_exporter_build_info{version="1",instance="a"}': "1+0x60",
            'up{instance="b1"}': "1+0x20 stale",
            'together_exporter_build_info{version="1",instance="b1"}': "1+0x20 stale",
            'up{instance="b2"}': "_x21 0+0x60",
        },
        [
            (25, "TogetherExporterInstanceDown", []),
            (26, "TogetherExporterInstanceDown", [{"cluster": "x", "job": "j", "instance": "b2"}]),
        ],
    ),
    Timeline(
        "the exporter of a cluster is down for longer than exporters that are gone are remembered",
        {
            'up{instance="a"}': "1+0x20 0+0x100",
            'together_exporter_build_info{version="1",instance="a"}': "1+0x20 stale",
            'together_exporter_build_info{version="1",cluster="y"}': "1+0x120",
        },
        [
            (minute, alert, [labels])
            for minute in (40, 110)
            for alert, labels in (
                ("TogetherExporterDown", {"cluster": "x"}),
                ("TogetherExporterInstanceDown", {"cluster": "x", "job": "j", "instance": "a"}),
            )
        ],
        {"exporter_memory": "30m"},
    ),
    Timeline(
        "a secret expires, and the API leaves out when",
        {INFO: "1+0x120", expiry("A"): "1800+0x30 stale"},
        [
            (31, "TogetherSecretExpired", []),
            (33, "TogetherSecretExpired", [{**P, "secret": "hf"}]),
            (80, "TogetherSecretExpired", [{**P, "secret": "hf"}]),
        ],
    ),
    Timeline(
        "one 404, a success, then an outage",
        {
            LAST: "0+60x59 3540 3660+60x3 3840+0x140",
            NOT_FOUND: "_x60 1 stale",
            UNAVAILABLE: "_x65 1+0x140",
            READABLE: "1+0x64 0+0x140",
        },
        [(81, "TogetherDataStale", []), *((minute, "TogetherDataStale", [P]) for minute in (82, 85, 110, 119))],
    ),
    Timeline(
        "an outage of an hour, in which the exporter is replaced",
        {
            f'{LAST[:-1]},instance="old"}}': "0+60x10 600+0x29 stale",
            'together_project_poll_success{project="p",instance="old"}': "1+0x10 0+0x29 stale",
            'together_project_poll_success{project="p",instance="new"}': "_x42 0+0x20 1+0x60",
            f'{LAST[:-1]},instance="new"}}': "_x63 3780+60x60",
        },
        [
            (27, "TogetherDataStale", []),
            (28, "TogetherDataStale", [P]),
            (39, "TogetherDataStale", [P]),
            (50, "TogetherDataStale", [P]),
            (62, "TogetherDataStale", [P]),
            (64, "TogetherDataStale", []),
        ],
    ),
    Timeline(
        "one of two exporters is deleted",
        {
            'together_project_poll_success{project="p",instance="a"}': "1+0x20 stale",
            'together_project_poll_success{project="q",instance="b"}': "1+0x90",
            'together_exporter_build_info{version="1",instance="a"}': "1+0x20 stale",
            'together_exporter_build_info{version="1",instance="b"}': "1+0x90",
        },
        [(30, "TogetherProjectNotExported", []), (31, "TogetherProjectNotExported", [P])],
    ),
    Timeline(
        "one of two exporters of a job is down, and the other one reloads",
        {
            'together_project_poll_success{project="p",instance="a"}': "1+0x20 stale",
            'together_project_poll_success{project="q",instance="b"}': "1+0x90",
            'up{instance="a"}': "1+0x20 0+0x70",
            f'{CONFIGURED}{{instance="a"}}': "0+0x20 stale",
            f'{CONFIGURED}{{instance="b"}}': "0+0x18 1140+0x70",
            'together_exporter_build_info{version="1",instance="a"}': "1+0x20 stale",
            'together_exporter_build_info{version="1",instance="b"}': "1+0x90",
        },
        [(minute, "TogetherProjectNotExported", [P]) for minute in (31, 60, 89)],
    ),
    Timeline(
        "the key of one shard is refused",
        {
            error("unauthorized"): "1+0x90",
            'together_project_poll_success{project="p",instance="0"}': "0+0x90",
            'together_project_poll_success{project="p",instance="1"}': "1+0x90",
            'together_exporter_shards{instance="0"}': "2+0x90",
            'together_exporter_shards{instance="1"}': "2+0x90",
        },
        [(10, "TogetherKeyRefused", [P])],
    ),
    Timeline(
        "no ready replica, and the ID of the deployment is left out once",
        {
            replicas("desired"): "2+0x120",
            replicas("ready"): "2+0x60 0+0x60",
            f'together_deployment_info{{{D},id="i"}}': "1+0x79 stale 1+0x40",
            f'together_deployment_info{{{D},id=""}}': "_x80 1 stale",
        },
        [(minute, "TogetherDeploymentNoReadyReplica", [X]) for minute in (70, 80, 81, 82, 90)],
    ),
    Timeline(
        "one of two exporters with different jobs is deleted, and the other one reloads",
        {
            'together_project_poll_success{project="p",instance="a",job="one"}': "1+0x20 stale",
            'together_project_poll_success{project="q",instance="b",job="two"}': "1+0x90",
            f'{CONFIGURED}{{instance="a",job="one"}}': "0+0x20 stale",
            f'{CONFIGURED}{{instance="b",job="two"}}': "0+0x30 1800+0x60",
            'together_exporter_build_info{version="1",instance="a",job="one"}': "1+0x20 stale",
            'together_exporter_build_info{version="1",instance="b",job="two"}': "1+0x90",
        },
        [(minute, "TogetherProjectNotExported", [P]) for minute in (31, 60, 89)],
    ),
    Timeline(
        "the only exporter is deleted: one alert is enough",
        {READABLE: "1+0x20 stale", 'together_exporter_build_info{version="1"}': "1+0x20 stale"},
        [(60, "TogetherProjectNotExported", []), (60, "TogetherExporterDown", [{"cluster": "x"}])],
    ),
    Timeline(
        "one shard is missing while others still run with an earlier number of shards",
        {
            'together_exporter_shards{instance="0"}': "2+0x60",
            'together_exporter_shards{instance="1"}': "3+0x60",
            'together_exporter_shards{instance="2"}': "3+0x60",
            'together_exporter_shard_info{index="0",total="2",instance="0"}': "1+0x60",
            'together_exporter_shard_info{index="1",total="3",instance="1"}': "1+0x60",
            'together_exporter_shard_info{index="2",total="3",instance="2"}': "1+0x60",
        },
        [(4, "TogetherShardMissing", []), (5, "TogetherShardMissing", [{"cluster": "x", "job": "j"}])],
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
