"""What is known of a deployment, as series: the half of the oracle that looks at answers, not at polls."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = dict[str, Any]
Labels = dict[str, str]
Sample = tuple[str, Labels, float]

STARTED = 1_775_001_600.0  # the wall clock's second 0
STATUSES = ("Updating", "Scaling", "Ready", "Failed", "ScaledToZero")
REPLICA_STATUSES = ("Running", "Waiting", "Terminated")
PRELOAD_STATUSES = ("InProgress", "Completed", "Failed")
CLASSES = ("crash", "memory", "image", "capacity", "volume", "config", "evicted", "starting", "completed", "other")
CLASS_OF = {"CrashLoopBackOff": "crash", "OOMKilled": "memory", "Evicted": "evicted", "ContainerCreating": "starting"}
DROPS = (
    "replica_limit", "deployment_limit", "duplicate_deployment", "invalid_value", "label_length_limit", "entry_limit",
)  # fmt: skip


@dataclass
class Config:
    """One project. `keys`: the configured names and IDs; None discovers."""

    project: str
    keys: tuple[str, ...] | None = None
    fetch: str = "list"
    stale_after: float = 300.0
    replica_metrics: bool = True
    max_replicas: int = 200
    max_deployments: int = 10_000
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def wants(self, id_: str, name: str) -> bool:
        if self.keys is not None:
            return id_ in self.keys or name in self.keys
        is_included = not self.include or any(re.fullmatch(pattern, name) for pattern in self.include)
        return is_included and not any(re.fullmatch(pattern, name) for pattern in self.exclude)


@dataclass
class Entry:
    """What is known of one deployment. `seen`: its good answers and when they came, since the first of this ID.
    `counted_from`: how many of them came before its counters began. `answer`: None where it is not known or deleted."""

    key: str
    name: str
    seen: list[tuple[float, Json]] = field(default_factory=list)
    counted_from: int = 0
    shown_as: str | None = None
    answer: Json | None = None
    error: str | None = None
    succeeded: float | None = None

    def succeed(self, answer: Json, second: float) -> None:
        if self.seen and self.seen[-1][1]["id"] != answer["id"]:
            self.seen, self.counted_from, self.shown_as = [], 0, None
        self.seen.append((second, answer))
        self.name, self.answer, self.error, self.succeeded = answer["name"], answer, None, second

    def fail(self, reason: str) -> None:
        self.error = reason
        if reason == "not_found":
            self.answer = None

    def created(self) -> tuple[bool, float]:
        created = time_of(self.answer.get("created_at")) if self.answer else None
        return created is None, created or 0.0


def labels_of(entries: dict[str, Entry]) -> dict[str, Entry]:
    """Each entry by the label `deployment`: its name where no other has a better claim to it, else its key."""
    labels = {}
    for key, entry in entries.items():
        rivals = [other for other in entries.values() if other.name == entry.name]
        owner = min(rivals, key=lambda rival: (rival.answer is None, *rival.created(), rival.key))
        labels[entry.name if owner is entry and entry.name not in entries else key] = entry
    return labels


def poll_of(entry: Entry) -> Iterator[Sample]:
    yield "together_deployment_poll_success", {}, float(entry.error is None)
    yield "together_deployment_labels", {}, 1.0
    if entry.error is not None:
        yield "together_deployment_poll_error", {"reason": entry.error}, 1.0
    if entry.succeeded is not None:
        yield "together_deployment_last_success_timestamp_seconds", {}, STARTED + entry.succeeded


@dataclass
class Walk:
    """Over all answers that were seen of a deployment, from each to the next."""

    status: str | None = None
    listed: dict[str, Json] | None = None  # None before the first answer that lists any
    reasons: dict[str, str] = field(default_factory=dict)  # the last one of each replica
    first_seen: dict[str, float] = field(default_factory=dict)  # of those that appeared and have not been ready yet
    changes: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    started: int = 0
    lost: int = 0
    startups: int = 0
    startup: float = 0.0

    def step(self, second: float, answer: Json) -> None:
        status = answer.get("status") or self.status
        if self.status is not None and status != self.status:
            self.changes[status or ""] += 1
        self.status = status
        replicas = answer.get("replica_events")
        if replicas is None:
            return
        for name, before in (self.listed or {}).items():
            self._follow(name, before, replicas.get(name))
        for name, replica in replicas.items():
            self._see(name, replica, second)
        self.listed = replicas

    def _follow(self, name: str, before: Json, after: Json | None) -> None:
        if after is None:
            self.ended[CLASS_OF.get(self.reasons.pop(name, ""), "other")] += 1
            self.first_seen.pop(name, None)
        elif is_ready(before):
            is_same = is_ready(after) and before["replica_ready_since"] == after["replica_ready_since"]
            self.lost += not is_same

    def _see(self, name: str, replica: Json, second: float) -> None:
        if self.listed is not None and name not in self.listed:
            self.started += 1
            self.first_seen[name] = second
        if replica.get("replica_status_reason"):
            self.reasons[name] = replica["replica_status_reason"]
        if is_ready(replica) and name in self.first_seen:
            appeared, since = self.first_seen.pop(name), time_of(replica["replica_ready_since"])
            if since is not None:
                self.startups += 1
                self.startup += max(0.0, since - STARTED - appeared)

    def begin_counting(self) -> None:
        self.changes, self.ended = Counter(), Counter()
        self.started = self.lost = self.startups = 0
        self.startup = 0.0


def counters_of(entry: Entry) -> Iterator[Sample]:
    walk = Walk()
    for place, (second, answer) in enumerate(entry.seen):
        if place == entry.counted_from:
            walk.begin_counting()
        walk.step(second, answer)
    if entry.counted_from >= len(entry.seen):
        walk.begin_counting()
    for status in {*STATUSES, *walk.changes}:
        yield "together_deployment_status_changes_total", {"status": status}, float(walk.changes[status])
    for class_ in CLASSES:
        yield "together_deployment_replicas_ended_total", {"class": class_}, float(walk.ended[class_])
    yield "together_deployment_replicas_started_total", {}, float(walk.started)
    yield "together_deployment_readiness_lost_total", {}, float(walk.lost)
    yield "together_deployment_replica_startup_seconds_sum", {}, walk.startup
    yield "together_deployment_replica_startup_seconds_count", {}, float(walk.startups)


NUMBERS = {
    "ready_replicas": ("replicas_ready", 1),
    "desired_replicas": ("replicas_desired", 1),
    "min_replicas": ("replicas_min", 1),
    "max_replicas": ("replicas_max", 1),
    "cpu": ("cpu_cores", 1),
    "memory": ("memory_bytes", 2**30),
    "storage": ("storage_bytes", 2**30),
}


def deployment_of(answer: Json) -> Iterator[Sample]:
    for name, labels, value in [*fields_of(answer), *infos_of(answer), *listed_of(answer)]:
        yield f"together_deployment_{name}", labels, value


def fields_of(answer: Json) -> Iterator[Sample]:
    for field_, (metric, unit) in NUMBERS.items():
        if (value := number(answer.get(field_))) is not None:
            yield metric, {}, value * unit
    if (value := number(answer.get("gpu_count"))) is not None:
        yield "gpus_per_replica", {"gpu_type": answer.get("gpu_type") or "none"}, value
    for field_ in ("created_at", "updated_at"):
        if (moment := time_of(answer.get(field_))) is not None:
            yield f"{field_.removesuffix('_at')}_timestamp_seconds", {}, moment
    yield from state_set("status", STATUSES, answer.get("status"))


def infos_of(answer: Json) -> Iterator[Sample]:
    texts = {name: answer.get(name) or "" for name in ("id", "image", "capacity_type")}
    gpu_type = answer.get("gpu_type") or "none"
    yield "info", {**texts, "gpu_type": gpu_type, "revision": revision_of(answer) or ""}, 1.0
    scaling = answer.get("autoscaling") or {}
    if (value := number(scaling.get("target"))) is not None:
        labels = {"metric": scaling.get("metric") or "", "custom_metric": scaling.get("custom_metric_name") or ""}
        yield "autoscaling_target", labels, value
    if queue := queue_of(answer):
        yield "queue_info", {"queue": queue}, 1.0


def listed_of(answer: Json) -> Iterator[Sample]:
    if answer.get("replica_events") is None:
        return
    replicas = list(answer["replica_events"].values())
    statuses = Counter(replica.get("replica_status") or "" for replica in replicas)
    for status in {*REPLICA_STATUSES, *statuses} - {""}:
        if statuses[status] or not statuses[""]:
            yield "replicas", {"status": status}, float(statuses[status])
    reasons = Counter(replica.get("replica_status_reason") or "" for replica in replicas)
    for reason in set(reasons) - {""}:
        yield "replicas_with_reason", {"reason": reason, "class": CLASS_OF.get(reason, "other")}, float(reasons[reason])
    if revision := revision_of(answer):
        live = [replica for replica in replicas if replica.get("replica_status") != "Terminated"]
        if all(replica.get("revision_id") for replica in live):
            yield "replicas_updated", {}, float(sum(replica["revision_id"] == revision for replica in live))


def revision_of(answer: Json) -> str | None:
    variables = {each["name"]: each.get("value") for each in answer.get("environment_variables") or ()}
    return variables.get("TOGETHER_DEPLOYMENT_REVISION_ID")


def replicas_of(answer: Json, config: Config) -> Iterator[Sample]:
    if not config.replica_metrics:
        return
    for name, replica in sorted((answer.get("replica_events") or {}).items())[: config.max_replicas]:
        for metric, labels, value in replica_of(replica):
            yield f"together_replica_{metric}", {"replica": name, **labels}, value


def replica_of(replica: Json) -> Iterator[Sample]:
    yield from state_set("status", REPLICA_STATUSES, replica.get("replica_status"))
    yield from state_set("volume_preload_status", PRELOAD_STATUSES, replica.get("volume_preload_status"))
    if reason := replica.get("replica_status_reason"):
        yield "status_reason", {"reason": reason}, 1.0
    yield "ready", {}, float(is_ready(replica))
    if (since := time_of(replica.get("replica_ready_since"))) is not None:
        yield "ready_timestamp_seconds", {}, since
    yield "info", {"image": replica.get("image") or "", "revision": replica.get("revision_id") or ""}, 1.0
    for moment in ("started", "completed"):
        if (unix := time_of(replica.get(f"volume_preload_{moment}_at"))) is not None:
            yield f"volume_preload_{moment}_timestamp_seconds", {}, unix


def state_set(name: str, known: Sequence[str], current: str | None) -> Iterator[Sample]:
    if current:
        for status in {*known, current}:
            yield name, {"status": status}, float(status == current)


def left_out_of(answer: Json, config: Config) -> Counter[str]:
    replicas = answer.get("replica_events") or {}
    left_out = Counter[str](invalid_value=answer.get("cpu") is not None and number(answer["cpu"]) is None)
    for replica in replicas.values():
        since = replica.get("replica_ready_since")
        left_out["invalid_value"] += bool(since) and time_of(since) is None
    if config.replica_metrics:
        left_out["replica_limit"] = max(0, len(replicas) - config.max_replicas)
    return left_out


def is_ready(replica: Json) -> bool:
    return replica.get("replica_status") == "Running" and bool(replica.get("replica_ready_since"))


def queue_of(answer: Json) -> str | None:
    scaling = answer.get("autoscaling") or {}
    return scaling.get("model") or answer["name"] if scaling.get("metric") == "QueueBacklogPerWorker" else None


def age_of(answer: Json) -> tuple[bool, float, str]:
    created = time_of(answer.get("created_at"))
    return created is None, created or 0.0, answer["id"]


def number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def time_of(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return None
