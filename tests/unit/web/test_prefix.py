"""Everything below a prefix, and nothing beside it."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.web.prefix import RoutePrefix


async def path(request: Request) -> Response:
    return PlainTextResponse(request.scope["path"])


INNER = Starlette(routes=[Route("/", path), Route("/metrics", path)])


@pytest.mark.parametrize(
    ("prefix", "asked", "status", "answer"),
    [
        ("/a", "/a/", 200, "/"),
        ("/a", "/a/metrics", 200, "/metrics"),
        ("/a/b", "/a/b/metrics", 200, "/metrics"),
        ("/a", "/metrics", 404, "Not Found"),
        ("/a", "/ab/metrics", 404, "Not Found"),
        ("/a", "/a/a/metrics", 404, "Not Found"),
        ("/a", "/", 302, "a/"),
        ("/a", "/a", 302, "a/"),
        ("/a/b", "/", 302, "a/b/"),
        ("/a/b", "/a/b", 302, "b/"),
    ],
)
def test_paths_below_a_prefix(prefix: str, asked: str, status: int, answer: str) -> None:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(RoutePrefix(INNER, prefix))
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
            return await client.get(asked)

    response = asyncio.run(get())
    assert response.status_code == status
    assert response.headers.get("location", response.text) == answer
