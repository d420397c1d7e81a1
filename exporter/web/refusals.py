"""Counts refused clients, and logs them at most once per minute and reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import structlog

from exporter.self_metrics import SelfMetrics

LOG_INTERVAL = 60.0  # s between lines with the same reason, so that clients cannot flood the log

Reason = Literal[
    "connection_limit", "scrape_limit", "page_limit", "header_limit", "slow_client", "tls", "unauthorized", "rate_limit"
]
log = structlog.get_logger()


class Refusals:
    """Counts all refusals; logs at most one per reason in LOG_INTERVAL seconds."""

    def __init__(self, metrics: SelfMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._counter = metrics.refused
        self._clock = clock
        self._last_logged: dict[str, float] = {}  # by reason
        self._suppressed: dict[str, int] = {}  # by reason; refusals since then

    def count(self, reason: Reason, client: str, **details: str) -> None:
        self._counter.labels(reason).inc()
        now = self._clock()
        if now - self._last_logged.get(reason, float("-inf")) < LOG_INTERVAL:
            self._suppressed[reason] = self._suppressed.get(reason, 0) + 1
            return
        self._last_logged[reason] = now
        suppressed = self._suppressed.pop(reason, 0)
        log.warning("client refused", reason=reason, client=client, **details, suppressed=suppressed)
