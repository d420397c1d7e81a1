"""What their own users' linters say of the files that we ship and cannot run here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.needs("hadolint")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run(["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.needs("actionlint")
def test_actionlint_finds_nothing_in_the_workflows() -> None:
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    done = subprocess.run(["actionlint", *workflows], capture_output=True, text=True, check=False)
    assert len(workflows) == 2
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
