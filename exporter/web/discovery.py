"""`/api/v1/sd`: the deployments in Prometheus' HTTP service discovery format."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from exporter.cooperative import in_slices
from exporter.state.records import Shown, Snapshot

PATH = "/api/v1/sd"
META = "__meta_together_"


class Discovery:
    """`is_ready`: until then it answers 503, so that Prometheus keeps the targets it has."""

    def __init__(self, snapshot: Callable[[], Awaitable[Snapshot]], is_ready: Callable[[], bool]) -> None:
        self._snapshot = snapshot
        self._is_ready = is_ready

    async def respond(self, _: Request) -> Response:
        if not self._is_ready():
            return PlainTextResponse("Not every project has been polled yet.\n", status_code=503)
        snapshot = await self._snapshot()
        groups = [_group(shown) async for shown in in_slices(snapshot.deployments) if shown.record.state is not None]
        return Response(json.dumps(groups), media_type="application/json")


def _group(shown: Shown) -> dict[str, Any]:
    """One deployment; its last known state where that is stale, so that its targets do not come and go."""
    state = shown.record.state
    assert state is not None  # noqa: S101 - the caller's condition
    deployment = state.deployment
    labels = {
        f"{META}project": shown.project,
        f"{META}deployment": shown.name,
        f"{META}deployment_id": deployment.id,
        f"{META}deployment_status": deployment.status,
        f"{META}deployment_min_replicas": _number(deployment.min_replicas),
        f"{META}deployment_gpu_type": deployment.gpu_type,
        **{f"{META}deployment_{name}": value for name, value in shown.record.labels},
    }
    return {"targets": [shown.name], "labels": {name: value for name, value in labels.items() if value is not None}}


def _number(count: float | None) -> str | None:
    return None if count is None else f"{count:.10g}"
