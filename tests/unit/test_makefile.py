"""What `make` installs, and when: the demo only what runs, the tests the rest, and neither undoes the other."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.needs("make")
NEW = 2_000_000_000  # a time of modification, later than the checkout's


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / ".venv").mkdir()
    return tmp_path


def would_run(checkout: Path, target: str, *stamps: str) -> str:
    """The commands. `stamps`: of what is installed already, the oldest first."""
    for age, name in enumerate(reversed(stamps)):
        file = checkout / ".venv" / name
        file.touch()
        os.utime(file, (NEW - age, NEW - age))
    env = {"PATH": os.environ["PATH"]}  # without the variables of a make that runs the tests
    command = ["make", "-n", target]
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=True).stdout


def test_the_demo_installs_what_runs_and_shows_progress(checkout: Path) -> None:
    commands = would_run(checkout, "demo")
    assert "requirements/run.lock" in commands
    assert "dev.lock" not in commands
    assert "quiet" not in commands
    assert commands.splitlines()[-1].strip() == ".venv/bin/python -m exporter demo"


def test_the_tests_add_the_rest_to_what_the_demo_has_installed(checkout: Path) -> None:
    commands = would_run(checkout, "check", ".run")
    assert "requirements/dev.lock" in commands
    assert "venv --" not in commands
    assert "run.lock" not in commands


@pytest.mark.parametrize("target", ["demo", "check"])
def test_with_everything_installed_nothing_is_installed(checkout: Path, target: str) -> None:
    assert "install" not in would_run(checkout, target, ".run", ".installed")
