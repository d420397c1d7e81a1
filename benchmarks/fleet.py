"""Generated responses of any size: deployments with five replicas each."""

from __future__ import annotations

import json
from typing import Any

REPLICAS = 5
STATUSES = ("Ready", "Scaling")


def deployment(number: int, turn: int = 0) -> dict[str, Any]:
    """`turn`: another one is another state: its status, ready replicas, time of update, and one replica's status."""
    name = f"deployment-{number:05d}"
    return {
        "object": "deployment",
        "id": f"dep_{number:08x}",
        "name": name,
        "status": STATUSES[turn % 2],
        "image": f"registry.example/team/app-{number % 50}:v1.2.3",
        "gpu_type": "h100-80gb",
        "gpu_count": 1 + number % 8,
        "capacity_type": "stable",
        "cpu": 8,
        "memory": 64,
        "storage": 200,
        "desired_replicas": REPLICAS,
        "ready_replicas": REPLICAS - turn % 2,
        "min_replicas": 1,
        "max_replicas": 2 * REPLICAS,
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": f"2026-04-01T12:{turn // 60 % 60:02d}:{turn % 60:02d}Z",
        "autoscaling": {"metric": "HTTPTotalRequests", "target": 100},
        "environment_variables": [
            {"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": f"rev-{number}"},
            {"name": "HF_TOKEN", "value_from_secret": "hf", "value_from_secret_expires_at": "2026-12-01T00:00:00Z"},
            {"name": "LOG_LEVEL", "value": "info"},
        ],
        "volumes": [{"name": "weights", "mount_path": "/models", "version": 3}],
        "replica_events": {f"{name}-{index}": _replica(number, index, turn) for index in range(REPLICAS)},
    }


def _replica(number: int, index: int, turn: int) -> dict[str, Any]:
    """The first one comes and goes with the turns."""
    waits = index == 0 and turn % 2 == 1
    return {
        "image": f"registry.example/team/app-{number % 50}:v1.2.3",
        "replica_status": "Waiting" if waits else "Running",
        "replica_status_reason": "ContainerCreating" if waits else None,
        "replica_ready_since": None if waits else f"2026-03-{1 + index:02d}T12:00:00Z",
        "revision_id": f"rev-{number}",
        "volume_preload_status": "Completed",
        "volume_preload_started_at": "2026-03-01T12:00:00Z",
        "volume_preload_completed_at": "2026-03-01T12:01:00Z",
    }


def answer(size: int, turn: int = 0, changed: int | None = None) -> bytes:
    """The list of `size` deployments, of which the first `changed` (all by default) are at `turn`, the others at 0."""
    last = size if changed is None else changed
    items = [deployment(number, turn if number < last else 0) for number in range(size)]
    return json.dumps({"object": "list", "data": items}, separators=(",", ":")).encode()
