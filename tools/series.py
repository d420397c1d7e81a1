"""How many series a deployment and a replica have, counted by the code that renders them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from benchmarks.fleet import REPLICAS, deployment
from exporter.api.reading import read_deployment, read_revision
from exporter.metrics.families import DEPLOYMENT, HISTORY, LABELS, POLL, REPLICA, REVISION
from exporter.metrics.family import Group, unique
from exporter.state.history import History
from exporter.state.instant import Instant
from exporter.state.records import Poll

DEPLOYMENTS = 10
START = Instant(0, 1_780_000_000)
REVISION_ANSWER = {
    "revision_id": "rev-1",
    "revision_number": 1,
    "action": "update",
    "activated_at": "2026-04-01T12:00:00Z",
}
OFF = {REPLICA: "`replica_metrics: false`", REVISION: "default; on with `revisions: true`"}
DROPPED = "`metric_relabel_configs`"
VARIES = {
    "together_deployment_secret_expiry_timestamp_seconds": "variable from a secret that expires",
    "together_deployment_volume_info": "volume",
    "together_deployment_model_mount_info": "mounted model",
    "together_deployment_replicas_with_reason": "reason that occurs",
    "together_deployment_queue_info": "queue that scales it",
    "together_deployment_poll_error": "poll that fails",
    "together_replica_status_reason": "reason, while there is one",
}


def table() -> str:
    """For a healthy deployment with every field that the API documents, and its replicas."""
    answer = read_deployment(json.dumps(deployment(1)).encode()).deployment
    subjects: dict[Group[Any], Any] = {
        DEPLOYMENT: answer,
        LABELS: (),
        HISTORY: History().after(answer, START),
        POLL: Poll(succeeded=START),
        REVISION: read_revision(json.dumps({"data": [REVISION_ANSWER]}).encode()),
        REPLICA: next(iter((answer.replica_events or {}).values())),
    }
    counts = {group: dict(_counts(group, subject)) for group, subject in subjects.items()}
    always = sum(sum(counts[group].values()) for group in (DEPLOYMENT, LABELS, HISTORY, POLL))
    loading = sum(count for name, count in counts[REPLICA].items() if "preload" in name)
    replica = sum(counts[REPLICA].values()) - loading
    lines = ["| metric | series | for each | turned off by |", "|---|---|---|---|"]
    for group, families in counts.items():
        subject = "replica" if group is REPLICA else "deployment"
        lines += [_row(name, count, subject, OFF.get(group, DROPPED)) for name, count in families.items()]
    return "\n".join((*lines, "", *_totals(always, replica, loading), ""))


def _totals(always: int, replica: int, loading: int) -> Iterator[str]:
    """`always`: of a deployment. `replica`: of a replica without a volume preload; `loading`: what a preload adds."""
    yield f"A deployment has {always} series and {replica} for each replica, {replica + loading} with a volume preload."
    yield f"{DEPLOYMENTS} deployments with {REPLICAS} replicas each:"
    yield ""
    yield "| what | series |"
    yield "|---|---|"
    for what, count in (
        ("no volume preloads", replica),
        ("every replica has a volume preload", replica + loading),
        ("`replica_metrics: false`", 0),
    ):
        yield f"| {what} | {DEPLOYMENTS * (always + REPLICAS * count)} |"


def _row(name: str, count: int, subject: str, off: str) -> str:
    if name in VARIES:
        return f"| `{name}` | 1 | {VARIES[name]} | {off} |"
    each = f"{subject} with a volume preload" if "preload" in name else subject
    return f"| `{name}` | {count} | {each} | {off} |"


def _counts(group: Group[Any], subject: Any) -> Iterator[tuple[str, int]]:
    for family in group.families:
        yield family.name, len(unique(family.samples(subject)))
