"""`together-exporter rules` and `dashboards` as a user types them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.cli.commands import main
from exporter.rules.build import build
from exporter.rules.config import RulesConfig
from tests.conftest import ROOT
from tools.boards import BOARDS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """(exit code, stdout, stderr) of a command line."""

    def command(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        code = ended.value.code
        assert isinstance(code, int)
        return (code, *capsys.readouterr())

    return command


def rules(run: Run, *arguments: str) -> dict[str, Any]:
    code, out, err = run("rules", *arguments)
    assert (code, err) == (0, "")
    made = yaml.safe_load(out)
    assert isinstance(made, dict)
    return made


CONFIG = """
keep_labels: [cluster, team]
disabled: [TogetherDeploymentAtMaximum]
thresholds:
  cold_start: 20m
overrides:
  TogetherDataStale: {severity: warning}
"""


def test_by_default_it_prints_the_file_that_ships(run: Run) -> None:
    assert rules(run) == yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())
    assert rules(run, "--format=operator")["kind"] == "PrometheusRule"


def test_options_come_on_top_of_the_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(CONFIG)
    assert rules(run, f"--config={file}") == build(RulesConfig.model_validate(yaml.safe_load(CONFIG)))
    changed = rules(
        run,
        f"--config={file}",
        "--threshold=cold_start=30m",
        "--threshold=flapping_changes=20",
        "--for=TogetherDataStale=10m",
        "--severity=TogetherKeyRefused=warning",
        "--label=product=together",
        "--annotation=owner=ml",
        "--runbook-url=https://wiki.example/",
        "--keep-labels=cluster",
        "--deployment-labels=owner,env",
        "--disable=TogetherUnknownStatus",
        "--disable=TogetherProjectEmpty",
        "--enable=TogetherDeploymentDisappeared",
    )
    assert changed == build(
        RulesConfig.model_validate(
            {
                "keep_labels": ["cluster"],
                "deployment_labels": ["owner", "env"],
                "disabled": ["TogetherUnknownStatus", "TogetherProjectEmpty"],
                "enabled": ["TogetherDeploymentDisappeared"],
                "thresholds": {"cold_start": "30m", "flapping_changes": 20},
                "overrides": {
                    "TogetherDataStale": {"severity": "warning", "for": "10m"},
                    "TogetherKeyRefused": {"severity": "warning"},
                },
                "labels": {"product": "together"},
                "annotations": {"owner": "ml"},
                "runbook_url": "https://wiki.example/",
            }
        )
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--disable=TogetherDataStal"],
            '--disable: "TogetherDataStal" is not an alert; did you mean TogetherDataStale?',
        ),
        (["--for=TogetherDataStal=1m"], '--for or --severity: TogetherDataStal: "TogetherDataStal" is not an alert;'),
        (["--for=TogetherDataStale=1"], '--for: TogetherDataStale: "1" has no unit; write 1s'),
        (
            ["--severity=TogetherDataStale=bad"],
            "--severity: TogetherDataStale: must be 'critical', 'warning' or 'info'",
        ),
        (["--threshold=cold_strat=1m"], '--threshold: cold_strat: unknown key; did you mean "cold_start"?'),
        (["--threshold=cold_start"], '--threshold: "cold_start" has no value; write NAME=VALUE'),
        (["--keep-labels=project"], '--keep-labels: "project" is part of the rules already; leave it out'),
        (["--config=nowhere.yml"], "nowhere.yml: cannot be read"),
        (["--lst"], "did you mean --list?"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_that_names_the_option(arguments: list[str], message: str, run: Run) -> None:
    code, out, err = run("rules", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("disable: [TogetherDataStale]", 'disable: unknown key; did you mean "disabled"?'),
        (
            "\ndisabled: [TogetherDataStal]",
            ':2: disabled[0]: "TogetherDataStal" is not an alert; did you mean TogetherDataStale?',
        ),
        ("thresholds: {cold_strat: 1m}", 'thresholds.cold_strat: unknown key; did you mean "cold_start"?'),
        ("overrides: {TogetherDataStale: {fr: 1m}}", 'did you mean "for"?'),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(config: str, message: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(config)
    code, out, err = run("rules", f"--config={file}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(file) in err
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--threshold=reason_window=10m"],
            "--threshold: reason_window: must be shorter than the `for` of TogetherReplicaCrashLooping, which is 10m",
        ),
        (
            ["--for=TogetherRateLimited=5m"],
            "--threshold: rate_limited_window: must be shorter than the `for` of TogetherRateLimited, which is 5m",
        ),
        (
            ["--threshold=burn_fast_short_window=2h"],
            "--threshold: burn_fast_short_window: must be shorter than burn_fast_window, which is 1h",
        ),
        (
            ["--threshold=exporter_memory=10m"],
            "--threshold: exporter_memory: must be longer than the `for` of TogetherProjectNotExported, which is 10m",
        ),
        (
            ["--threshold=availability_target=0.9"],
            "--threshold: burn_fast_factor: times 1 - availability_target must be below 1; lower it",
        ),
        (["--label=cluster=eu"], "--label: cluster: is a label of the alert itself; remove it, or do not keep it"),
        (["--label=secret=eu"], '--label: secret: "secret" is part of the rules already; leave it out'),
        (["--label=severity=page"], "--label: severity: is set by --severity, or by severity in overrides"),
        (["--deployment-labels=label_team"], '--deployment-labels: "label_team" is written without label_: team'),
        (
            ["--deployment-labels=team", "--keep-labels=label_team"],
            "--keep-labels: label_team is joined by deployment_labels; remove one of the two",
        ),
    ],
)
def test_thresholds_that_do_not_fit_others_are_refused(arguments: list[str], says: str, run: Run) -> None:
    code, out, err = run("rules", *arguments)
    assert (code, out, err) == (2, "", f"together-exporter: {says}\n")


def test_what_users_add_is_kept_as_they_wrote_it(run: Run) -> None:
    built = rules(run, "--label=owner=<team>", "--annotation=note=see <project>")
    alerts = [rule for group in built["groups"] for rule in group["rules"] if "alert" in rule]
    assert {(alert["labels"]["owner"], alert["annotations"]["note"]) for alert in alerts} == {
        ("<team>", "see <project>")
    }


def test_the_list_has_the_thresholds_of_records_too(run: Run) -> None:
    _, out, _ = run("rules", "--list")
    (line,) = [line for line in out.splitlines() if line.startswith("TogetherDeploymentAvailabilityBurnFast")]
    assert "unserved_after=15m" in line


def test_the_window_of_a_disabled_alert_may_be_any(run: Run) -> None:
    code, _, _ = run("rules", "--threshold=rate_limited_window=1h", "--disable=TogetherRateLimited")
    assert code == 0


def test_the_list_is_a_table_of_every_alert(run: Run) -> None:
    code, out, _ = run("rules", "--list", "--threshold=cold_start=20m", "--disable=TogetherDataStale")
    assert code == 0
    assert out.startswith("ALERT ")
    assert "cold_start=20m" in out
    assert any(line.split()[:2] == ["TogetherDataStale", "off"] for line in out.splitlines())


def test_dashboards_are_written_where_they_are_wanted(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("dashboards", str(tmp_path / "new" / "boards"))
    written = {file.name: json.loads(file.read_text()) for file in (tmp_path / "new" / "boards").iterdir()}
    assert code == 0
    assert sorted(written) == sorted(Path(line).name for line in out.splitlines())
    assert written == {file.name: json.loads(file.read_text()) for file in (ROOT / "dashboards").glob("*.json")}


def test_dashboards_say_what_is_in_the_way(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run("dashboards", str(tmp_path / "file"))
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be written" in err


def test_every_dashboard_is_in_the_wheel() -> None:
    """Else the command finds it in a checkout only."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    included = {source: f"exporter/{source}" for source in (f"dashboards/{name}.json" for name in BOARDS)}
    assert build["force-include"] == included
