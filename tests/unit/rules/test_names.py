"""Every metric that a rule or a runbook names exists."""

from __future__ import annotations

from exporter.rules.build import templates
from tests.conftest import ROOT
from tests.unit.rules.names import METRIC, known


def test_every_metric_that_a_rule_or_a_runbook_names_exists() -> None:
    rules = [rule["expr"] for group in templates() for rule in group["rules"]]
    runbooks = [file.read_text() for file in (ROOT / "docs" / "runbooks").glob("*.md")]
    named = {name for text in (*rules, *runbooks) for name in METRIC.findall(text)}
    assert len(named) > 20
    assert named <= known(), named - known()
