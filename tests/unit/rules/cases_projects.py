"""The same for alerts about projects and exporters."""

from __future__ import annotations

from tests.unit.rules.cases_deployments import QUEUE_INFO, READABLE, UP, jobs
from tests.unit.rules.promtool import Case, D, replicas

NOT_FOUND = f'together_deployment_poll_error{{{D},reason="not_found"}}'
LAST = f"together_deployment_last_success_timestamp_seconds{{{D}}}"
TARGET = f'together_deployment_autoscaling_target{{{D},metric="QueueBacklogPerWorker",custom_metric=""}}'
BUILD = 'together_exporter_build_info{version="1"}'
CONFIGURED = "together_exporter_config_last_reload_success_timestamp_seconds"
SHARD = 'together_exporter_shard_info{index="%d",total="2",instance="%s"}'
PROJECT, QUEUE, SECRET = {"project": "p"}, {"project": "p", "queue": "o/q"}, {"project": "p", "secret": "hf"}


def expiry(variable: str) -> str:
    return f'together_deployment_secret_expiry_timestamp_seconds{{{D},variable="{variable}",secret="hf"}}'


def error(reason: str) -> str:
    return f'together_project_poll_error{{project="p",reason="{reason}"}}'


def requests(code: int) -> str:
    return f'together_exporter_api_requests_total{{project="p",code="{code}"}}'


