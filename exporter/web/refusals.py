"""Clients that were turned away: counted, and told about now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import structlog

from exporter.self_metrics import SelfMetrics

QUIET = 60.0  # s; between two lines about the same reason: whoever knocks all day must not fill the log

Reason = Literal[
    "connection_limit", "scrape_limit", "page_limit", "header_limit", "slow_client", "tls", "unauthorized", "rate_limit"
]
log = structlog.get_logger()


class Refusals:
    """Counts each; logs the first of a reason, and then at most one in QUIET seconds."""

    def __init__(self, metrics: SelfMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._counter = metrics.refused
        self._clock = clock
        self._told: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def count(self, reason: Reason, client: str, **details: str) -> None:
        self._counter.labels(reason).inc()
        now = self._clock()
        if now - self._told.get(reason, float("-inf")) < QUIET:
            self._untold[reason] = self._untold.get(reason, 0) + 1
            return
        self._told[reason] = now
        log.warning("client refused", reason=reason, client=client, **details, unlogged=self._untold.pop(reason, 0))
