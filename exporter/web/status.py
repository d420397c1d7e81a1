"""`/` and `/api/v1/status`, rendered at most once per second regardless of the number of requests."""

from __future__ import annotations

import asyncio
import functools
import gzip
import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from exporter.status.facts import Facts
from exporter.web.negotiation import accepts_gzip

if TYPE_CHECKING:
    from exporter.status.model import Status
    from exporter.web.page import StatusPage
    from exporter.web.query import Query

CACHE_TTL = 1.0  # s; then the cached responses, which grow with the fleet, are released
MAX_CACHED_RESPONSES = 8  # each filter has a response of its own
GZIP_LEVEL = 1  # shrinks these texts to a tenth
PATHS = ("/", "/api/v1/status")
MAX_CONCURRENT = 16  # responses in flight; each may be megabytes long
HTML, JSON = "text/html", "application/json"
HEADERS = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}


class StatusReports:
    """`facts`: returns the current facts. `telemetry_path`: path of the metrics. Responses are rendered one at a time.

    Cached for `ttl` seconds: the status and the responses rendered from it."""

    def __init__(self, facts: Callable[[], Awaitable[Facts]], telemetry_path: str, ttl: float = CACHE_TTL) -> None:
        self._ttl = ttl
        self._facts = facts
        self._telemetry_path = telemetry_path
        self._lock = asyncio.Lock()
        self._status: Status | None = None
        self._answers: dict[Query | None, bytes] = {}  # pages by query, JSON under None; of `_status`

    async def json(self) -> bytes:
        return await self._answer(None, _to_json)

    async def html(self, parameters: QueryParams) -> bytes:
        await asyncio.to_thread(importlib.import_module, "exporter.web.page")
        from exporter.web.query import Query  # noqa: PLC0415 - loaded on demand: templates use memory

        query = Query.of(parameters)
        return await self._answer(query, lambda status: self._page.render(status, query))

    @functools.cached_property
    def _page(self) -> StatusPage:
        from exporter.web.page import StatusPage  # noqa: PLC0415 - as above

        return StatusPage(self._telemetry_path)

    async def _answer(self, query: Query | None, make: Callable[[Status], Awaitable[bytes]]) -> bytes:
        async with self._lock:
            status = await self._current()
            answer = self._answers.get(query)
            if answer is None:
                answer = await make(status)
                if self._status is status and len(self._answers) < MAX_CACHED_RESPONSES:
                    self._answers[query] = answer
            return answer

    async def _current(self) -> Status:
        if self._status is None:
            await asyncio.to_thread(importlib.import_module, "exporter.status.report")
            from exporter.status.report import report  # noqa: PLC0415 - loaded on demand: its models take long

            self._status = await report(await self._facts())
            asyncio.get_running_loop().call_later(self._ttl, self._forget)
        return self._status

    def _forget(self) -> None:
        self._status = None
        self._answers = {}


async def _to_json(status: Status) -> bytes:
    from exporter.status.report import to_json  # noqa: PLC0415 - has been loaded for the status

    return await to_json(status)


def build(reports: StatusReports) -> ASGIApp:
    async def page(request: Request) -> Response:
        return await _response(request, await reports.html(request.query_params), HTML)

    async def status(request: Request) -> Response:
        return await _response(request, await reports.json(), JSON)

    return Starlette(routes=[Route(path, endpoint) for path, endpoint in zip(PATHS, (page, status), strict=True)])


async def _response(request: Request, body: bytes, media_type: str) -> Response:
    """Compresses in a thread: for a large fleet it takes as long as many scrapes."""
    if not accepts_gzip(request.headers.get("accept-encoding", "").encode("latin-1")):
        return Response(body, headers=HEADERS, media_type=media_type)
    packed = await asyncio.to_thread(gzip.compress, body, GZIP_LEVEL)
    return Response(packed, headers={**HEADERS, "Content-Encoding": "gzip"}, media_type=media_type)
