"""The API's paths over a fleet: bearer key, the API's shapes, faults on demand."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from exporter.simulator.fleet import Fleet
from exporter.simulator.scenario import Fault

JSON = "application/json"


class Simulator:
    """`clock`: story seconds since the start. `api_key` None: any bearer key opens. `faults` may change."""

    def __init__(
        self, fleet: Fleet, clock: Callable[[], float], faults: Sequence[Fault] = (), api_key: str | None = None
    ) -> None:
        self.fleet = fleet
        self.faults = list(faults)
        self._clock = clock
        self._api_key = api_key
        self.app = Starlette(
            routes=[
                Route("/v1/deployments", self._list),
                Route("/v1/deployments/{id}", self._one),
                Route("/v1/queue/metrics", self._queue),
            ]
        )

    async def _list(self, request: Request) -> Response:
        refused = await self._before(request)
        bodies = b",".join(deployment.body() for deployment in self.fleet.deployments.values())
        return refused or Response(b'{"object":"list","data":[' + bodies + b"]}", media_type=JSON)

    async def _one(self, request: Request) -> Response:
        if refused := await self._before(request):
            return refused
        deployment = self.fleet.find(request.path_params["id"])
        return Response(deployment.body(), media_type=JSON) if deployment else _error(404, "deployment not found")

    async def _queue(self, request: Request) -> Response:
        if refused := await self._before(request):
            return refused
        model = request.query_params.get("model")
        if not model:
            return _error(400, "model is required")
        found = (d.queue for d in self.fleet.deployments.values() if d.queue_model == model)
        waiting, running = next(found, (0, 0))
        counts = {"messages_waiting": waiting, "messages_running": running, "total_jobs": waiting + running}
        return JSONResponse(counts)

    async def _before(self, request: Request) -> Response | None:
        """Lets the story go on to now; the answer where the key or a fault stands in the way."""
        now = self._clock()
        self.fleet.advance(now)
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip() or not self._accepts(key.strip()):
            return _error(401, "invalid API key")
        fault = next((fault for fault in self.faults if fault.is_on(now)), None)
        if fault is None:
            return None
        await asyncio.sleep(fault.delay)
        headers = {"Retry-After": f"{fault.retry_after:g}"} if fault.retry_after else {}
        return Response(fault.body, fault.status, headers, JSON)

    def _accepts(self, key: str) -> bool:
        return self._api_key is None or hmac.compare_digest(key.encode(), self._api_key.encode())


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, status)
