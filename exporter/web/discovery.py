"""`/api/v1/sd`: the deployments in Prometheus' HTTP service discovery format."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from exporter.cooperative import in_slices
from exporter.state.records import Shown, Snapshot, State

PATH = "/api/v1/sd"
META = "__meta_together_"


def build(snapshot: Callable[[], Awaitable[Snapshot]], is_ready: Callable[[], bool]) -> ASGIApp:
    """Returns 503 until `is_ready`, so that Prometheus keeps its current targets."""

    async def targets(_: Request) -> Response:
        if not is_ready():
            return PlainTextResponse("Not every project has been polled yet.\n", status_code=503)
        deployments = (await snapshot()).deployments
        groups = [_group(shown, state) async for shown in in_slices(deployments) if (state := shown.record.state)]
        return Response(f"[{','.join(groups)}]", media_type="application/json")

    return Starlette(routes=[Route(PATH, targets)])


def _group(shown: Shown, state: State) -> str:
    """Returns a deployment as JSON. `state`: the last known one, even if stale, so that targets stay stable."""
    deployment = state.deployment
    minimum = deployment.min_replicas
    labels = {
        f"{META}project": shown.project,
        f"{META}deployment": shown.name,
        f"{META}deployment_id": deployment.id,
        f"{META}deployment_status": deployment.status,
        f"{META}deployment_min_replicas": None if minimum is None else f"{minimum:.10g}",
        f"{META}deployment_gpu_type": deployment.gpu_type,
        **{f"{META}deployment_{name}": value for name, value in shown.record.labels},
    }
    meta_labels = {name: value for name, value in labels.items() if value is not None}
    return json.dumps({"targets": [shown.name], "labels": meta_labels})
