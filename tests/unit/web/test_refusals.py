from __future__ import annotations

import pytest
import structlog

from exporter.self_metrics import REFUSALS, SelfMetrics
from exporter.web.refusals import Refusals


def test_a_refusal_is_logged_once_a_minute_with_the_number_in_between() -> None:
    times = iter((0.0, 1.0, 2.0, 61.0))
    refusals = Refusals(SelfMetrics(runtime=False), lambda: next(times))
    with structlog.testing.capture_logs() as lines:
        for _ in range(4):
            refusals.count("unauthorized", "127.0.0.1")
    assert [(line["reason"], line["suppressed"]) for line in lines] == [("unauthorized", 0), ("unauthorized", 2)]


@pytest.mark.parametrize("reason", REFUSALS)
def test_each_refusal_starts_at_zero(reason: str) -> None:
    registry = SelfMetrics(runtime=False).live
    assert registry.get_sample_value("together_exporter_http_clients_refused_total", {"reason": reason}) == 0
