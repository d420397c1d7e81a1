"""Configuration reload: the new configuration is built completely before it is swapped in. On any failure the previous
one stays active; log, metric and response of POST /-/reload report it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from exporter import systemd
from exporter.self_metrics import SelfMetrics
from exporter.settings.problems import ConfigError

log = structlog.get_logger()


class Reloader:
    """`apply`: reads, builds and activates the configuration; raises before changing anything. Reloads are
    serialized."""

    def __init__(
        self, apply: Callable[[], Awaitable[None]], metrics: SelfMetrics, unix_time: Callable[[], float]
    ) -> None:
        self._apply = apply
        self._metrics = metrics
        self._unix_time = unix_time
        self._running = asyncio.Lock()
        self.problem: str | None = None  # why the last reload failed

    async def reload(self) -> str | None:
        """Reloads and returns the error message, or None."""
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
        """Records a successful configuration load."""
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
