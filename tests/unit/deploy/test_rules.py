"""What is in deploy/ about rules: the generated files and the example for Alertmanager."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from exporter.rules.build import build
from exporter.rules.groups import ALERTS
from tests.conftest import ROOT

EXAMPLE = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
KEPT = "cluster"  # by the rules as they ship
CRITICAL = 'severity="critical"'


def inhibitions() -> list[dict[str, Any]]:
    return list(yaml.safe_load(EXAMPLE.read_text())["inhibit_rules"])


def test_the_files_are_what_the_command_prints_by_default() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())
    resource = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "prometheusrule.yml").read_text())
    assert rules == resource["spec"] == build()


AMTOOLS = [
    pytest.param(program, marks=pytest.mark.needs(program), id=name)
    for name, program in (("oldest", "amtool"), ("newest", ".tools/prometheus/amtool"))
]


@pytest.mark.parametrize("amtool", AMTOOLS)
def test_amtool_finds_nothing_wrong_with_the_example(amtool: str) -> None:
    program = shutil.which(amtool) or str(ROOT / amtool)
    done = subprocess.run([program, "check-config", str(EXAMPLE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_inhibited_exists_and_nothing_that_pages_waits_for_what_does_not() -> None:
    for rule in inhibitions():
        source, target = (matched(rule[f"{side}_matchers"]) for side in ("source", "target"))
        assert source, rule
        assert target, rule
        if {ALERTS[name].severity for name in target} & {"critical"}:
            assert {ALERTS[name].severity for name in source} == {"critical"}, rule
            assert CRITICAL in rule["source_matchers"], "users may change severities"


def test_an_alert_inhibits_only_in_its_own_cluster() -> None:
    assert all(KEPT in rule["equal"] for rule in inhibitions())


def matched(matchers: list[str]) -> set[str]:
    """The alerts of these names."""
    names = set(ALERTS)
    for matcher in (each for each in matchers if each != CRITICAL):
        found = re.fullmatch(r'alertname(=~|!=|=)"(.*)"', matcher)
        assert found, matcher
        fitting = {name for name in ALERTS if re.fullmatch(found[2] if found[1] == "=~" else re.escape(found[2]), name)}
        assert fitting, matcher
        names = names - fitting if found[1] == "!=" else names & fitting
    return names
