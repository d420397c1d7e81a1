"""Every command of the runbooks is run, with its blanks filled in, against the simulator and the daemon."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.simulator.scenario import load
from tests.canaries import API_KEY, outputs
from tests.conftest import ROOT, SimulatorServer, until
from tests.e2e.conftest import Process, Start

API, EXPORTER = "https://api.together.ai/v1", "http://localhost:10170"
BLOCK = re.compile(r"^ *```bash\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def runbooks() -> list[Path]:
    return sorted((ROOT / "docs" / "runbooks").glob("Together*.md"))


def commands() -> dict[str, str]:
    """Each once, with the runbook that has it first."""
    found: dict[str, str] = {}
    for file in runbooks():
        for block in BLOCK.findall(file.read_text(encoding="utf-8")):
            for line in block.splitlines():
                found.setdefault(line.strip(), file.stem)
    return found


def cases() -> Iterator[object]:
    for command, runbook in commands().items():
        yield pytest.param(command, id=f"{runbook}: {command[-60:]}")


SCENARIO = "deployments: [{name: chat-prod, replicas: 3, volume: weights, secret_expires_in: 864000}]"


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[SimulatorServer]:
    (tmp_path / "scenario.yml").write_text(SCENARIO)
    with SimulatorServer(load(str(tmp_path / "scenario.yml"))) as server:
        yield server


@pytest.fixture
def daemon(simulator: SimulatorServer, start: Start) -> Process:
    config = f"poll_interval: 250ms\nprojects: [{{base_url: '{simulator.url}', max_requests_per_second: 100}}]\n"
    daemon = start(config, "--web.enable-lifecycle", TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.get("/-/ready").status_code == 200, "it is polled")
    return daemon


@pytest.mark.needs("curl")
@pytest.mark.needs("jq")
@pytest.mark.parametrize("command", [*cases()])
def test_a_command_of_a_runbook_works(command: str, simulator: SimulatorServer, daemon: Process) -> None:
    deployment = simulator.get("deployments/chat-prod").json()
    variables = {each["name"]: each for each in deployment["environment_variables"]}
    filled = {
        API: f"{simulator.url}/v1",
        EXPORTER: daemon.url(),
        "DEPLOYMENT": deployment["name"],
        "REPLICA": next(iter(deployment["replica_events"])),
        "REVISION": variables["TOGETHER_DEPLOYMENT_REVISION_ID"]["value"],
        "QUEUE": "chat-prod",
        "SECRET": variables["HF_TOKEN"]["value_from_secret"],
    }
    text = command
    for blank, value in filled.items():
        text = re.sub(rf"{re.escape(blank)}\b", value, text)
    assert not re.search(r"https://|localhost", text), "only what runs here is asked"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", text],
        env={"PATH": os.environ["PATH"], "TOGETHER_API_KEY": API_KEY},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    outputs.extend((done.stdout, done.stderr))
    assert done.returncode == 0, done.stderr
    if "http_code" in command:
        assert done.stdout.strip() == "200"
    if "jq" in command:
        assert done.stdout.strip()


def test_a_runbook_says_what_it_means_what_follows_how_to_look_and_what_to_do() -> None:
    for file in runbooks():
        text = file.read_text(encoding="utf-8")
        assert text.startswith(f"# {file.stem}\n")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS, file.stem
        assert "```promql" in text, file.stem


def test_no_runbook_asks_for_what_the_api_cannot_do() -> None:
    for file in runbooks():
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"[Dd]elete (the|a|one|this) replica|[Rr]estart (the|a|one|this) replica\b", text), (
            file.stem
        )
        assert "-X DELETE" not in text
