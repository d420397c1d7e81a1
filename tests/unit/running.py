"""The daemon in the test's own event loop, and a configuration that a test changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import httpx

from exporter.app import App
from exporter.settings.load import Loaded, load
from exporter.web.listener import listen

URL = "http://127.0.0.1:9/v1"


class Configuration:
    """What is loaded, now and at the next reload: options as in the file, or an exception."""

    def __init__(self, *projects: dict[str, Any], **options: Any) -> None:
        self.projects, self.options = projects, options
        self.error: Exception | None = None

    def load(self) -> Loaded:
        if self.error is not None:
            raise self.error
        web = {"enable_lifecycle": True, **self.options.get("web", {})}
        return load({**self.options, "web": web, "projects": list(self.projects)})


def project(name: str, base_url: str = URL, **more: Any) -> dict[str, Any]:
    return {"name": name, "base_url": base_url, "api_key": "k", "poll_interval": "1h", "poll_timeout": "5m", **more}


class Running:
    def __init__(self, app: App, web: httpx.AsyncClient, serving: asyncio.Task[None]) -> None:
        self.app, self.web, self.serving = app, web, serving

    async def metrics(self) -> set[str]:
        return set((await self.web.get("/metrics")).text.splitlines())

    async def shows(self, line: str) -> None:
        """Waits until it does."""
        await eventually(lambda: self._shows(line))

    async def _shows(self, line: str) -> bool:
        return line in await self.metrics()

    async def reload(self) -> tuple[int, str]:
        answer = await self.web.post("/-/reload")
        return answer.status_code, answer.text.strip()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(configuration: Configuration) -> AsyncIterator[Running]:
    app = App(configuration.load, runtime_metrics=False)
    sock = listen("127.0.0.1:0")
    serving = asyncio.create_task(app.serve([sock]))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}") as web:
            yield Running(app, web, serving)
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


def bounded(test: Coroutine[Any, Any, None]) -> None:
    async def within() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(within())


def ready(name: str, deployment: str = "x", replicas: int = 3) -> str:
    return f'together_deployment_replicas_ready{{deployment="{deployment}",project="{name}"}} {replicas}.0'
