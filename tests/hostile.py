"""Deployments of which one thing is wrong, as raw JSON: each field with each value that does not belong there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from exporter.api.models import Autoscaling, Deployment, EnvironmentVariable, Replica, Volume

WELL: dict[str, Any] = {
    "autoscaling": {"metric": "HTTPTotalRequests", "target": 100},
    "capacity_type": "stable",
    "cpu": 8,
    "created_at": "2026-03-01T00:00:00Z",
    "desired_replicas": 2,
    "environment_variables": [{"name": "TOKEN", "value_from_secret_expires_at": "2026-05-01T00:00:00Z"}],
    "gpu_count": 1,
    "gpu_type": "h100-80gb",
    "image": "registry.example/app:1",
    "max_replicas": 4,
    "memory": 64,
    "min_replicas": 1,
    "ready_replicas": 2,
    "replica_events": {
        "r-0": {
            "image": "registry.example/app:1",
            "replica_ready_since": "2026-04-01T00:00:00Z",
            "replica_status": "Running",
            "replica_status_reason": "Slow",
            "revision_id": "rev-1",
            "volume_preload_completed_at": "2026-04-01T00:00:00Z",
            "volume_preload_started_at": "2026-03-31T00:00:00Z",
            "volume_preload_status": "Completed",
        }
    },
    "status": "Ready",
    "storage": 100,
    "updated_at": "2026-04-01T00:00:00Z",
    "volumes": [{"name": "weights", "mount_path": "/w", "version": 3}],
}
VALUES = {
    "null": "null",
    "true": "true",
    "text": '"sometext"',
    "digits": '"5"',
    "empty": '""',
    "float": "2.5",
    "negative": "-1",
    "negative-zero": "-0.0",
    "too-large": "1" + "0" * 400,
    "beyond-float": "1e400",
    "beyond-2-to-53": str(2**60),
    "nan": "NaN",
    "infinity": "Infinity",
    "minus-infinity": "-Infinity",
    "list": "[]",
    "list-in-list": "[[[1]]]",
    "object": "{}",
    "object-in-list": '[{"a": {"b": null}}]',
    "newline-quote-backslash": r'"a\nb\"c\\d\re\tf"',
    "nul": r'"a\u0000b"',
    "lone-surrogate": r'"a\ud800b"',
    "right-to-left": r'"a\u202eb\u200f"',
    "unicode": r'"\ud83d\ude80 \u00e9"',
    "separator": r'"a\u2028b\u0085c"',
    "braces": '"} 1\\n# EOF\\nup{a=\\"b\\"} 1"',
    "long": '"' + "x" * 2**18 + '"',
    "year-10000": '"10000-01-01T00:00:00Z"',
    "february-30": '"2026-02-30T00:00:00Z"',
}
HERE = "@@"  # where the value stands in


@dataclass(frozen=True)
class Hostile:
    """One deployment, by the field that is wrong and the name of the value that it has; without the field, None."""

    field: str
    value: str | None
    body: bytes

    @property
    def name(self) -> str:
        return f"{self.field}={self.value}"


def _fields() -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, a well deployment whose value there is HERE)."""
    for field in (f.name for f in fields(Deployment)):
        if field not in {"id", "name"}:
            yield field, {**WELL, field: HERE}
    for part, model in (
        ("autoscaling", Autoscaling),
        ("volumes", Volume),
        ("environment_variables", EnvironmentVariable),
        ("replica_events", Replica),
    ):
        for field in (f.name for f in fields(model)):
            yield f"{part}.{field}", {**WELL, part: _within(WELL[part], field)}


def _within(value: Any, field: str) -> Any:
    if isinstance(value, list):
        return [{**value[0], field: HERE}]
    if "r-0" in value:
        return {"r-0": {**value["r-0"], field: HERE}}
    return {**value, field: HERE}


def hostile() -> dict[str, list[Hostile]]:
    """By field: every value, the one that lacks the field first."""
    return {field: list(_variants(field, deployment)) for field, deployment in _fields()}


def _variants(field: str, deployment: dict[str, Any]) -> Iterator[Hostile]:
    yield Hostile(field, None, json.dumps(_named(f"{field}=None", _without(deployment))).encode())
    for label, value in VALUES.items():
        text = json.dumps(_named(f"{field}={label}", deployment))
        yield Hostile(field, label, text.replace(f'"{HERE}"', value).encode())


def _named(name: str, deployment: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"dep-{name}", "name": name, **deployment}


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(each) for key, each in value.items() if each != HERE}
    return [_without(each) for each in value] if isinstance(value, list) else value
