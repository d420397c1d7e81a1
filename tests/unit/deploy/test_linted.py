"""What their own users' linters say of the files that we ship and cannot run here."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from deploy import published

ROOT = Path(__file__).parents[3]


@pytest.mark.needs("hadolint")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run(["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.needs("actionlint")
def test_actionlint_finds_nothing_in_the_workflows() -> None:
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    done = subprocess.run(["actionlint", *workflows], capture_output=True, text=True, check=False)
    assert len(workflows) == 4
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_action_is_pinned_to_a_commit_and_says_its_version() -> None:
    used = re.findall(r"uses: (.*)", "".join(file.read_text() for file in (ROOT / ".github" / "workflows").iterdir()))
    assert len(used) > 20
    assert [use for use in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []
    commits = {use.partition("@")[0]: use for use in used}
    assert [use for use in used if use != commits[use.partition("@")[0]]] == []


def test_what_is_published_is_named_in_one_place() -> None:
    """All others take the name from deploy/published.py, are made from it, or have a test that compares."""
    assert not re.search(r"ghcr\.io", (ROOT / ".github" / "workflows" / "release.yml").read_text())
    assert f"`{published.IMAGE}`" in (ROOT / "README.md").read_text()
    assert published.CHART in (ROOT / "deploy" / "helm" / "together-exporter" / "README.md").read_text()


CHANGELOG = """# Changelog

## [Unreleased]

### Added

- Later.

## [1.2.3] - 2026-01-02

### Fixed

- This.

## [1.2.2] - 2026-01-01

- Before.

## [1.2.1] - 2026-01-01
"""


def test_the_releases_text_is_that_of_the_changelog(tmp_path: Path) -> None:
    file = tmp_path / "CHANGELOG.md"
    file.write_text(CHANGELOG)
    assert notes("1.2.3", file).stdout == "### Fixed\n\n- This.\n"
    for version in ("1.2.1", "1.2", "9.9.9"):
        assert notes(version, file).returncode == 1
        assert version in notes(version, file).stderr


def notes(version: str, file: Path) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "deploy" / "release-notes.sh"), version, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
