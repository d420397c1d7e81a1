"""Reloading: the new configuration is built aside and swapped in; whatever goes wrong, the old one keeps running and
the log, the metric and the answer to POST /-/reload say so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from exporter import systemd
from exporter.self_metrics import SelfMetrics
from exporter.settings.problems import ConfigError

log = structlog.get_logger()


class Reloader:
    """`apply`: reads the configuration, builds everything of it and puts it in place; it raises before it changes
    anything. Reloads run one after another."""

    def __init__(
        self, apply: Callable[[], Awaitable[None]], metrics: SelfMetrics, unix_time: Callable[[], float]
    ) -> None:
        self._apply = apply
        self._metrics = metrics
        self._unix_time = unix_time
        self._running = asyncio.Lock()
        self.problem: str | None = None  # why the latest reload was refused

    async def reload(self) -> str | None:
        """Why the reload was refused, or None."""
        async with self._running:
            systemd.notify(systemd.reloading())
            try:
                self.problem = await self._problem()
            finally:
                systemd.notify(systemd.READY)
            if self.problem is None:
                self.succeeded()
            return self.problem

    def succeeded(self) -> None:
        """The configuration as it is now is in place."""
        self.problem = None
        self._metrics.reload_timestamp.set(self._unix_time())

    async def _problem(self) -> str | None:
        effect = "previous configuration stays active"
        try:
            await self._apply()
        except ConfigError as error:
            log.error("configuration reload failed", error=str(error), effect=effect)
            return str(error)
        except Exception as error:
            log.exception("configuration reload failed (unexpected exception, please report)", effect=effect)
            return f"unexpected {type(error).__name__}: {error}"
        return None
