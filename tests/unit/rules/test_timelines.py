"""Timelines evaluated by promtool, with series of two identical exporters."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.rules.build import build
from exporter.rules.config import RulesConfig
from exporter.rules.groups import ALERTS
from tests.unit.rules.promtool import OFF, PROMTOOLS, Timeline, check, of_alerts, seen_by, without_annotations
from tests.unit.rules.timelines import TIMELINES


@pytest.mark.parametrize("promtool", PROMTOOLS)
@pytest.mark.parametrize("timeline", TIMELINES, ids=lambda timeline: timeline.name)
def test_it_is_quiet_and_loud_as_told(timeline: Timeline, promtool: str, tmp_path: Path) -> None:
    plain = {name: values for name, values in timeline.series.items() if "cluster=" not in name}
    others = {name: values for name, values in timeline.series.items() if "cluster=" in name}
    series = [*seen_by(plain, "ab", 'cluster="x"'), *seen_by(others, "c", "")]
    steps = [
        {
            "eval_time": f"{minute}m",
            "alertname": alert,
            "exp_alerts": [{"exp_labels": {**labels, "severity": ALERTS[alert].severity}} for labels in fires],
        }
        for minute, alert, fires in timeline.expected
    ]
    test = {"interval": "1m", "input_series": series, "alert_rule_test": steps}
    rules = of_alerts(
        build(RulesConfig.model_validate({"enabled": OFF, "thresholds": timeline.thresholds})),
        *{alert for _, alert, _ in timeline.expected},
    )
    check(promtool, tmp_path, [(without_annotations(rules), [test])])