CASES = (
    Case(
        "TogetherSecretExpired",
        12,
        {expiry("HF_TOKEN"): (600, 1_000_000), expiry("HUB_TOKEN"): (600, 1_000_000)},
        {expiry("HF_TOKEN"): (1_000_000, 1_000_000)},
        "p: secret hf expired 2m 0s ago.",
        SECRET,
    ),
    Case(
        "TogetherSecretExpires",
        10,
        {expiry("HF_TOKEN"): (600_000, 6_000_000), expiry("HUB_TOKEN"): (600_000, 6_000_000)},
        {expiry("HF_TOKEN"): (700_000, 700_000)},
        "p: secret hf expires in 6d 22h 30m 0s.",
        SECRET,
    ),
    Case(
        "TogetherQueueStuck",
        15,
        {jobs("waiting"): (5, 5), jobs("running"): (0, 2)},
        {jobs("waiting"): (5, 5), jobs("running"): (2, 2)},
        "p: queue o/q: 5 jobs waiting and 0 running for 15 minutes.",
        QUEUE,
    ),
    Case(
        "TogetherQueueSaturated",
        10,
        {
            jobs("waiting"): (9, 0),
            jobs("running"): (2, 2),
            QUEUE_INFO: (1, 1),
            TARGET: (1.05, 1.05),
            replicas("desired"): (2, 2),
            replicas("max"): (2, 2),
        },
        {
            jobs("waiting"): (9, 9),
            jobs("running"): (2, 2),
            QUEUE_INFO: (1, 1),
            TARGET: (1.05, 1.05),
            replicas("desired"): (1, 1),  # still scaling up
            replicas("max"): (2, 2),
        },
        "p: queue o/q: 5.5 jobs per replica with deployments at their maximum for 10 minutes.",
        QUEUE,
    ),
    Case(
        "TogetherKeyRefused",
        5,
        {error("unauthorized"): "1+0x15 stale"},
        {error("unauthorized"): (1, 1), READABLE: (1, 1)},  # another exporter has a good key
        "p: API key rejected for 5 minutes.",
        PROJECT,
    ),
    Case(
        "TogetherKeyRefused",
        5,
        {error("forbidden"): "1+0x15 stale", READABLE: (0, 1)},
        {error("unauthorized"): "1 stale", error("timeout"): (1, 1)},
        "p: API key rejected for 5 minutes.",
        PROJECT,
    ),
    Case(
        "TogetherSpendingLimitReached",
        5,
        {error("payment_required"): "1+0x15 stale"},
        {error("forbidden"): (1, 1)},
        "p: API returned 402 Payment Required for 5 minutes.",
        PROJECT,
    ),
    Case(
        "TogetherDataStale",
        18,
        {LAST: "0+0x28 1740+60x60"},
        {LAST: "0+0x90", NOT_FOUND: "1+0x90"},
        "p: last successful poll of a deployment was 18m 0s ago.",
        PROJECT,
    ),
    Case(
        "TogetherPollsFailing",
        10,
        {UP: (0, 1)},
        {UP: (0, 0), NOT_FOUND: (1, 1), READABLE: (1, 1)},
        "p: polls of 1 deployment failing for 10 minutes.",
        PROJECT,
    ),
    Case(
        "TogetherPollsFailing",
        10,
        {READABLE: (0, 1)},  # and nothing of it is known yet
        {READABLE: (1, 1)},
        "p: polls of all deployments failing for 10 minutes.",
        PROJECT,
    ),
    Case(
        "TogetherRateLimited",
        16,
        {requests(429): "0+1x26 26+0x60", requests(200): "0+9x90"},
        {requests(429): "0+0x5 1+0x12 2+0x60", requests(200): "0+2x90"},  # 2 in half an hour
        "p: 10% of requests answered with 429 Too Many Requests for 15 minutes.",
        PROJECT,
        lag=6,
    ),
    Case(
        "TogetherRateLimited",
        15,
        {error("rate_limited"): "1+0x25 stale", requests(429): "0 1 1 1 1 1 1 2 2 2 2 2 2 3 3 3 3 3 3 4+0x60"},
        {error("rate_limited"): "1+0x13 stale", requests(429): "0 1+0x60"},
        "p: polls answered with 429 Too Many Requests for 15 minutes.",
        PROJECT,
    ),
    Case(
        "TogetherProjectEmpty",
        15,
        {'together_project_deployments{project="p"}': (0, 1), READABLE: (1, 1)},
        {'together_project_deployments{project="p"}': (0, 0), READABLE: (1, 1), UP: (0, 0)},  # one is known, and stale
        "p: polls succeed but return no deployments for 15 minutes.",
        PROJECT,
    ),
    Case(
        "TogetherDeploymentNotFound",
        10,
        {NOT_FOUND: "1+0x20 stale", UP: (0, 1)},
        {f'together_deployment_poll_error{{{D},reason="timeout"}}': (1, 1), UP: (0, 0)},
        "p/d: not found by the API for 10 minutes.",
    ),
    Case(
        "TogetherSeriesDropped",
        15,
        {'together_project_items_dropped{project="p",reason="replica_limit"}': (78, 0)},
        {'together_project_items_dropped{project="p",reason="replica_limit"}': (0, 0)},
        "p: 78 items omitted from /metrics (replica_limit) for 15 minutes.",
        {"project": "p", "reason": "replica_limit"},
    ),
    Case(
        "TogetherExporterDown",
        6,
        {BUILD: "1 stale _x15 1+0x60"},
        {BUILD: (1, 1)},
        "No together-exporter scraped in cluster x for 5 minutes. Its deployments are not monitored.",
        {},
    ),
    Case(
        "TogetherExporterInstanceDown",
        5,
        {'up{job="mine",instance="i"}': (0, 1), 'together_exporter_build_info{job="mine",instance="i"}': "1 stale"},
        {'up{job="other",instance="i"}': (0, 0), 'together_exporter_build_info{job="mine",instance="i"}': (1, 1)},
        "mine: i not scraped for 5 minutes.",
        {"job": "mine", "instance": "i"},
    ),
    Case(
        "TogetherExporterPollsFailing",
        10,
        {
            'together_project_poll_success{project="p",instance="good"}': (1, 1),
            'together_project_poll_success{project="p",instance="bad"}': (0, 1),
        },
        {'together_project_poll_success{project="p"}': (0, 0)},  # TogetherPollsFailing is about this
        "p: polls by bad failing for 10 minutes, while other exporters can poll the project.",
        {"project": "p", "job": "j", "instance": "bad"},
    ),
    Case(
        "TogetherProjectNotExported",
        11,
        {
            'together_project_poll_success{project="p",instance="gone"}': "1 stale",
            'together_project_poll_success{project="p",instance="new"}': "_x22 1+0x60",
            BUILD[:-1] + ',instance="gone"}': "1 stale",
            BUILD[:-1] + ',instance="other"}': (1, 1),
        },
        {
            'together_project_poll_success{project="p",instance="lives"}': "1 stale",  # no longer configured
            f'{CONFIGURED}{{instance="lives"}}': "0 60+0x60",
            BUILD[:-1] + ',instance="lives"}': (1, 1),
        },
        "p: its exporter is gone for 10 minutes, and no other exports the project.",
        PROJECT,
    ),
    Case(
        "TogetherShardMissing",
        5,
        {"together_exporter_shards": (2, 2), SHARD % (0, "a"): (1, 1), SHARD % (1, "b"): "_x16 1+0x60"},
        {"together_exporter_shards": (2, 2), SHARD % (0, "a"): (1, 1), SHARD % (1, "b"): (1, 1)},
        "j: 1 shard missing for 5 minutes.",
        {"job": "j"},
    ),
    Case(
        "TogetherConfigReloadFailed",
        5,
        {"together_exporter_config_last_reload_successful": (0, 1)},
        {"together_exporter_config_last_reload_successful": (1, 1)},
        "j: configuration reload failing for 5 minutes; the previous configuration is in use.",
        {"job": "j"},
    ),
)
