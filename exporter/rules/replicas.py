"""Alerts about replicas, by class of reason: replacing a replica does not restart `for`."""

from __future__ import annotations

from exporter.rules.alert import DEPLOYMENT_ID, READY, REPLICAS, RUNNING, Alert, one

PRELOAD_STARTED = one("together_replica_volume_preload_started_timestamp_seconds", "replica")


def _of_class(matcher: str, window: str) -> str:
    replicas = f"together:deployment_replicas_with_class{{class{matcher}}}"
    return f"sum by (<deployment>) (max_over_time({replicas}[<{window}>])) > 0"


def _preload(state: str) -> str:
    return one(f'together_replica_volume_preload_status{{status="{state}"}}', "replica") + " == 1"


REPLICA_ALERTS = (
    Alert(
        "TogetherReplicaCrashLooping",
        "warning",
        "10m",
        _of_class('="crash"', "reason_window"),
        "Replicas are crash looping.",
        f"{DEPLOYMENT_ID}: {REPLICAS} crash looping for <for>.",
    ),
    Alert(
        "TogetherReplicaOutOfMemory",
        "warning",
        "15m",
        _of_class('="memory"', "out_of_memory_window"),
        "Replicas repeatedly run out of memory.",
        f"{DEPLOYMENT_ID}: {REPLICAS} OOMKilled repeatedly for <for>.",
    ),
    Alert(
        "TogetherReplicaNoCapacity",
        "warning",
        "15m",
        _of_class('="capacity"', "reason_window"),
        "No capacity for replicas.",
        f"{DEPLOYMENT_ID}: {REPLICAS} waiting for capacity for <for>.",
    ),
    Alert(
        "TogetherReplicaImageOrVolume",
        "warning",
        "10m",
        _of_class('=~"image|volume|config"', "reason_window"),
        "Replicas cannot start due to their image, volume or configuration.",
        f"{DEPLOYMENT_ID}: {REPLICAS} waiting for image, volume or configuration for <for>.",
    ),
    Alert(
        "TogetherReplicaNotReady",
        "warning",
        "15m",
        f"{RUNNING}\n- on (<deployment>) {READY} > 0",
        "Replicas are running but not ready.",
        f"{DEPLOYMENT_ID}: {REPLICAS} running but not ready for <for>.",
    ),
    Alert(
        "TogetherReplicaPreloadFailed",
        "warning",
        "5m",
        f"count by (<deployment>) (\n  {_preload('Failed')}\n)",
        "Volume preload failed.",
        f"{DEPLOYMENT_ID}: volume preload failed on {REPLICAS} for <for>.",
    ),
    Alert(
        "TogetherReplicaPreloadSlow",
        "warning",
        "5m",
        "max by (<deployment>) (\n"
        f"  time() - {PRELOAD_STARTED}\n"
        f"  and on (<deployment>, replica) {_preload('InProgress')}\n"
        ") > <preload_seconds>",
        "Volume preload is slow.",
        f"{DEPLOYMENT_ID}: a replica has been preloading its volume for {{{{ $value | humanizeDuration }}}}.",
    ),
)
