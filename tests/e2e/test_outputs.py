"""Where the output of a command goes: full disks, closed pipes and streams, terminals of every width."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.simulator.scenario import DeploymentScenario, Scenario
from tests.canaries import API_KEY
from tests.conftest import SimulatorServer
from tests.e2e.conftest import run

KEY = {"TOGETHER_API_KEY": API_KEY}
COMMANDS = ["metrics", "check", "check --output=json", "once", "completion bash", "--help", "--version"]


def shell(redirections: str, arguments: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    """A command with its standard streams as a shell redirects them."""
    script = f'exec "$0" -m exporter "$@" {redirections}'
    return subprocess.run(
        ["sh", "-c", script, sys.executable, *arguments],
        env={**KEY, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_line_and_exit_code_1(command: str, steady: SimulatorServer) -> None:
    done = shell(">/dev/full", command.split(), TOGETHER_BASE_URL=steady.url)
    assert (done.returncode, done.stderr) == (
        1,
        "together-exporter: cannot write the output: No space left on device\n",
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_left_is_one_line_and_exit_code_1(command: str, steady: SimulatorServer) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    arguments = [sys.executable, "-m", "exporter", *command.split()]
    env = {"TOGETHER_API_KEY": API_KEY, "TOGETHER_BASE_URL": steady.url}
    done = subprocess.run(arguments, env=env, stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (1, "together-exporter: cannot write the output: Broken pipe\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", COMMANDS)
def test_closed_streams_change_nothing_else(command: str, closed: str, steady: SimulatorServer) -> None:
    done = shell(closed, command.split(), TOGETHER_BASE_URL=steady.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    "command", [["check", "--config.file=/nowhere"], ["serve", "--config.file=/nowhere"], ["check", "--nonsense"]]
)
def test_the_exit_code_tells_where_stderr_cannot(command: list[str], stderr: str) -> None:
    done = shell(stderr, command)
    assert (done.returncode, done.stderr) == (2, "")


def test_forced_colours_are_colours_and_nothing_else(steady: SimulatorServer) -> None:
    done = shell("2>&1", ["check", "--poll"], TOGETHER_BASE_URL=steady.url, FORCE_COLOR="1")
    assert done.returncode == 0
    escapes = set(re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]", done.stdout))
    assert escapes
    assert all(escape.endswith("m") for escape in escapes)


LONG = "a-deployment-with-a-name-of-sixty-characters-as-they-do-occur"


@pytest.mark.parametrize("width", [200, 100, 80, 60, 20])
def test_a_narrow_terminal_drops_columns_and_cuts_no_name(width: int) -> None:
    scenarios = (DeploymentScenario(name=LONG), DeploymentScenario(name="chat"))
    with SimulatorServer(Scenario(deployments=scenarios)) as server:
        lines = terminal(width, server.url).splitlines()
    header = next(line for line in lines if "DEPLOYMENT" in line)
    row = next(line for line in lines if LONG in line)
    assert row.split()[-1] == "ok"
    assert ("SERIES" in header) == (width == 200)
    assert "RESULT" in header
    table = max(len(line.rstrip()) for line in (header, row))
    assert table <= width or header.split() == ["DEPLOYMENT", "RESULT"]


def terminal(width: int, url: str) -> str:
    """What `check --poll` prints on a terminal of this width, without colours."""
    ours, theirs = pty.openpty()
    terminal = {"TERM": "xterm", "COLUMNS": str(width), "NO_COLOR": "1"}
    env = {**terminal, "TOGETHER_API_KEY": API_KEY, "TOGETHER_BASE_URL": url}
    command = [sys.executable, "-m", "exporter", "check", "--poll"]
    with subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                text += os.read(ours, 65536)
            except OSError:  # Linux raises it at the end
                break
        assert process.wait(60) == 0
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.decode())


def test_errors_stand_below_the_table_in_full(steady: SimulatorServer, tmp_path: Path) -> None:
    file = tmp_path / "c.yml"
    file.write_text(f"projects: [{{name: p, base_url: '{steady.url}', deployments: [{LONG}, gateway]}}]")
    done = run("check", "--poll", f"--config.file={file}", **KEY)
    lines = done.stdout.splitlines()
    table = next(index for index, line in enumerate(lines) if line.startswith("p ") and LONG in line)
    assert lines[table].endswith("not_found")
    assert f"p/{LONG}: not_found: Deployment not found: HTTP 404 Not Found." in lines[table:]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--deployments=-3"], "--deployments must be between 1 and 100000"),
        (["--deployments=0"], "--deployments must be between 1 and 100000"),
        (["--deployments=10000000000"], "--deployments must be between 1 and 100000"),
        (["--deployments=x"], "argument --deployments: invalid int value: 'x'"),
        (["--speed=0"], "--speed must be above 0"),
        (["--speed=nan"], "--speed must be above 0"),
        (["--speed=inf"], "--speed must be above 0"),
        (["--scenario=nowhere.yml"], "scenario nowhere.yml: No such file or directory"),
    ],
)
@pytest.mark.parametrize("command", ["demo", "simulate"])
def test_a_simulation_that_cannot_be_is_refused(command: str, options: list[str], reason: str) -> None:
    done = run(command, *options)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert reason in done.stderr


PRICES = {
    "h100-80gb": "",
    "H100-80GB": "gpu_hourly_cost.H100-80GB: GPU type not used by any deployment; did you mean h100-80gb?",
    "b200": "gpu_hourly_cost.b200: GPU type not used by any deployment; check how the API spells it",
}


@pytest.mark.parametrize(("name", "warning"), PRICES.items())
def test_a_price_that_fits_no_gpu_type_is_found(name: str, warning: str, tmp_path: Path) -> None:
    with SimulatorServer(Scenario(deployments=(DeploymentScenario(name="a", gpu_type="h100-80gb"),))) as server:
        file = tmp_path / "c.yml"
        file.write_text(f"projects: [{{base_url: '{server.url}'}}]\ngpu_hourly_cost: {{{name}: 2.5}}\n")
        done = run("check", "--poll", f"--config.file={file}", **KEY)
    warnings = [line.removeprefix("warning: ") for line in done.stderr.splitlines()]
    missing = "gpu_hourly_cost: GPU type h100-80gb is in use but has no price; add it"
    assert warnings == ([warning, missing] if warning else [])


def test_a_variable_that_cannot_spell_a_gpu_type_is_found() -> None:
    variable = "TOGETHER_EXPORTER_GPU_HOURLY_COST__H100_80GB"
    with SimulatorServer(Scenario(deployments=(DeploymentScenario(name="a", gpu_type="h100-80gb"),))) as server:
        done = run("check", "--poll", **{**KEY, "TOGETHER_BASE_URL": server.url, variable: "2.5"})
    assert f"warning: {variable}: h100-80gb cannot be part of a variable name; use" in done.stderr
    assert "TOGETHER_EXPORTER_GPU_HOURLY_COST='{\"h100-80gb\": 2.5}'" in done.stderr


def test_once_writes_nothing_about_its_own_process(steady: SimulatorServer) -> None:
    done = run("once", TOGETHER_BASE_URL=steady.url, **KEY)
    assert done.returncode == 0
    assert not re.search(r"^(# (HELP|TYPE) )?(process|python)_", done.stdout, re.MULTILINE)
