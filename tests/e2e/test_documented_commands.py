"""Every command in the documentation is run unchanged with a running exporter and a simulated API."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canaries import API_KEY, outputs
from tests.conftest import ROOT, SimulatorServer, until
from tests.e2e.conftest import Process, Start
from tests.e2e.documentation import Line, fenced, inline
from tests.e2e.test_daemon import FAST

NOT_RUN = {  # pattern: why not, and what stands in for it
    r"make test( ARGS=.*)?$": "it is what is running",
    r"make (golden|generate|pictures|lock)$": "they rewrite the tree; make check compares",
    r"make (bench|soak|fuzz|image|sbom|check|mutants)( [A-Z]+=\S+)?$": "too long; two of them have tests of their own",
    r"make cluster-test$": "a job of its own in the workflow",
    r"(pip|pipx) install|pipx run": "tests/e2e/test_release.py installs in an environment of its own",
    r"\. \.venv-run/bin/activate$": "each line runs in a shell of its own",
    r"docker ": "no engine; tests/unit/deploy/test_compose.py has Compose read the file, test_image.py runs the image",
    r"kubectl |helm (install|test)": "no cluster; make cluster-test has one",
    r"(.*\| )?sudo ": "installs as root; test_systemd.py and test_release.py do the parts",
    r"cd deploy/compose": "goes with docker",
    r"(systemctl|journalctl) ": "no systemd runs here; tests/e2e/test_systemd.py speaks its protocol",
}
# What a command says that goes on until it is ended.
LASTS = re.compile(r"msg=listening|^Press Ctrl-C to stop$|simulator \([\w-]+\) on", re.MULTILINE)
PROGRAMS = re.compile(r"\b(promtool|amtool|jq|curl)\b")
COMMAND = re.compile(
    r"(TOGETHER_API_KEY=\S+ )?"
    r"(together-exporter( |$)|python -m |make \w|curl |promtool |amtool |docker |kubectl |helm |systemctl |pipx? )"
)
FOUND = 10  # commands in running text, at the least
GRACE = 30.0  # s


def commands() -> list[Line]:
    """Each once."""
    found = [*fenced("sh"), *(line for line in inline() if COMMAND.match(line.text))]
    return list({line.text: line for line in found}.values())


def reason_not_to_run(line: Line) -> str | None:
    return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, line.text)), None)


def to_run() -> Iterator[object]:
    for line in commands():
        if reason_not_to_run(line) is None and not line.text.endswith((" ...", "-")):
            programs = set(PROGRAMS.findall(line.text)) | ({"prometheus"} if "demo-stack" in line.text else set())
            yield pytest.param(line, marks=[pytest.mark.needs(program) for program in sorted(programs)], id=line.name)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout that may be written to, in which the package is installed."""
    for entry in ROOT.iterdir():
        if entry.name == "deploy":
            shutil.copytree(entry, tmp_path / entry.name)
        elif entry.name not in {".git", "together-exporter.yml"}:
            (tmp_path / entry.name).symlink_to(entry)
    return tmp_path


@pytest.fixture
def daemon(steady: SimulatorServer, start: Start) -> Process:
    config = f"{FAST}projects: [{{base_url: '{steady.url}', max_requests_per_second: 100}}]"
    daemon = start(config, "--web.enable-lifecycle", TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.get("/-/ready").status_code == 200, "it is polled")
    return daemon


@pytest.mark.needs("bash")
@pytest.mark.parametrize("line", [*to_run()])
def test_it_does_as_it_says(line: Line, place: Path, daemon: Process, steady: SimulatorServer) -> None:
    (place / "together-exporter.yml").write_text(f"projects: [{{base_url: '{steady.url}'}}]\n")
    address = daemon.url().removeprefix("http://")
    text = line.text.replace("localhost:10170", address).replace("=:10270", "=127.0.0.1:0")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(place),
        "TOGETHER_API_KEY": API_KEY,
        "TOGETHER_BASE_URL": steady.url,
        "TOGETHER_EXPORTER_WEB__LISTEN_ADDRESS": address if "exporter.health" in text else "127.0.0.1:0",
    }
    command = ["bash", "-o", "pipefail", "-c", text]
    process = subprocess.Popen(
        command,
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    output = ""

    def read() -> None:
        nonlocal output
        assert process.stdout is not None
        with process.stdout as stdout:
            for words in stdout:
                output += words

    reader = threading.Thread(target=read)
    reader.start()
    try:
        until(lambda: bool(LASTS.search(output)) or process.poll() is not None, f"{text} ends or runs")
        lasts = process.poll() is None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        code = process.wait(GRACE)
        reader.join()
    outputs.append(output)
    assert "Traceback" not in output
    assert code == 0 or (lasts and text.startswith("make ")), f"{code}: {output}"


def test_what_is_not_run_has_a_reason_that_still_holds() -> None:
    kept = {pattern for pattern in NOT_RUN for line in commands() if re.match(pattern, line.text)}
    assert kept == NOT_RUN.keys()


def test_every_target_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {line.text.split()[1] for line in commands() if line.text.startswith("make ")}
    assert named <= targets
    assert len(named) > FOUND
