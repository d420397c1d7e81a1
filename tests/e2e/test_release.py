"""What a release is made of: built, installed where nothing else is, and run with the source out of reach."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter import __version__
from tests.conftest import SimulatorServer
from tests.e2e.conftest import Process

ROOT = Path(__file__).parents[2]
BASE_PYTHON = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")  # pip is there
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Release:
    wheel: Path
    sdist: Path


def done(*command: str | Path, cwd: Path, **environment: str) -> str:
    env = {**os.environ, "PIP_NO_COMPILE": "1", **environment}
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = tmp_path_factory.mktemp("dist")
    done(BIN / "hatchling", "build", "-d", folder, cwd=ROOT)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Release(wheel, sdist)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that has what a release needs and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    done(BASE_PYTHON, "-m", "venv", "--without-pip", folder, cwd=folder)
    install(folder, "--require-hashes", "-r", str(ROOT / "requirements" / "run.lock"))
    return folder


def install(environment: Path, *what: str) -> None:
    pip = (BASE_PYTHON, "-m", "pip", "--python", environment / "bin" / "python")
    done(*pip, "install", "--quiet", "--disable-pip-version-check", *what, cwd=environment)


@pytest.fixture(params=["wheel", "sdist"])
def installed(request: pytest.FixtureRequest, release: Release, clean: Path) -> Iterator[Path]:
    install(clean, "--no-deps", "--force-reinstall", str(getattr(release, request.param)))
    yield clean
    pip = (BASE_PYTHON, "-m", "pip", "--python", clean / "bin" / "python")
    done(*pip, "uninstall", "--quiet", "--yes", "together-exporter", cwd=clean)


def test_it_runs_where_nothing_else_is(installed: Path, steady: SimulatorServer, tmp_path: Path) -> None:
    program = installed / "bin" / "together-exporter"
    assert done(program, "--version", cwd=tmp_path) == f"together-exporter {__version__}\n"
    page = done(program, "once", cwd=tmp_path, TOGETHER_API_KEY="k", TOGETHER_BASE_URL=steady.url)
    assert 'together_deployment_replicas_ready{deployment="chat-prod"' in page
    done(program, "check", "--poll", cwd=tmp_path, TOGETHER_API_KEY="k", TOGETHER_BASE_URL=steady.url)


def test_the_run_lock_is_enough_for_the_demo_whose_first_line_is_what_to_open(clean: Path) -> None:
    demo = Process(["demo"], {}, (str(clean / "bin" / "python"), "-m", "exporter"))
    try:
        page = demo.get("/")
    finally:
        assert demo.stop() == 0
    assert page.status_code == 200
    assert demo.log.splitlines()[0].startswith(f"Open {page.url} ")


def test_it_says_all_that_it_needs(installed: Path) -> None:
    pip = (BASE_PYTHON, "-m", "pip", "--python", installed / "bin" / "python")
    assert done(*pip, "check", cwd=installed) == "No broken requirements found.\n"


def test_pipx_runs_it(release: Release, tmp_path: Path) -> None:
    run = (BIN / "pipx", "run", "--python", BASE_PYTHON, "--spec", release.wheel, "together-exporter", "--version")
    homes = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    assert done(*run, cwd=tmp_path, **homes).splitlines()[-1] == f"together-exporter {__version__}"


def test_the_wheel_holds_the_package_alone(release: Release, tmp_path: Path) -> None:
    listed = done(sys.executable, "-m", "zipfile", "--list", release.wheel, cwd=tmp_path).splitlines()[1:]
    tops = {line.split("/")[0] for line in listed}
    assert tops == {"exporter", f"together_exporter-{__version__}.dist-info"}


def test_the_index_takes_the_wheel_and_shows_the_readme(release: Release, tmp_path: Path) -> None:
    done(BIN / "twine", "check", "--strict", release.wheel, release.sdist, cwd=tmp_path)
    done(BIN / "check-wheel-contents", release.wheel, cwd=tmp_path)
    with zipfile.ZipFile(release.wheel) as wheel:
        names = wheel.namelist()
        (metadata,) = [wheel.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
    assert "exporter/py.typed" in names
    assert {"Documentation", "Source", "Changelog", "Issues"} == set(
        re.findall("^Project-URL: (.*?),", metadata, re.MULTILINE)
    )
    links = re.findall(r"\]\(([^)]+)\)", metadata)
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []
    repository = [link for link in links if "/together-exporter/together-exporter/" in link]
    paths = [link.partition(f"/v{__version__}/")[2].partition("#")[0] for link in repository]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_version_stands_in_one_place_and_the_changelog_knows_the_next() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert text.count("\n## [Unreleased]\n") == 1
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    headings = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert versions == sorted(versions, reverse=True)


def test_the_bill_of_materials_lists_what_is_installed(installed: Path, tmp_path: Path) -> None:
    made = done(BIN / "cyclonedx-py", "environment", installed / "bin" / "python", cwd=tmp_path)
    named = {_normal(component["name"]) for component in json.loads(made)["components"]}
    locked = re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements" / "run.lock").read_text(), re.MULTILINE)
    assert {"together-exporter", "httpx", "prometheus-client"} <= named <= {*map(_normal, locked), "together-exporter"}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
