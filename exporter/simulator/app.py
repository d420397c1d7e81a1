"""The API as an ASGI application: bearer keys, injected faults, endpoints, request IDs."""

from __future__ import annotations

import asyncio
import hmac
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.simulator.endpoints import ENDPOINTS, ApiError, Call, Endpoint
from exporter.simulator.fleet import Fleet
from exporter.simulator.scenario import Fault

JSON = "application/json"


class Simulator:
    """`clock`: simulated seconds since the start. `api_key`: None accepts any bearer key. `faults`: may be changed
    while running."""

    def __init__(
        self, fleet: Fleet, clock: Callable[[], float], faults: Sequence[Fault] = (), api_key: str | None = None
    ) -> None:
        self.fleet = fleet
        self.faults = list(faults)
        self._clock = clock
        self._api_key = api_key
        routes = [
            Route(path, partial(self._answer, endpoint), methods=[method]) for method, path, endpoint in ENDPOINTS
        ]
        self.app: ASGIApp = RequestIds(Starlette(routes=routes, exception_handlers={HTTPException: _no_endpoint}))

    async def _answer(self, endpoint: Endpoint, request: Request) -> Response:
        if refused := await self._before(request):
            return refused
        try:
            body = await _body(request)
            return Response(
                endpoint(Call(self.fleet, request.path_params, request.query_params, body)), media_type=JSON
            )
        except ApiError as error:
            return _error(error)

    async def _before(self, request: Request) -> Response | None:
        """Advances the fleet to the current time. Returns a response if the key is invalid or a fault applies."""
        now = self._clock()
        self.fleet.advance(now)
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip() or not self._accepts(key.strip()):
            return _error(ApiError(401, "invalid API key"))
        fault = next((fault for fault in self.faults if fault.is_on(now)), None)
        if fault is None:
            return None
        await asyncio.sleep(fault.delay)
        headers = {"Retry-After": f"{fault.retry_after:g}"} if fault.retry_after else {}
        return Response(fault.body, fault.status, headers, JSON)

    def _accepts(self, key: str) -> bool:
        return self._api_key is None or hmac.compare_digest(key.encode(), self._api_key.encode())


class RequestIds:
    """Adds `x-request-id` to every response, including faults and unknown paths. Identical runs produce identical
    IDs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = f"sim-{next(self._numbers):08d}".encode()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        await self._app(scope, receive, send_with_id)


async def _body(request: Request) -> Mapping[str, Any]:
    """Returns the JSON object of a request that changes something. Raises ApiError."""
    if request.method in {"GET", "HEAD"}:
        return {}
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise ApiError(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the body is not a JSON object")
    return body


async def _no_endpoint(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the type for which it is registered
    response = _error(ApiError(error.status_code, error.detail))
    response.headers.update(error.headers or {})
    return response


def _error(error: ApiError) -> Response:
    return Response(error.body(), error.status, media_type=JSON)
